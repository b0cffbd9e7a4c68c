#include "coordinator/setup.h"

#include "base/memory.h"
#include "coordinator/server-files.h"
#include "wire/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_PORT 8080
#define RELAY_PORT   8443
#define TIMEOUT_S    10
#define PORT_TRIES   50
#define HOST_MAX     256

static const char none_yet[] = "There is no network here yet: create one.\n";

/* ---- the command socket ---- */

static bool
open_to_group (const char *path, const char *group)
{
  const struct group *entry = group ? getgrnam (group) : NULL;

  if (!group)
    return true;
  if (!entry)
    errno = ENOENT;
  return entry && chown (path, (uid_t)-1, entry->gr_gid) == 0 && chmod (path, 0660) == 0;
}

int
server_listen_commands (const ServerOptions *options)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (!server_socket_path (options, address.sun_path, sizeof address.sun_path)) {
    fprintf (stderr, "warren-coordinator: the path of the command socket is too long\n");
    close (fd);
    return -1;
  }
  unlink (address.sun_path);
  mode_t mask = umask (0077);
  bool ok = bind (fd, (struct sockaddr *)&address, sizeof address) == 0
            && open_to_group (address.sun_path, options->socket_group) && listen (fd, 16) == 0;
  umask (mask);
  if (ok)
    return fd;
  fprintf (stderr, "warren-coordinator: could not listen at %s: %s\n", address.sun_path,
           strerror (errno));
  close (fd);
  return -1;
}

/* ---- making ---- */

/* The address from which this computer reaches others; no packet is sent for it. */
static void
main_address (char out[IP_TEXT_MAX])
{
  struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons (9)}, near;
  socklen_t size = sizeof near;
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  inet_pton (AF_INET, "192.0.2.1", &far.sin_addr);
  if (connect (fd, (struct sockaddr *)&far, sizeof far) != 0
      || getsockname (fd, (struct sockaddr *)&near, &size) != 0
      || !inet_ntop (AF_INET, &near.sin_addr, out, INET_ADDRSTRLEN))
    strcpy (out, "127.0.0.1");
  close (fd);
}

static void
set_default (Config *config, const char *option, const char *set, const char *value)
{
  char *error = NULL;

  if (!set)
    config_set_option (config, option, value, &error);
  free (error);
}

/* Whether a program may have PORT of ADDRESS, for TCP or UDP. */
static bool
is_free (IpPort at, int type)
{
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (&at, &address);
  int fd = socket (address.ss_family, type | SOCK_CLOEXEC, 0), one = 1;

  if (type == SOCK_STREAM)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  bool free = bind (fd, (struct sockaddr *)&address, size) == 0;
  int reason = errno;
  close (fd);
  errno = reason;
  return free;
}

/* The usual port, or the next one that nobody has. */
static unsigned
choose_port (const IpAddr *address, uint16_t usual, int type)
{
  IpPort at = {*address, usual};

  for (unsigned i = 0; i < PORT_TRIES; i++, at.port++)
    if (is_free (at, type))
      return at.port;
  return usual;
}

/* "HOST", or "[HOST]" for IPv6, of "http://HOST:PORT/…". */
static void
host_of (const char *url, char out[HOST_MAX])
{
  const char *host = strstr (url, "://") + 3;
  size_t n = *host == '[' ? strcspn (host, "]/") + 1 : strcspn (host, ":/");

  snprintf (out, HOST_MAX, "%.*s", (int)n, host);
}

/* What was not said. Where the network listens, and what devices are told, follow from what was. */
static void
choose (Config *config)
{
  const ServerOptions *options = &config->options;
  IpPort listen = {.addr = ip_from_v4 (0)};
  char host[HOST_MAX], address[IP_TEXT_MAX], text[HOST_MAX + 32];

  if (options->listen)
    ip_port_parse (options->listen, strlen (options->listen), &listen);
  else
    listen.port = (uint16_t)choose_port (&listen.addr, CONTROL_PORT, SOCK_STREAM);
  ip_port_format (&listen, text);
  set_default (config, "listen", options->listen, text);
  main_address (address);
  snprintf (text, sizeof text, "http://%s:%u", address, listen.port);
  set_default (config, "url", options->url, text);
  host_of (options->url, host);
  unsigned port = choose_port (&listen.addr, RELAY_PORT, SOCK_STREAM);
  IpPort relay = {listen.addr, (uint16_t)port};
  if (options->relay_listen)
    ip_port_parse (options->relay_listen, strlen (options->relay_listen), &relay);
  ip_port_format (&relay, text);
  set_default (config, "relay-listen", options->relay_listen, text);
  snprintf (text, sizeof text, "https://%s:%u", host, relay.port);
  set_default (config, "relay-url", options->relay_url, text);
  if (options->stun_port == STUN_PORT) {
    snprintf (text, sizeof text, "%u", choose_port (&relay.addr, STUN_PORT, SOCK_DGRAM));
    set_default (config, "stun-port", NULL, text);
  }
}

