#include "wire/command.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

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
