#include "host/tcp-race.h"

#include "host/socket-mark.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEXT_AFTER_MS 300

typedef struct
{
  TcpRace *race;
  int fd;
  guint watch;
} Runner;

struct TcpRace
{
  GArray *addresses; /* of IpAddr */
  uint16_t port;
  guint next;         /* index of the address to start next */
  GPtrArray *runners; /* of Runner: connecting now */
  guint timer;
  int error; /* of the last failure */
  TcpRaceDone done;
  void *user_data;
};

static gboolean start_next (void *data);

static void
runner_free (void *data)
{
  Runner *runner = data;

  if (runner->watch != 0)
    g_source_remove (runner->watch);
  if (runner->fd >= 0)
    close (runner->fd);
  g_free (runner);
}

void
tcp_race_free (TcpRace *race)
{
  if (!race)
    return;
  if (race->timer != 0)
    g_source_remove (race->timer);
  g_ptr_array_unref (race->runners);
  g_array_unref (race->addresses);
  g_free (race);
}

static void
schedule (TcpRace *race, guint delay_ms)
{
  if (race->timer != 0)
    g_source_remove (race->timer);
  race->timer = g_timeout_add (delay_ms, start_next, race);
}

static gboolean
connected (int fd, GIOCondition condition, void *data)
{
  Runner *runner = data;
  TcpRace *race = runner->race;
  int error = 0, on = 1;
  socklen_t size = sizeof error;

  runner->watch = 0;
  if (getsockopt (fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
    error = errno;
  if (error != 0) {
    race->error = error;
    g_ptr_array_remove_fast (race->runners, runner);
    schedule (race, 0);
    return G_SOURCE_REMOVE;
  }
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  runner->fd = -1;
  g_ptr_array_set_size (race->runners, 0);
  if (race->timer != 0)
    g_source_remove (race->timer);
  race->timer = 0;
  race->done (fd, 0, race->user_data);
  return G_SOURCE_REMOVE;
}

/* A connecting socket, or -1 and errno. */
static int
begin (const IpAddr *addr, uint16_t port)
{
  struct sockaddr_storage to;
  IpPort target = {*addr, port};
  socklen_t size = ip_port_to_sockaddr (&target, &to);
  int fd = socket (to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return -1;
  /* loopback never leaves the host, so it needs no mark, and no permission to set one */
  if ((ip_is_loopback (addr) || socket_mark (fd))
      && (connect (fd, (struct sockaddr *)&to, size) == 0 || errno == EINPROGRESS))
    return fd;
  int error = errno;
  close (fd);
  errno = error;
  return -1;
}

static gboolean
start_next (void *data)
{
  TcpRace *race = data;

  race->timer = 0;
  while (race->next < race->addresses->len) {
    int fd = begin (&g_array_index (race->addresses, IpAddr, race->next++), race->port);
    if (fd < 0) {
      race->error = errno;
      continue;
    }
    Runner *runner = g_new0 (Runner, 1);
    runner->race = race;
    runner->fd = fd;
    runner->watch = g_unix_fd_add (fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, connected, runner);
    g_ptr_array_add (race->runners, runner);
    if (race->next < race->addresses->len)
      schedule (race, NEXT_AFTER_MS);
    return G_SOURCE_REMOVE;
  }
  if (race->runners->len == 0)
    race->done (-1, race->error, race->user_data);
  return G_SOURCE_REMOVE;
}

TcpRace *
tcp_race_new (const GArray *addresses, uint16_t port, TcpRaceDone done, void *user_data)
{
  TcpRace *race = g_new0 (TcpRace, 1);

  race->addresses = g_array_copy ((GArray *)addresses);
  race->port = port;
  race->runners = g_ptr_array_new_with_free_func (runner_free);
  race->error = EHOSTUNREACH;
  race->done = done;
  race->user_data = user_data;
  schedule (race, 0);
  return race;
}
