/* HTTP/1.1 heads and bodies, both roles, whole and byte by byte. */
#include "wire/http1.h"

#include <stdlib.h>
#include <string.h>

static Http1Result
parse (Http1Head *head, bool is_request, const uint8_t *data, size_t size, size_t step)
{
  Http1Result result = HTTP1_MORE;

  http1_head_init (head, is_request);
  for (size_t n = step < size ? step : size; result == HTTP1_MORE; n += step) {
    if (n > size)
      n = size;
    result = http1_head_parse (head, data, n);
    if (n == size)
      break;
  }
  return result;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Http1Head whole, pieces;
  Http1Body body;
  Buffer in = {0}, out = {0};

  if (size < 1)
    return 0;
  bool is_request = data[0] & 1, head_request = data[0] & 2;
  data++;
  size--;
  Http1Result result = parse (&whole, is_request, data, size, size > 0 ? size : 1);
  if (parse (&pieces, is_request, data, size, 1) != result)
    abort ();
  if (result != HTTP1_DONE)
    return 0;
  if (whole.body_offset != pieces.body_offset || whole.n_fields != pieces.n_fields
      || whole.body_offset > size)
    abort ();
  http1_field_has (&whole, "Connection", "upgrade");
  if (!http1_body_init (&body, &whole, head_request, 1000))
    return 0;
  for (size_t i = whole.body_offset; i < size; i++) {
    buffer_append (&in, data + i, 1);
    if (http1_body_feed (&body, &in, &out) != HTTP1_MORE)
      break;
  }
  if (out.size > 1000)
    abort ();
  buffer_free (&in);
  buffer_free (&out);
  return 0;
}
