#include "wire/http1.h"

#include <string.h>
#include <strings.h>

/* --- Head ---------------------------------------------------------------------------------- */

void
http1_head_init (Http1Head *head, bool is_request)
{
  memset (head, 0, sizeof *head);
  head->is_request = is_request;
}

/* Offset behind the blank line, or 0. An LF that ends a line and is followed by (CR) LF ends the
 * head; so does a blank first line, which is then refused as an empty start line. */
static size_t
find_end (Http1Head *head, const char *data, size_t size)
{
  for (size_t i = head->scanned; i < size; i++) {
    if (data[i] != '\n')
      continue;
    if (i + 1 < size && data[i + 1] == '\n')
      return i + 2;
    if (i + 2 < size && data[i + 1] == '\r' && data[i + 2] == '\n')
      return i + 3;
  }
  head->scanned = size > 2 ? size - 2 : 0;
  return 0;
}

/* Takes one line off the front of REST, without its end. */
static Http1Text
take_line (Http1Text *rest)
{
  const char *lf = memchr (rest->text, '\n', rest->length);
  Http1Text line = {rest->text, lf ? (size_t)(lf - rest->text) : rest->length};
  size_t used = line.length + (lf ? 1 : 0);

  rest->text += used;
  rest->length -= used;
  if (line.length > 0 && line.text[line.length - 1] == '\r')
    line.length--;
  return line;
}

/* Takes what stands before SEPARATOR off the front of LINE; false when there is none. */
static bool
take_word (Http1Text *line, char separator, Http1Text *word)
{
  const char *end = memchr (line->text, separator, line->length);

  if (!end)
    return false;
  *word = (Http1Text){line->text, (size_t)(end - line->text)};
  line->text += word->length + 1;
  line->length -= word->length + 1;
  return true;
}

static bool
parse_version (Http1Text word, int *minor)
{
  if (word.length != 8 || memcmp (word.text, "HTTP/1.", 7) != 0)
    return false;
  *minor = word.text[7] - '0';
  return *minor == 0 || *minor == 1;
}

static bool
parse_status_line (Http1Head *head, Http1Text line)
{
  Http1Text version, code;

  if (!take_word (&line, ' ', &version) || !parse_version (version, &head->minor))
    return false;
  if (!take_word (&line, ' ', &code)) {
    code = line; /* the reason and its blank may be missing */
    line.length = 0;
  }
  if (code.length != 3)
    return false;
  for (int i = 0; i < 3; i++) {
    if (code.text[i] < '0' || code.text[i] > '9')
      return false;
    head->status = head->status * 10 + (code.text[i] - '0');
  }
  head->reason = line;
  return head->status >= 100;
}

static bool
parse_request_line (Http1Head *head, Http1Text line)
{
  return take_word (&line, ' ', &head->method) && head->method.length > 0
         && take_word (&line, ' ', &head->target) && head->target.length > 0
         && parse_version (line, &head->minor);
}

static bool
is_token (Http1Text text)
{
  for (size_t i = 0; i < text.length; i++) {
    unsigned char c = (unsigned char)text.text[i];
    if (c <= ' ' || c >= 127 || strchr ("()<>@,;:\\\"/[]?={}", c))
      return false;
  }
  return text.length > 0;
}

static Http1Text
trim (Http1Text text)
{
  while (text.length > 0 && (text.text[0] == ' ' || text.text[0] == '\t')) {
    text.text++;
    text.length--;
  }
  while (text.length > 0
         && (text.text[text.length - 1] == ' ' || text.text[text.length - 1] == '\t'))
    text.length--;
  return text;
}

static bool
parse_field (Http1Head *head, Http1Text line)
{
  Http1Field *field = &head->fields[head->n_fields];

  if (head->n_fields == HTTP1_FIELDS_MAX || !take_word (&line, ':', &field->name)
      || !is_token (field->name) || memchr (line.text, '\0', line.length))
    return false;
  field->value = trim (line);
  head->n_fields++;
  return true;
}

Http1Result
http1_head_parse (Http1Head *head, const void *data, size_t size)
{
  size_t bounded = size < HTTP1_HEAD_MAX ? size : HTTP1_HEAD_MAX;
  size_t end = find_end (head, data, bounded);

  if (end == 0)
    return size < HTTP1_HEAD_MAX ? HTTP1_MORE : HTTP1_BAD;

  Http1Text rest = {data, end};
  Http1Text line = take_line (&rest);
  if (head->is_request ? !parse_request_line (head, line) : !parse_status_line (head, line))
    return HTTP1_BAD;
  while ((line = take_line (&rest)).length > 0)
    if (!parse_field (head, line))
      return HTTP1_BAD;
  head->body_offset = end;
  return HTTP1_DONE;
}

bool
http1_text_is (Http1Text text, const char *word)
{
  return strlen (word) == text.length && strncasecmp (text.text, word, text.length) == 0;
}

Http1Text
http1_field (const Http1Head *head, const char *name)
{
  for (size_t i = 0; i < head->n_fields; i++)
    if (http1_text_is (head->fields[i].name, name))
      return head->fields[i].value;
  return (Http1Text){NULL, 0};
}