static void
append_value (const ConfigKey *key, const void *place, Buffer *out)
{
  char text[IP_PREFIX_TEXT_MAX];

  switch (key->kind) {
    case CONFIG_PREFIX4:
    case CONFIG_PREFIX6:
      if (((const IpPrefix *)place)->addr.family == 0)
        return;
      ip_prefix_format (place, text);
      buffer_append_format (out, "%s = %s\n", key->key, text);
      return;
    case CONFIG_PORT:
      buffer_append_format (out, "%s = %u\n", key->key, *(const uint16_t *)place);
      return;
    case CONFIG_DAYS:
      if (*(const int64_t *)place >= 0)
        buffer_append_format (out, "%s = %lldd\n", key->key, (long long)*(const int64_t *)place);
      return;
    case CONFIG_SWITCH:
      if (*(const bool *)place)
        buffer_append_format (out, "%s = true\n", key->key);
      return;
    case CONFIG_LIST:
      return;
    default:
      if (*(const char *const *)place)
        buffer_append_format (out, "%s = %s\n", key->key, *(const char *const *)place);
  }
}

static void
append_config (const Config *config, Buffer *out)
{
  size_t n;
  const ConfigKey *keys = config_keys (&n);
  const char *section = "";

  buffer_append_text (out,
                      "# Written when the network was created; see warren-coordinator.conf(5).\n");
  for (size_t i = 0; i < n; i++) {
    if (strcmp (keys[i].option, "data-dir") == 0 || strncmp (keys[i].option, "socket", 6) == 0)
      continue; /* they say where this file is found */
    if (strcmp (keys[i].section, section) != 0)
      buffer_append_format (out, "[%s]\n", keys[i].section);
    section = keys[i].section;
    append_value (&keys[i], (const char *)&config->options + keys[i].offset, out);
  }
  buffer_append (out, "", 1);
}

/* Two programs at one address would be found out only after the network was made. */
static bool
may_listen (const char *text, Buffer *out)
{
  IpPort at;

  if (!ip_port_parse (text, strlen (text), &at) || is_free (at, SOCK_STREAM))
    return true;
  buffer_append_format (out, "It cannot listen at %s: %s.\n", text, strerror (errno));
  return false;
}

/* "--name=home" or "--name home". */
static bool
read_words (Config *config, const char *const *words, size_t n, char **error)
{
  for (size_t i = 0; i < n; i++) {
    const char *equals = strchr (words[i], '=');
    bool is_option = strncmp (words[i], "--", 2) == 0;
    if (is_option && strcmp (words[i], "--json") == 0)
      continue;
    if (!is_option || (!equals && i + 1 == n)) {
      if (asprintf (error, is_option ? "%s needs a value" : "\"%s\" is not expected", words[i]) < 0)
        *error = NULL;
      return false;
    }
    size_t length = equals ? (size_t)(equals - words[i]) : strlen (words[i]);
    char *option = mem_strndup (words[i] + 2, length - 2);
    bool ok = config_set_option (config, option, equals ? equals + 1 : words[++i], error);
    free (option);
    if (!ok)
      return false;
  }
  return true;
}

int
setup_create (const char *dir, const char *const *words, size_t n, Buffer *out)
{
  char path[4096], *error = NULL;
  Buffer text = {0};
  Config config;
  int code = 2;

  snprintf (path, sizeof path, "%s/" SETUP_CONFIG_NAME, dir);
  if (access (path, F_OK) == 0) {
    buffer_append_format (out, "There is a network in %s already.\n", dir);
    return 1;
  }
  config_init (&config);
  bool ok = config_set_option (&config, "data-dir", dir, &error)
            && read_words (&config, words, n, &error);
  if (ok) {
    choose (&config);
    const char *wrong = config_check (&config);
    ok = !wrong;
    if (wrong)
      buffer_append_format (out, "%s.\n", wrong);
    ok = ok && may_listen (config.options.listen, out)
         && may_listen (config.options.relay_listen, out);
  } else {
    buffer_append_format (out, "%s.\n", error ? error : "That is not understood");
  }
  if (ok) {
    append_config (&config, &text);
    bool made = mkdir (dir, 0700) == 0 || errno == EEXIST;
    code = made && server_write_file (dir, path, (const char *)text.data) ? 0 : 1;
    buffer_append_format (out, code == 0 ? "%s\n" : "It could not be written to %s.\n",
                          code == 0 ? config.options.url : dir);
  }
  buffer_free (&text);
  config_clear (&config);
  free (error);
  return code;
}

