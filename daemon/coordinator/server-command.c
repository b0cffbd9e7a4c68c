#include "coordinator/server-command.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "coordinator/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NO_INPUT UINT32_MAX

void
command_request_clear (CommandRequest *request)
{
  for (size_t i = 0; i < request->n_words; i++)
    free (request->words[i]);
  free (request->input);
  *request = (CommandRequest){0};
}

/* One text, NULL when it is not there (yet). */
static char *
read_text (ByteReader *r, uint32_t size)
{
  const uint8_t *text = size <= COMMAND_SIZE_MAX ? byte_reader_take (r, size) : NULL;

  return text ? mem_strndup ((const char *)text, size) : NULL;
}

CommandResult
command_request_read (const void *data, size_t size, CommandRequest *request)
{
  ByteReader r = byte_reader (data, size);
  uint32_t n = byte_reader_le32 (&r);

  *request = (CommandRequest){0};
  if (size > COMMAND_SIZE_MAX || (!r.failed && n > COMMAND_WORDS_MAX))
    return COMMAND_BAD;
  while (!r.failed && request->n_words < n) {
    char *word = read_text (&r, byte_reader_le32 (&r));
    if (word)
      request->words[request->n_words++] = word;
  }
  uint32_t input = byte_reader_le32 (&r);
  if (!r.failed && input != NO_INPUT)
    request->input = read_text (&r, input);
  if (!r.failed)
    return COMMAND_READY;
  command_request_clear (request);
  return COMMAND_MORE;
}

static void
write_text (const char *text, Buffer *out)
{
  uint8_t size[4];

  store_le32 (size, text ? (uint32_t)strlen (text) : NO_INPUT);
  buffer_append (out, size, sizeof size);
  if (text)
    buffer_append_text (out, text);
}

void
command_request_write (const char *const *words, size_t n, const char *input, Buffer *out)
{
  uint8_t count[4];

  store_le32 (count, (uint32_t)n);
  buffer_append (out, count, sizeof count);
  for (size_t i = 0; i < n; i++)
    write_text (words[i], out);
  write_text (input, out);
}

bool
command_socket_path (const char *data_dir, char *out, size_t size)
{
  int n = snprintf (out, size, "%s/control.sock", data_dir);

  return n > 0 && (size_t)n < size;
}

static int
connect_to (const char *data_dir)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (!command_socket_path (data_dir, address.sun_path, sizeof address.sun_path)) {
    errno = ENAMETOOLONG;
  } else if (fd >= 0 && connect (fd, (struct sockaddr *)&address, sizeof address) == 0) {
    return fd;
  }
  fprintf (stderr, "warren-coordinator: no server answers in %s: %s\n", data_dir, strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

int
server_command (const char *data_dir, const char *const *words, unsigned n, const char *input)
{
  Buffer request = {0};
  char answer[65536];
  int fd = connect_to (data_dir), code = -1;
  ssize_t got;

  if (fd < 0)
    return 1;
  command_request_write (words, n, input, &request);
  while (request.size > 0 && (got = write (fd, request.data, request.size)) > 0)
    buffer_consume (&request, (size_t)got);
  buffer_free (&request);
  while ((got = read (fd, answer, sizeof answer)) > 0) {
    size_t skip = code < 0 ? 1 : 0;
    if (code < 0)
      code = answer[0];
    fwrite (answer + skip, 1, (size_t)got - skip, code == 0 ? stdout : stderr);
  }
  close (fd);
  if (code < 0)
    fprintf (stderr, "warren-coordinator: the server went away\n");
  return code < 0 ? 1 : code;
}
