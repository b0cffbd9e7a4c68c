#include "coordinator/server-metrics.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"
#include "wire/buffer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD_MAX    4096
#define TIMEOUT_S   5
#define HEALTHY_US  (10 * USEC_PER_SEC)
#define N_FIGURES   (sizeof (ServerFigures) / sizeof (size_t))
#define N_BUCKETS   8
#define PROMETHEUS  "text/plain; version=0.0.4; charset=utf-8"
#define JSON        "application/json"
#define STATM_PAGES 2 /* field of /proc/self/statm: resident pages */

static const double bucket_ms[N_BUCKETS] = {1, 2, 5, 10, 25, 100, 500, 2500};

struct ServerMetrics
{
  Relay *relay;
  int listener, wake;
  pthread_t thread;
  bool running;
  _Atomic size_t figures[N_FIGURES];
  _Atomic int64_t alive_us;
  _Atomic uint64_t commits, records, commit_us;
  _Atomic uint64_t buckets[N_BUCKETS + 1];
  _Atomic uint64_t messages, message_bytes;
};

/* ---- counting ---- */

void
server_metrics_set (ServerMetrics *metrics, const ServerFigures *figures)
{
  size_t values[N_FIGURES];

  memcpy (values, figures, sizeof values);
  for (size_t i = 0; i < N_FIGURES; i++)
    atomic_store_explicit (&metrics->figures[i], values[i], memory_order_relaxed);
  atomic_store_explicit (&metrics->alive_us, clock_now_us (), memory_order_relaxed);
}

static void
add (_Atomic uint64_t *counter, uint64_t n)
{
  atomic_fetch_add_explicit (counter, n, memory_order_relaxed);
}

static uint64_t
get (_Atomic uint64_t *counter)
{
  return atomic_load_explicit (counter, memory_order_relaxed);
}

void
server_metrics_commit (ServerMetrics *metrics, size_t n, int64_t duration_us)
{
  size_t bucket = 0;

  while (bucket < N_BUCKETS && (double)duration_us / 1000 > bucket_ms[bucket])
    bucket++;
  add (&metrics->buckets[bucket], 1);
  add (&metrics->commits, 1);
  add (&metrics->records, n);
  add (&metrics->commit_us, (uint64_t)duration_us);
}

void
server_metrics_message (ServerMetrics *metrics, size_t size)
{
  add (&metrics->messages, 1);
  add (&metrics->message_bytes, size);
}

/* ---- telling ---- */

static void
tell (Buffer *out, const char *name, const char *type, const char *help, double value)
{
  buffer_append_format (out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name,
                        value);
}

static void
tell_server (ServerMetrics *metrics, Buffer *out)
{
  static const char *const names[N_FIGURES][2] = {
      {"warren_nodes", "Devices of the network."},
      {"warren_nodes_online", "Devices that are connected."},
      {"warren_users", "Users of the network."},
      {"warren_pending_nodes", "Devices that wait for approval."},
      {"warren_map_streams", "Open map streams."},
      {"warren_connections", "Connections to the control address."},
      {"warren_queued_bytes", "Bytes that wait to be written to devices."},
  };

  for (size_t i = 0; i < N_FIGURES; i++)
    tell (out, names[i][0], "gauge", names[i][1],
          (double)atomic_load_explicit (&metrics->figures[i], memory_order_relaxed));
  tell (out, "warren_records_total", "counter", "Records written to the database.",
        (double)get (&metrics->records));
  tell (out, "warren_map_messages_total", "counter", "Map messages sent.",
        (double)get (&metrics->messages));
  tell (out, "warren_map_message_bytes_total", "counter", "Bytes of map messages sent.",
        (double)get (&metrics->message_bytes));
}

static void
tell_commits (ServerMetrics *metrics, Buffer *out)
{
  static const char name[] = "warren_commit_seconds";
  uint64_t sum = 0;

  buffer_append_format (out, "# HELP %s Time that commits took.\n# TYPE %s histogram\n", name,
                        name);
  for (size_t i = 0; i < N_BUCKETS; i++) {
    sum += get (&metrics->buckets[i]);
    buffer_append_format (out, "%s_bucket{le=\"%g\"} %llu\n", name, bucket_ms[i] / 1000,
                          (unsigned long long)sum);
  }
  sum += get (&metrics->buckets[N_BUCKETS]);
  buffer_append_format (out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
                        (unsigned long long)sum, name,
                        (double)get (&metrics->commit_us) / USEC_PER_SEC, name,
                        (unsigned long long)sum);
}

static void
tell_dropped (Buffer *out, const char *reason, uint64_t n)
{
  buffer_append_format (out, "derp_packets_dropped{reason=\"%s\"} %llu\n", reason,
                        (unsigned long long)n);
}

static void
tell_relay (ServerMetrics *metrics, Buffer *out)
{
  RelayStatus status;

  if (!metrics->relay)
    return;
  relay_status (metrics->relay, &status);
  tell (out, "derp_accepts", "counter", "Connections accepted.", (double)status.accepted);
  tell (out, "derp_gauge_current_connections", "gauge", "Connections logged in.",
        (double)status.connections);
  tell (out, "derp_gauge_clients_total", "gauge", "Keys that are connected.",
        (double)status.clients);
  tell (out, "derp_packets_received", "counter", "Packets from clients.",
        (double)status.packets_in);
  tell (out, "derp_packets_sent", "counter", "Packets to clients.", (double)status.packets_out);
  tell (out, "derp_bytes_received", "counter", "Bytes of packets from clients.",
        (double)status.bytes_in);
  tell (out, "derp_bytes_sent", "counter", "Bytes of packets to clients.",
        (double)status.bytes_out);
  tell (out, "derp_sclient_write_timeouts", "counter", "Clients closed because they took nothing.",
        (double)status.stalled);
  tell (out, "warren_relay_refused_total", "counter", "Connections refused.",
        (double)status.refused);
  tell (out, "warren_relay_logins_total", "counter", "Logins.", (double)status.logins);
  tell (out, "warren_relay_queued_bytes", "gauge", "Bytes that wait to be written to clients.",
        (double)status.queued_bytes);
  buffer_append_text (out, "# HELP derp_packets_dropped Packets dropped.\n"
                           "# TYPE derp_packets_dropped counter\n");
  tell_dropped (out, "unknown_dest", status.dropped_unknown);
  tell_dropped (out, "queue_tail", status.dropped_full);
  tell_dropped (out, "gone_disconnected", status.dropped_gone);
}