bool
http1_field_has (const Http1Head *head, const char *name, const char *word)
{
  for (size_t i = 0; i < head->n_fields; i++) {
    if (!http1_text_is (head->fields[i].name, name))
      continue;
    Http1Text rest = head->fields[i].value, item;
    while (take_word (&rest, ',', &item))
      if (http1_text_is (trim (item), word))
        return true;
    if (http1_text_is (trim (rest), word))
      return true;
  }
  return false;
}

/* --- Body ---------------------------------------------------------------------------------- */

enum
{
  CHUNK_SIZE,      /* reading hex digits */
  CHUNK_EXTENSION, /* skipping to the end of the size line */
  CHUNK_DATA,
  CHUNK_DATA_END, /* the line end behind the data */
  CHUNK_TRAILER,  /* lines up to a blank one */
  CHUNK_DONE,
};

static bool
parse_length (Http1Text text, uint64_t *out)
{
  *out = 0;
  if (text.length == 0 || text.length > 15)
    return false;
  for (size_t i = 0; i < text.length; i++) {
    if (text.text[i] < '0' || text.text[i] > '9')
      return false;
    *out = *out * 10 + (uint64_t)(text.text[i] - '0');
  }
  return true;
}

bool
http1_body_init (Http1Body *body, const Http1Head *head, bool head_request, size_t limit)
{
  Http1Text length = http1_field (head, "Content-Length");
  bool chunked = http1_field_has (head, "Transfer-Encoding", "chunked");

  *body = (Http1Body){.kind = HTTP1_BODY_NONE, .limit = limit};
  if (length.text && (chunked || !parse_length (length, &body->left)))
    return false;
  if (head_request || head->status == 204 || head->status == 304
      || (!head->is_request && head->status < 200))
    body->left = 0;
  else if (chunked)
    body->kind = HTTP1_BODY_CHUNKED;
  else if (length.text)
    body->kind = HTTP1_BODY_LENGTH;
  else if (!head->is_request)
    body->kind = HTTP1_BODY_UNTIL_EOF;
  return true;
}

/* Moves up to the bytes still expected; false above the limit. */
static bool
move_bytes (Http1Body *body, Buffer *in, Buffer *out)
{
  size_t n = in->size < body->left ? in->size : (size_t)body->left;

  if (n > body->limit)
    return false;
  body->limit -= n;
  body->left -= n;
  buffer_append (out, in->data, n);
  buffer_consume (in, n);
  return true;
}

static int
hex_value (uint8_t c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of chunk framing; false: not chunked coding. */
static bool
chunk_byte (Http1Body *body, uint8_t c)
{
  switch (body->chunk_state) {
    case CHUNK_SIZE:
      if (hex_value (c) >= 0 && body->line_length < 8) {
        body->left = body->left << 4 | (uint64_t)hex_value (c);
        body->line_length++;
        return true;
      }
      if (body->line_length == 0 || (c != '\r' && c != '\n' && c != ';' && c != ' '))
        return false;
      body->chunk_state = CHUNK_EXTENSION;
      /* fall through */
    case CHUNK_EXTENSION:
      if (c == '\n') {
        body->chunk_state = body->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        body->line_length = 0;
        return true;
      }
      return ++body->line_length < 256;
    case CHUNK_DATA_END:
      if (c == '\r')
        return true;
      body->chunk_state = CHUNK_SIZE;
      body->line_length = 0;
      return c == '\n';
    case CHUNK_TRAILER:
      if (c == '\n' && body->line_length == 0)
        body->chunk_state = CHUNK_DONE;
      else if (c == '\n')
        body->line_length = 0;
      else if (c != '\r' && ++body->line_length >= 1024)
        return false;
      return true;
    default:
      return false;
  }
}

static Http1Result
feed_chunked (Http1Body *body, Buffer *in, Buffer *out)
{
  while (body->chunk_state != CHUNK_DONE) {
    if (in->size == 0)
      return HTTP1_MORE;
    if (body->chunk_state == CHUNK_DATA) {
      if (!move_bytes (body, in, out))
        return HTTP1_BAD;
      if (body->left == 0)
        body->chunk_state = CHUNK_DATA_END;
      continue;
    }
    if (!chunk_byte (body, in->data[0]))
      return HTTP1_BAD;
    buffer_consume (in, 1);
  }
  return HTTP1_DONE;
}

Http1Result
http1_body_feed (Http1Body *body, Buffer *in, Buffer *out)
{
  switch (body->kind) {
    case HTTP1_BODY_NONE:
      return HTTP1_DONE;
    case HTTP1_BODY_LENGTH:
      if (!move_bytes (body, in, out))
        return HTTP1_BAD;
      return body->left == 0 ? HTTP1_DONE : HTTP1_MORE;
    case HTTP1_BODY_CHUNKED:
      return feed_chunked (body, in, out);
    case HTTP1_BODY_UNTIL_EOF:
      body->left = in->size;
      return move_bytes (body, in, out) ? HTTP1_MORE : HTTP1_BAD;
  }
  return HTTP1_BAD;
}
