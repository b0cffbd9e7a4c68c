#include "coordinator/hujson.h"

#include <string.h>

/* The offset behind the string that begins at AT, or 0 when it does not end. */
static size_t
skip_string (const char *text, size_t size, size_t at)
{
  for (size_t i = at + 1; i < size; i++) {
    if (text[i] == '\\')
      i++;
    else if (text[i] == '"')
      return i + 1;
    else if (text[i] == '\n')
      return 0;
  }
  return 0;
}

/* Blanks the comment at AT and returns the offset behind it; 0 when it does not end, AT when there
 * is none. Line breaks stay, so that lines keep their numbers. */
static size_t
blank_comment (char *text, size_t size, size_t at)
{
  size_t end = at;

  if (at + 1 >= size || text[at] != '/')
    return at;
  if (text[at + 1] == '/') {
    while (end < size && text[end] != '\n')
      end++;
  } else if (text[at + 1] == '*') {
    for (end = at + 2; end + 1 < size && !(text[end] == '*' && text[end + 1] == '/');)
      end++;
    if (end + 1 >= size)
      return 0;
    end += 2;
  }
  for (size_t i = at; i < end; i++)
    if (text[i] != '\n' && text[i] != '\r')
      text[i] = ' ';
  return end;
}

static bool
is_blank (char c)
{
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool
hujson_standardize (char *text, size_t size, HujsonError *error)
{
  size_t comma = size; /* the last comma that nothing has followed yet */
  bool value_before = false;

  for (size_t i = 0; i < size;) {
    size_t end = i + 1;
    if (text[i] == '"') {
      end = skip_string (text, size, i);
      *error = (HujsonError){i, "a string that ends on its line"};
    } else if (text[i] == '/') {
      end = blank_comment (text, size, i);
      *error = (HujsonError){i, "a comment that ends with */"};
      if (end > i) {
        i = end;
        continue;
      }
      end = i + 1;
      if (text[i] == '/' && i + 1 < size && text[i + 1] == '*')
        return false;
    }
    if (end == 0)
      return false;
    char c = text[i];
    if (c == ',') {
      comma = value_before ? i : size;
      value_before = false;
    } else if ((c == ']' || c == '}') && comma < size) {
      text[comma] = ' ';
      comma = size;
      value_before = true;
    } else if (!is_blank (c)) {
      comma = size;
      value_before = c != '[' && c != '{' && c != ':';
    }
    i = end;
  }
  return true;
}

void
text_position (const char *text, size_t at, unsigned *line, unsigned *column)
{
  size_t start = 0;

  *line = 1;
  for (size_t i = 0; i < at; i++) {
    if (text[i] == '\n') {
      (*line)++;
      start = i + 1;
    }
  }
  *column = (unsigned)(at - start) + 1;
}