/* ---- waiting ---- */

static void
answer (int fd, int code, const void *text, size_t size)
{
  uint8_t byte = (uint8_t)code;

  if (send (fd, &byte, 1, MSG_NOSIGNAL) == 1)
    (void)!send (fd, text, size, MSG_NOSIGNAL);
}

typedef enum
{
  WAIT_ON,
  WAIT_MADE, /* there is a network now */
  WAIT_STOP,
} WaitResult;

static WaitResult
serve_request (const ServerOptions *options, int fd, CommandRequest *request)
{
  bool creates = request->n_words > 0 && strcmp (request->words[0], "create") == 0;
  bool stops = request->n_words > 0 && strcmp (request->words[0], "stop") == 0;
  bool asks = request->n_words > 0 && strcmp (request->words[0], "status") == 0;
  Buffer out = {0};
  int code = 1;

  if (creates)
    code = setup_create (options->data_dir, (const char *const *)request->words + 1,
                         request->n_words - 1, &out);
  else if (asks && request->n_words > 1 && strcmp (request->words[1], "--json") == 0) {
    code = 0;
    buffer_append_text (&out, "{\"exists\":false}\n");
  } else if (stops) {
    code = 0;
    buffer_append_text (&out, "Stopped.\n");
  } else
    buffer_append_text (&out, none_yet);
  answer (fd, code, out.data, out.size);
  buffer_free (&out);
  command_request_clear (request);
  return stops ? WAIT_STOP : creates && code == 0 ? WAIT_MADE : WAIT_ON;
}

static WaitResult
serve_client (const ServerOptions *options, int fd)
{
  struct timeval timeout = {.tv_sec = TIMEOUT_S};
  CommandResult result = COMMAND_MORE;
  CommandRequest request;
  Buffer in = {0};
  uint8_t data[4096];
  ssize_t n;

  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  while (result == COMMAND_MORE && (n = recv (fd, data, sizeof data, 0)) > 0) {
    buffer_append (&in, data, (size_t)n);
    result = command_request_read (in.data, in.size, &request);
  }
  WaitResult wait = result == COMMAND_READY ? serve_request (options, fd, &request) : WAIT_ON;
  buffer_free (&in);
  return wait;
}

int
setup_wait (const ServerOptions *options)
{
  if (mkdir (options->data_dir, 0700) != 0 && errno != EEXIST) {
    fprintf (stderr, "warren-coordinator: %s: %s\n", options->data_dir, strerror (errno));
    return -1;
  }
  int listener = server_listen_commands (options);
  WaitResult wait = WAIT_ON;
  if (listener < 0)
    return -1;
  sigset_t ends; /* by default; a server that was here before took them for itself */
  sigemptyset (&ends);
  sigaddset (&ends, SIGTERM);
  sigaddset (&ends, SIGINT);
  sigprocmask (SIG_UNBLOCK, &ends, NULL);
  fcntl (listener, F_SETFL, 0); /* nothing else happens here: accept may wait */
  while (wait == WAIT_ON) {
    int fd = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 && errno != EINTR && errno != ECONNABORTED) {
      perror ("warren-coordinator");
      close (listener);
      return -1;
    }
    wait = fd >= 0 ? serve_client (options, fd) : WAIT_ON;
    if (fd >= 0)
      close (fd);
  }
  close (listener);
  return wait == WAIT_MADE;
}

/* ---- forgetting ---- */

void
setup_forget (const char *dir)
{
  static const char *const names[]
      = {"coordinator.db", "coordinator.db-wal", "coordinator.db-shm", "server.key",
         "relay.key",      "relay.key.pem",      "relay.crt",          SETUP_CONFIG_NAME};
  char path[4096];

  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf (path, sizeof path, "%s/%s", dir, names[i]);
    if (unlink (path) != 0 && errno != ENOENT)
      fprintf (stderr, "warren-coordinator: %s: %s\n", path, strerror (errno));
  }
}
