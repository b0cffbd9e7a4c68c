#include "coordinator/work-fetch.h"

#include "base/memory.h"

#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 8 /* for a whole request */
#define CHUNK     16384

struct WorkFetcher
{
  void (*done) (void *user_data, const WorkResult *result);
  void *user_data;
  GThread *thread;
  GMainContext *context;
  GMainLoop *loop;
  SoupSession *session;
};

/* One request. */
typedef struct
{
  WorkFetcher *fetcher;
  WorkJob job;
  SoupMessage *message;
  GCancellable *cancellable;
  GSource *timeout;
  GInputStream *stream;
  GByteArray *body;
} Fetch;

static void
finish (Fetch *fetch, const char *error)
{
  WorkResult result = {.type = WORK_FETCH, .id = fetch->job.id, .ok = !error};
  const char *text = error ? error : (const char *)fetch->body->data;

  result.size = error ? strlen (error) : fetch->body->len;
  result.body = mem_strndup (text ? text : "", result.size);
  if (!error)
    result.status = (int)soup_message_get_status (fetch->message);
  fetch->fetcher->done (fetch->fetcher->user_data, &result);
  g_source_destroy (fetch->timeout);
  g_source_unref (fetch->timeout);
  g_clear_object (&fetch->stream);
  g_clear_object (&fetch->message);
  g_object_unref (fetch->cancellable);
  g_byte_array_unref (fetch->body);
  work_job_clear (&fetch->job);
  g_free (fetch);
}

static void read_more (Fetch *fetch);

static void
on_read (GObject *source, GAsyncResult *result, gpointer data)
{
  Fetch *fetch = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_input_stream_read_bytes_finish (fetch->stream, result, &error);

  if (!bytes) {
    finish (fetch, error->message);
    return;
  }
  gsize size = g_bytes_get_size (bytes);
  if (size == 0) {
    finish (fetch, NULL);
    return;
  }
  if (fetch->body->len + size > WORK_REPLY_MAX) {
    finish (fetch, "the answer is too long");
    return;
  }
  g_byte_array_append (fetch->body, g_bytes_get_data (bytes, NULL), (guint)size);
  read_more (fetch);
}

static void
read_more (Fetch *fetch)
{
  g_input_stream_read_bytes_async (fetch->stream, CHUNK, G_PRIORITY_DEFAULT, fetch->cancellable,
                                   on_read, fetch);
}

static void
on_sent (GObject *source, GAsyncResult *result, gpointer data)
{
  Fetch *fetch = data;
  g_autoptr (GError) error = NULL;

  fetch->stream = soup_session_send_finish (SOUP_SESSION (source), result, &error);
  if (fetch->stream)
    read_more (fetch);
  else
    finish (fetch, error->message);
}

static gboolean
on_timeout (gpointer data)
{
  Fetch *fetch = data;

  g_cancellable_cancel (fetch->cancellable);
  return G_SOURCE_REMOVE;
}

static gboolean
start (gpointer data)
{
  Fetch *fetch = data;
  WorkFetcher *fetcher = fetch->fetcher;
  const WorkJob *job = &fetch->job;

  fetch->cancellable = g_cancellable_new ();
  fetch->body = g_byte_array_new ();
  fetch->timeout = g_timeout_source_new_seconds (TIMEOUT_S);
  g_source_set_callback (fetch->timeout, on_timeout, fetch, NULL);
  g_source_attach (fetch->timeout, fetcher->context);
  fetch->message = soup_message_new (job->form ? "POST" : "GET", job->url);
  if (!fetch->message) {
    finish (fetch, "the address is not one");
    return G_SOURCE_REMOVE;
  }
  soup_message_set_flags (fetch->message, SOUP_MESSAGE_NO_REDIRECT);
  SoupMessageHeaders *headers = soup_message_get_request_headers (fetch->message);
  soup_message_headers_append (headers, "Accept", "application/json");
  if (job->auth)
    soup_message_headers_append (headers, "Authorization", job->auth);
  if (job->form) {
    g_autoptr (GBytes) bytes = g_bytes_new (job->form, strlen (job->form));
    soup_message_set_request_body_from_bytes (fetch->message, "application/x-www-form-urlencoded",
                                              bytes);
  }
  soup_session_send_async (fetcher->session, fetch->message, G_PRIORITY_DEFAULT, fetch->cancellable,
                           on_sent, fetch);
  return G_SOURCE_REMOVE;
}

static gpointer
run (gpointer data)
{
  WorkFetcher *fetcher = data;

  g_main_context_push_thread_default (fetcher->context);
  fetcher->session
      = soup_session_new_with_options ("timeout", TIMEOUT_S, "user-agent", "Warren", "max-conns",
                                       WORK_JOBS_MAX, "max-conns-per-host", WORK_JOBS_MAX, NULL);
  g_main_loop_run (fetcher->loop);
  soup_session_abort (fetcher->session);
  while (g_main_context_iteration (fetcher->context, FALSE))
    continue;
  g_object_unref (fetcher->session);
  g_main_context_pop_thread_default (fetcher->context);
  return NULL;
}

WorkFetcher *
work_fetcher_new (void (*done) (void *user_data, const WorkResult *result), void *user_data)
{
  WorkFetcher *fetcher = g_new0 (WorkFetcher, 1);

  fetcher->done = done;
  fetcher->user_data = user_data;
  fetcher->context = g_main_context_new ();
  fetcher->loop = g_main_loop_new (fetcher->context, FALSE);
  fetcher->thread = g_thread_new ("fetch", run, fetcher);
  return fetcher;
}

static gboolean
quit (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

void
work_fetcher_free (WorkFetcher *fetcher)
{
  GSource *source = g_idle_source_new ();

  g_source_set_callback (source, quit, fetcher->loop, NULL);
  g_source_attach (source, fetcher->context);
  g_source_unref (source);
  g_thread_join (fetcher->thread);
  g_main_loop_unref (fetcher->loop);
  g_main_context_unref (fetcher->context);
  g_free (fetcher);
}

void
work_fetcher_start (WorkFetcher *fetcher, WorkJob *job)
{
  Fetch *fetch = g_new0 (Fetch, 1);
  GSource *source = g_idle_source_new ();

  fetch->fetcher = fetcher;
  fetch->job = *job;
  *job = (WorkJob){0};
  /* Never on this thread: a source, not g_main_context_invoke(). */
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, start, fetch, NULL);
  g_source_attach (source, fetcher->context);
  g_source_unref (source);
}
