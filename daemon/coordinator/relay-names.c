#include "coordinator/relay-names.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"
#include "wire/json-writer.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES_MAX     8
#define ADDRESSES_MAX 8   /* of one name */
#define AGAIN         600 /* seconds until names are looked up anew */
#define AGAIN_FAILED  30  /* the same when one could not be */

typedef struct
{
  char *text;
  IpAddr addresses[ADDRESSES_MAX]; /* the last good ones */
  size_t n;
} Name;

/* Shared by its owner and its thread, the last of whom frees it. */
struct RelayNames
{
  pthread_mutex_t lock;
  pthread_cond_t stopped;
  unsigned references;
  bool stop;
  char *json;
  size_t json_size;
  Name names[NAMES_MAX]; /* the thread's own */
  size_t n;
};

/* Called with the lock, which it gives back. */
static void
release (RelayNames *names)
{
  bool last = --names->references == 0;

  pthread_mutex_unlock (&names->lock);
  if (!last)
    return;
  for (size_t i = 0; i < names->n; i++)
    free (names->names[i].text);
  pthread_cond_destroy (&names->stopped);
  pthread_mutex_destroy (&names->lock);
  free (names->json);
  free (names);
}

/* False: it could not be looked up, and keeps the addresses that it had. */
static bool
look_up (Name *name)
{
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;

  if (getaddrinfo (name->text, NULL, &hints, &found) != 0 || !found)
    return false;
  name->n = 0;
  for (const struct addrinfo *a = found; a && name->n < ADDRESSES_MAX; a = a->ai_next) {
    IpPort at;
    if (ip_port_from_sockaddr (a->ai_addr, a->ai_addrlen, &at))
      name->addresses[name->n++] = at.addr;
  }
  freeaddrinfo (found);
  return name->n > 0;
}

/* The table as it is now. */
static char *
write_table (const RelayNames *names, size_t *size)
{
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  for (size_t i = 0; i < names->n; i++) {
    const Name *name = &names->names[i];
    if (name->n == 0)
      continue;
    json_writer_name (&w, name->text);
    json_writer_begin_array (&w);
    for (size_t k = 0; k < name->n; k++)
      json_writer_addr (&w, &name->addresses[k]);
    json_writer_end_array (&w);
  }
  json_writer_end_object (&w);
  return json_writer_take (&w, size);
}

static void *
run (void *data)
{
  RelayNames *names = data;
  struct timespec until;

  pthread_mutex_lock (&names->lock);
  while (!names->stop) {
    bool all = true;
    pthread_mutex_unlock (&names->lock);
    for (size_t i = 0; i < names->n; i++)
      all = look_up (&names->names[i]) && all;
    size_t size;
    char *json = write_table (names, &size);
    pthread_mutex_lock (&names->lock);
    free (names->json);
    names->json = json;
    names->json_size = size;
    clock_gettime (CLOCK_MONOTONIC, &until);
    until.tv_sec += all ? AGAIN : AGAIN_FAILED;
    while (!names->stop
           && pthread_cond_timedwait (&names->stopped, &names->lock, &until) != ETIMEDOUT)
      continue;
  }
  release (names);
  return NULL;
}

static void
start (RelayNames *names)
{
  pthread_attr_t attributes;
  pthread_t thread;

  names->references++;
  pthread_attr_init (&attributes);
  pthread_attr_setdetachstate (&attributes, PTHREAD_CREATE_DETACHED);
  if (pthread_create (&thread, &attributes, run, names) != 0)
    names->references--;
  pthread_attr_destroy (&attributes);
}

static bool
has (const RelayNames *names, const char *text)
{
  for (size_t i = 0; i < names->n; i++)
    if (strcmp (names->names[i].text, text) == 0)
      return true;
  return false;
}

RelayNames *
relay_names_new (const char *const *texts)
{
  RelayNames *names = mem_new (sizeof *names);
  pthread_condattr_t attributes;
  IpAddr literal;

  pthread_mutex_init (&names->lock, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&names->stopped, &attributes);
  pthread_condattr_destroy (&attributes);
  names->references = 1;
  for (; *texts && names->n < NAMES_MAX; texts++)
    if (!ip_parse (*texts, strlen (*texts), &literal) && !has (names, *texts))
      names->names[names->n++].text = mem_strndup (*texts, strlen (*texts));
  if (names->n > 0)
    start (names);
  return names;
}

void
relay_names_free (RelayNames *names)
{
  if (!names)
    return;
  pthread_mutex_lock (&names->lock);
  names->stop = true;
  pthread_cond_signal (&names->stopped);
  release (names);
}

void
relay_names_write (RelayNames *names, Buffer *out)
{
  if (!names) {
    buffer_append_text (out, "{}");
    return;
  }
  pthread_mutex_lock (&names->lock);
  if (names->json)
    buffer_append (out, names->json, names->json_size);
  else
    buffer_append_text (out, "{}");
  pthread_mutex_unlock (&names->lock);
}
