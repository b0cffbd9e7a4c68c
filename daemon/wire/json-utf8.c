#include "wire/json-utf8.h"

uint32_t
utf8_read (const uint8_t *p, size_t left, size_t *used)
{
  static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
  size_t more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;

  *used = 1;
  if (p[0] < 0x80)
    return p[0];
  if (p[0] < 0xc0 || p[0] > 0xf4 || left <= more)
    return UTF8_REPLACEMENT;
  uint32_t code = p[0] & (0x3fu >> more);
  for (size_t i = 1; i <= more; i++) {
    if ((p[i] & 0xc0) != 0x80)
      return UTF8_REPLACEMENT;
    code = code << 6 | (p[i] & 0x3fu);
  }
  if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
    return UTF8_REPLACEMENT;
  *used = more + 1;
  return code;
}

size_t
utf8_write (uint32_t code, char out[UTF8_MAX])
{
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
    code = UTF8_REPLACEMENT;
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 0x3f));
  out[2] = (char)(0x80 | (code >> 6 & 0x3f));
  out[3] = (char)(0x80 | (code & 0x3f));
  return 4;
}
