/* How a command travels on the coordinator's socket: words in, text out, one command a connection.
 *
 * Request: le32 number of words, each le32 length and bytes, then le32 length and bytes of the
 * input text (0xffffffff: none). Answer: one byte exit code, then text to the end. The socket's
 * permissions are the only authorisation. Any thread. */
#pragma once

#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_WORDS_MAX 256
#define COMMAND_SIZE_MAX  (8u << 20)

typedef struct
{
  char *words[COMMAND_WORDS_MAX + 1];
  size_t n_words;
  char *input; /* NULL: none */
} CommandRequest;

typedef enum
{
  COMMAND_MORE,
  COMMAND_READY,
  COMMAND_BAD,
} CommandResult;

/* Reads a request from the bytes that came so far; clear it after COMMAND_READY. */
CommandResult command_request_read (const void *data, size_t size, CommandRequest *request);
void command_request_clear (CommandRequest *request);
void command_request_write (const char *const *words, size_t n, const char *input, Buffer *out);
