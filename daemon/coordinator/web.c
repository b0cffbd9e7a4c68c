#include "coordinator/web.h"

#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static int
hex_value (char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)tolower ((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One piece of "a=b&c=d" with its escapes undone, behind *AT in OUT, with a NUL. False when it is
 * badly encoded. */
static bool
decode_piece (const char *text, size_t size, char *out, size_t *at)
{
  for (size_t i = 0; i < size; i++) {
    int c = (unsigned char)text[i];
    if (c == '+') {
      c = ' ';
    } else if (c == '%') {
      int high = size - i > 2 ? hex_value (text[i + 1]) : -1;
      int low = size - i > 2 ? hex_value (text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return false;
      c = high << 4 | low;
      i += 2;
    }
    if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
      return false;
    out[(*at)++] = (char)c;
  }
  out[(*at)++] = '\0';
  return true;
}

/* Length of the UTF-8 character at TEXT, 0 when it is none. */
static size_t
utf8_length (const unsigned char *text)
{
  size_t n = text[0] < 0x80   ? 1
             : text[0] < 0xc2 ? 0
             : text[0] < 0xe0 ? 2
             : text[0] < 0xf0 ? 3
             : text[0] < 0xf5 ? 4
                              : 0;

  for (size_t i = 1; i < n; i++)
    if ((text[i] & 0xc0) != 0x80)
      return 0;
  if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f)
      || (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
    return 0;
  return n;
}

static bool
is_utf8 (const char *text)
{
  const unsigned char *at = (const unsigned char *)text;

  while (*at) {
    size_t n = utf8_length (at);
    if (n == 0)
      return false;
    at += n;
  }
  return true;
}

static bool
parse_pair (const char *pair, size_t size, WebForm *form, size_t *at)
{
  const char *equals = memchr (pair, '=', size);
  size_t name_size = equals ? (size_t)(equals - pair) : size;
  size_t name = *at;

  if (form->n == WEB_FIELDS_MAX || !decode_piece (pair, name_size, form->text, at))
    return false;
  size_t value = *at;
  if (!decode_piece (equals ? equals + 1 : "", equals ? size - name_size - 1 : 0, form->text, at))
    return false;
  form->names[form->n] = form->text + name;
  form->values[form->n++] = form->text + value;
  return is_utf8 (form->text + name) && is_utf8 (form->text + value);
}

bool
web_form_parse (const void *data, size_t size, WebForm *form)
{
  const char *text = data;
  size_t at = 0;

  *form = (WebForm){0};
  if (size > WEB_FORM_MAX)
    return false;
  /* No piece grows, and each brings at most two NULs. */
  form->text = mem_new (size + 2 * WEB_FIELDS_MAX + 2);
  for (size_t start = 0; start < size;) {
    const char *end = memchr (text + start, '&', size - start);
    size_t length = end ? (size_t)(end - text) - start : size - start;
    if (length > 0 && !parse_pair (text + start, length, form, &at)) {
      web_form_clear (form);
      return false;
    }
    start += length + 1;
  }
  return true;
}

const char *
web_form_get (const WebForm *form, const char *name)
{
  for (size_t i = 0; i < form->n; i++)
    if (strcmp (form->names[i], name) == 0)
      return form->values[i];
  return "";
}

void
web_form_clear (WebForm *form)
{
  free (form->text);
  *form = (WebForm){0};
}

const char *
web_query (const char *path)
{
  const char *mark = strchr (path, '?');

  return mark ? mark + 1 : "";
}

bool
web_path_is (const char *path, const char *name)
{
  size_t n = strlen (name);

  return strncmp (path, name, n) == 0 && (path[n] == '\0' || path[n] == '?');
}

bool
web_cookie_get (const char *header, const char *name, char *out, size_t size)
{
  size_t n = strlen (name);

  if (strlen (header) > WEB_COOKIE_MAX)
    return false;
  while (*header) {
    header += strspn (header, " \t;");
    size_t length = strcspn (header, ";");
    if (length > n && header[n] == '=' && strncmp (header, name, n) == 0) {
      size_t value = length - n - 1;
      while (value > 0 && strchr (" \t", header[n + value]))
        value--;
      if (value >= size)
        return false;
      memcpy (out, header + n + 1, value);
      out[value] = '\0';
      return true;
    }
    header += length;
  }
  return false;
}

/* ---- writing ---- */

void
web_append_escaped (Buffer *out, const char *text)
{
  const unsigned char *at = (const unsigned char *)text;

  while (*at) {
    size_t n = utf8_length (at);
    if (n == 0 || *at == 0x7f || (*at < ' ' && *at != '\n')) {
      buffer_append_text (out, "\xef\xbf\xbd");
      at++;
    } else if (n == 1 && strchr ("&<>\"'", (char)*at)) {
      buffer_append_format (out, "&#%d;", *at++);
    } else {
      buffer_append (out, at, n);
      at += n;
    }
  }
}

void
web_append_encoded (Buffer *out, const char *text)
{
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 128 && (isalnum (c) || strchr ("-._~", c)))
      buffer_append (out, text, 1);
    else
      buffer_append_format (out, "%%%02X", c);
  }
}

void
web_redirect (WebResponse *response, int status, const char *location)
{
  response->status = status;
  response->type = WEB_HTML;
  /* Nothing from outside may break the head. */
  if (strpbrk (location, "\r\n"))
    location = "/";
  buffer_append_format (&response->headers, "Location: %s\r\n", location);
}

void
web_set_cookie (WebResponse *response, const char *name, const char *value, int max_age_s,
                bool secure)
{
  buffer_append_format (&response->headers, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax",
                        name, value);
  if (max_age_s >= 0)
    buffer_append_format (&response->headers, "; Max-Age=%d", max_age_s);
  buffer_append_text (&response->headers, secure ? "; Secure\r\n" : "\r\n");
}

void
web_response_clear (WebResponse *response)
{
  buffer_free (&response->headers);
  buffer_free (&response->body);
  *response = (WebResponse){0};
}
