/* The command socket as its clients see it. */

#include "coordinator/server.h"

#include "base/memory.h"
#include "wire/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "control.sock"

bool
server_socket_path (const ServerOptions *options, char *out, size_t size)
{
  int n = options->socket ? snprintf (out, size, "%s", options->socket)
                          : snprintf (out, size, "%s/" SOCKET_NAME, options->data_dir);

  return n > 0 && (size_t)n < size;
}

int
server_connect (const ServerOptions *options)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (!server_socket_path (options, address.sun_path, sizeof address.sun_path))
    errno = ENAMETOOLONG;
  else if (fd >= 0 && connect (fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  int reason = errno;
  if (fd >= 0)
    close (fd);
  errno = reason;
  return -1;
}

/* All of DATA; false when the other side does not take it. */
static bool
write_all (int fd, const void *data, size_t size)
{
  const char *rest = data;
  ssize_t n = 0;

  while (size > 0 && ((n = write (fd, rest, size)) > 0 || errno == EINTR)) {
    rest += n > 0 ? n : 0;
    size -= n > 0 ? (size_t)n : 0;
  }
  return size == 0;
}

static bool
send_request (int fd, const char *const *words, unsigned n, const char *input)
{
  Buffer request = {0};

  command_request_write (words, n, input, &request);
  bool ok = write_all (fd, request.data, request.size);
  buffer_free (&request);
  return ok;
}

/* What went wrong goes to stderr, everything else to OUT: an answer, or a document (JSON) that says
 * what is wrong. */
static int
take_answer (int fd, int out)
{
  char answer[65536];
  int code = -1, to = -1;
  ssize_t got;

  while ((got = read (fd, answer, sizeof answer)) > 0) {
    const char *text = answer;
    if (code < 0) {
      code = (unsigned char)*text++;
      got--;
    }
    if (got > 0 && to < 0)
      to = code == 0 || *text == '{' ? out : STDERR_FILENO;
    if (got > 0 && !write_all (to, text, (size_t)got)) {
      perror ("warren-coordinator");
      return 1;
    }
  }
  if (code < 0)
    fprintf (stderr, "warren-coordinator: the server went away\n");
  return code < 0 ? 1 : code;
}

int
server_command (const ServerOptions *options, const char *const *words, unsigned n,
                const char *input, int out)
{
  int fd = server_connect (options);

  if (fd < 0) {
    fprintf (stderr, "warren-coordinator: no server answers in %s: %s\n",
             options->socket ? options->socket : options->data_dir, strerror (errno));
    return 1;
  }
  int code = send_request (fd, words, n, input) ? take_answer (fd, out) : 1;
  close (fd);
  return code;
}
