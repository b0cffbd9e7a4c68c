#include "control/control-io.h"

#include "control/connection.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct ControlIo
{
  Control *control;
  Resolver *resolver;
  ControlIoCallbacks callbacks;
  void *user_data;
  TlsContext *tls;         /* made when it is first needed */
  GHashTable *connections; /* id -> Connection, owned */
  int timer;               /* timerfd: GLib's time-outs stop in suspend */
  guint timer_watch;
  int64_t armed; /* what the timer is set to */
  bool pumping;
  char *proxies[3]; /* https, http, none: NULL or a text that may hold a password */
};

/* --- Deadlines ----------------------------------------------------------------------------- */

static void
arm (ControlIo *io)
{
  int64_t deadline = control_next_deadline (io->control);

  if (deadline == io->armed)
    return;
  io->armed = deadline;
  struct itimerspec spec = {0};
  if (deadline != TIME_NEVER) {
    /* zero would turn the timer off */
    int64_t at = deadline > 0 ? deadline : 1;
    spec.it_value.tv_sec = at / USEC_PER_SEC;
    spec.it_value.tv_nsec = at % USEC_PER_SEC * 1000;
  }
  timerfd_settime (io->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static gboolean
timer_due (int fd, GIOCondition condition, void *data)
{
  ControlIo *io = data;
  ControlEvent event = {.type = CONTROL_EVENT_TICK};
  uint64_t expirations;

  if (read (fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
    return G_SOURCE_CONTINUE;
  io->armed = -1;
  control_io_input (io, &event);
  return G_SOURCE_CONTINUE;
}

/* --- Actions ------------------------------------------------------------------------------- */

/* TLS with the proxy itself, also for what is plain behind it. */
static bool
is_https (const char *proxy)
{
  return proxy && g_ascii_strncasecmp (proxy, "https:", 6) == 0;
}

static void
connection_event (ControlEvent *event, void *user_data)
{
  control_io_input (user_data, event);
}

static void
dial (ControlIo *io, const ControlAction *action)
{
  ProxySettings proxies = {io->proxies[0], io->proxies[1], io->proxies[2]};

  if (!io->tls && (action->dial.tls || is_https (proxies.http_proxy)))
    io->tls = tls_client_context_new (NULL, NULL);
  g_hash_table_insert (io->connections, GUINT_TO_POINTER (action->dial.connection),
                       connection_new (action, io->resolver, io->tls, &proxies, connection_event,
                                       io));
}

static void
perform (ControlIo *io, ControlAction *action)
{
  switch (action->type) {
    case CONTROL_ACTION_DIAL:
      dial (io, action);
      break;
    case CONTROL_ACTION_SEND: {
      Connection *connection
          = g_hash_table_lookup (io->connections, GUINT_TO_POINTER (action->send.connection));
      if (connection)
        connection_send (connection, action->send.data, action->send.size);
      break;
    }
    case CONTROL_ACTION_CLOSE:
      g_hash_table_remove (io->connections, GUINT_TO_POINTER (action->close.connection));
      break;
    default:
      io->callbacks.action (action, io->user_data);
      break;
  }
}

void
control_io_input (ControlIo *io, ControlEvent *event)
{
  ControlAction action;

  event->wall = wall_time_now ();
  control_input (io->control, event, clock_now_us ());
  if (io->pumping)
    return; /* the pump further up the stack goes on with what this has caused */
  io->pumping = true;
  while (control_next_action (io->control, &action)) {
    perform (io, &action);
    control_action_clear (&action);
  }
  io->pumping = false;
  arm (io);
}

/* --- Life ---------------------------------------------------------------------------------- */

static void
free_connection (void *connection)
{
  connection_free (connection);
}

ControlIo *
control_io_new (Control *control, Resolver *resolver, const ControlIoCallbacks *callbacks,
                void *user_data)
{
  ControlIo *io = g_new0 (ControlIo, 1);

  io->control = control;
  io->resolver = resolver;
  io->callbacks = *callbacks;
  io->user_data = user_data;
  io->connections = g_hash_table_new_full (NULL, NULL, NULL, free_connection);
  io->timer = timerfd_create (CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (io->timer < 0)
    g_error ("timerfd_create: %s", g_strerror (errno));
  io->timer_watch = g_unix_fd_add (io->timer, G_IO_IN, timer_due, io);
  io->armed = -1;
  return io;
}

static void
forget_text (char *text)
{
  if (text)
    explicit_bzero (text, strlen (text));
  g_free (text);
}

bool
control_io_set_proxies (ControlIo *io, const ProxySettings *proxies)
{
  const char *const texts[] = {proxies->https_proxy, proxies->http_proxy, proxies->no_proxy};
  bool changed = false;

  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++) {
    if (g_strcmp0 (io->proxies[i], texts[i]) == 0)
      continue;
    changed = true;
    forget_text (io->proxies[i]);
    io->proxies[i] = g_strdup (texts[i]);
  }
  return changed;
}

const Control *
control_io_core (const ControlIo *io)
{
  return io->control;
}

void
control_io_free (ControlIo *io)
{
  if (!io)
    return;
  g_hash_table_unref (io->connections);
  g_source_remove (io->timer_watch);
  close (io->timer);
  control_free (io->control);
  tls_context_free (io->tls);
  for (size_t i = 0; i < G_N_ELEMENTS (io->proxies); i++)
    forget_text (io->proxies[i]);
  g_free (io);
}