static void
tell_process (Buffer *out)
{
  FILE *file = fopen ("/proc/self/statm", "re");
  long size = 0, resident = 0;

  if (!file)
    return;
  if (fscanf (file, "%ld %ld", &size, &resident) == STATM_PAGES)
    tell (out, "process_resident_memory_bytes", "gauge", "Resident memory.",
          (double)resident * (double)sysconf (_SC_PAGESIZE));
  fclose (file);
}

static bool
is_healthy (ServerMetrics *metrics)
{
  return clock_now_us () - atomic_load_explicit (&metrics->alive_us, memory_order_relaxed)
         < HEALTHY_US;
}

/* ---- HTTP ---- */

static void
answer (int fd, const char *status, const char *type, const void *body, size_t size)
{
  Buffer out = {0};

  buffer_append_format (&out,
                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                        status, type, size);
  buffer_append (&out, body, size);
  while (out.size > 0) {
    ssize_t n = send (fd, out.data, out.size, MSG_NOSIGNAL);
    if (n <= 0)
      break;
    buffer_consume (&out, (size_t)n);
  }
  buffer_free (&out);
}

static bool
asks_for (const char *head, const char *path)
{
  size_t n = strlen (path);

  return strncmp (head, "GET ", 4) == 0 && strncmp (head + 4, path, n) == 0
         && (head[4 + n] == ' ' || head[4 + n] == '?');
}

static void
answer_request (ServerMetrics *metrics, int fd, const char *head)
{
  static const char pass[] = "{\"status\":\"pass\"}", late[] = "{\"status\":\"fail\"}";
  Buffer body = {0};

  if (asks_for (head, "/metrics")) {
    tell_server (metrics, &body);
    tell_commits (metrics, &body);
    tell_relay (metrics, &body);
    tell_process (&body);
    answer (fd, "200 OK", PROMETHEUS, body.data, body.size);
  } else if (asks_for (head, "/health") && is_healthy (metrics)) {
    answer (fd, "200 OK", JSON, pass, sizeof pass - 1);
  } else if (asks_for (head, "/health")) {
    answer (fd, "503 Service Unavailable", JSON, late, sizeof late - 1);
  } else {
    answer (fd, "404 Not Found", "text/plain", "not found\n", 10);
  }
  buffer_free (&body);
}

static void
serve_client (ServerMetrics *metrics, int fd)
{
  struct timeval timeout = {.tv_sec = TIMEOUT_S};
  char head[HEAD_MAX + 1] = "";
  size_t size = 0;
  ssize_t n;

  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  while (size < HEAD_MAX && !strstr (head, "\r\n\r\n")
         && (n = recv (fd, head + size, HEAD_MAX - size, 0)) > 0) {
    size += (size_t)n;
    head[size] = '\0';
  }
  if (strstr (head, "\r\n\r\n"))
    answer_request (metrics, fd, head);
}

static void *
run (void *user_data)
{
  ServerMetrics *metrics = user_data;
  struct pollfd polls[2] = {{metrics->listener, POLLIN, 0}, {metrics->wake, POLLIN, 0}};

  while (poll (polls, 2, -1) >= 0 || errno == EINTR) {
    if (polls[1].revents)
      break;
    int fd = accept4 (metrics->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
      continue;
    serve_client (metrics, fd);
    close (fd);
  }
  return NULL;
}

static int
listen_at (const char *text, char **error)
{
  struct sockaddr_storage address;
  IpPort ap;
  int one = 1;

  if (!ip_port_parse (text, strlen (text), &ap)) {
    *error = mem_strndup ("the address of the metrics is wrong", 35);
    return -1;
  }
  socklen_t size = ip_port_to_sockaddr (&ap, &address);
  int fd = socket (address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind (fd, (struct sockaddr *)&address, size) == 0 && listen (fd, 16) == 0)
    return fd;
  if (asprintf (error, "could not listen at %s: %s", text, strerror (errno)) < 0)
    *error = NULL;
  close (fd);
  return -1;
}

ServerMetrics *
server_metrics_new (const char *address, Relay *relay, char **error)
{
  ServerMetrics *metrics = mem_new (sizeof *metrics);

  metrics->relay = relay;
  metrics->wake = eventfd (0, EFD_CLOEXEC);
  metrics->listener = address ? listen_at (address, error) : -1;
  atomic_store (&metrics->alive_us, clock_now_us ());
  if (!address)
    return metrics;
  metrics->running
      = metrics->listener >= 0 && pthread_create (&metrics->thread, NULL, run, metrics) == 0;
  if (metrics->running)
    return metrics;
  server_metrics_free (metrics);
  return NULL;
}

void
server_metrics_free (ServerMetrics *metrics)
{
  uint64_t one = 1;

  if (!metrics)
    return;
  if (metrics->running && write (metrics->wake, &one, sizeof one) == sizeof one)
    pthread_join (metrics->thread, NULL);
  if (metrics->listener >= 0)
    close (metrics->listener);
  close (metrics->wake);
  free (metrics);
}
