/* What browsers send: forms, queries, cookies, and what is shown of them. */
#include "base/memory.h"
#include "coordinator/web.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* A form that was read is the same when it is written and read again. */
static void
check_form (const uint8_t *data, size_t size)
{
  WebForm form, again;
  Buffer out = {0};

  if (!web_form_parse (data, size, &form)) {
    assert (form.n == 0 && !form.text);
    return;
  }
  for (size_t i = 0; i < form.n; i++) {
    web_append_encoded (&out, form.names[i]);
    buffer_append_text (&out, "=");
    web_append_encoded (&out, form.values[i]);
    buffer_append_text (&out, "&");
    assert (strlen (web_form_get (&form, form.names[i])) <= size);
  }
  if (out.size <= WEB_FORM_MAX) {
    assert (web_form_parse (out.data, out.size, &again));
    assert (again.n == form.n);
    for (size_t i = 0; i < form.n; i++)
      assert (strcmp (again.names[i], form.names[i]) == 0
              && strcmp (again.values[i], form.values[i]) == 0);
    web_form_clear (&again);
  }
  web_form_clear (&form);
  buffer_free (&out);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  char *text = mem_strndup ((const char *)data, size), value[64];
  WebResponse response = {0};
  Buffer out = {0};

  check_form (data, size);
  if (web_cookie_get (text, "warren", value, sizeof value))
    assert (strlen (value) < sizeof value && !strchr (value, ';'));
  web_append_escaped (&out, text);
  buffer_append (&out, "", 1);
  assert (!strpbrk ((char *)out.data, "<>\"'"));
  assert (strlen (web_query (text)) <= size);
  web_path_is (text, "/register/");
  web_redirect (&response, 303, text);
  web_set_cookie (&response, "warren", "value", 60, size & 1);
  size_t lines = 0;
  for (size_t i = 0; i < response.headers.size; i++)
    lines += response.headers.data[i] == '\n';
  assert (lines == 2);
  web_response_clear (&response);
  buffer_free (&out);
  free (text);
  return 0;
}
