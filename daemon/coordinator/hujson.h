/* JSON as people write it: with comments and trailing commas (spec/netmap-and-policy.md D.1).
 *
 * Turned into plain JSON in place and byte for byte, so that positions in the one are positions in
 * the other. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct
{
  size_t at;        /* byte offset of the error */
  const char *what; /* what was expected, static text */
} HujsonError;

/* Blanks out comments and trailing commas in SIZE bytes at TEXT. False when a comment or string
 * does not end; other errors are the JSON reader's to find. */
bool hujson_standardize (char *text, size_t size, HujsonError *error);

/* Line and column, both from 1, of offset AT; columns count bytes. */
void text_position (const char *text, size_t at, unsigned *line, unsigned *column);
