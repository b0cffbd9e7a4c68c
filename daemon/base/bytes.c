#include "base/bytes.h"

#include <endian.h>
#include <string.h>

ByteReader
byte_reader (const void *data, size_t size)
{
  return (ByteReader){.data = data, .size = size};
}

size_t
byte_reader_left (const ByteReader *r)
{
  return r->failed ? 0 : r->size - r->pos;
}

const uint8_t *
byte_reader_take (ByteReader *r, size_t size)
{
  if (size > byte_reader_left (r)) {
    r->failed = true;
    return NULL;
  }
  const uint8_t *p = r->data + r->pos;
  r->pos += size;
  return p;
}

void
byte_reader_skip (ByteReader *r, size_t size)
{
  (void)byte_reader_take (r, size);
}

void
byte_reader_copy (ByteReader *r, void *out, size_t size)
{
  const uint8_t *p = byte_reader_take (r, size);
  if (size == 0)
    return;
  if (p)
    memcpy (out, p, size);
  else
    memset (out, 0, size);
}

uint8_t
byte_reader_u8 (ByteReader *r)
{
  const uint8_t *p = byte_reader_take (r, 1);
  return p ? *p : 0;
}

#define DEFINE_READ(name, type)                                                                    \
  type byte_reader_##name (ByteReader *r)                                                          \
  {                                                                                                \
    const uint8_t *p = byte_reader_take (r, sizeof (type));                                        \
    return p ? load_##name (p) : 0;                                                                \
  }

DEFINE_READ (be16, uint16_t)
DEFINE_READ (be32, uint32_t)
DEFINE_READ (be64, uint64_t)
DEFINE_READ (le16, uint16_t)
DEFINE_READ (le32, uint32_t)
DEFINE_READ (le64, uint64_t)

ByteWriter
byte_writer (void *data, size_t size)
{
  return (ByteWriter){.data = data, .size = size};
}

uint8_t *
byte_writer_take (ByteWriter *w, size_t size)
{
  if (w->failed || size > w->size - w->pos) {
    w->failed = true;
    return NULL;
  }
  uint8_t *p = w->data + w->pos;
  w->pos += size;
  return p;
}

void
byte_writer_copy (ByteWriter *w, const void *data, size_t size)
{
  uint8_t *p = byte_writer_take (w, size);
  if (p && size > 0)
    memcpy (p, data, size);
}

void
byte_writer_zero (ByteWriter *w, size_t size)
{
  uint8_t *p = byte_writer_take (w, size);
  if (p && size > 0)
    memset (p, 0, size);
}

void
byte_writer_u8 (ByteWriter *w, uint8_t value)
{
  byte_writer_copy (w, &value, 1);
}

#define DEFINE_WRITE(name, type)                                                                   \
  void byte_writer_##name (ByteWriter *w, type value)                                              \
  {                                                                                                \
    uint8_t *p = byte_writer_take (w, sizeof (type));                                              \
    if (p)                                                                                         \
      store_##name (p, value);                                                                     \
  }

DEFINE_WRITE (be16, uint16_t)
DEFINE_WRITE (be32, uint32_t)
DEFINE_WRITE (be64, uint64_t)
DEFINE_WRITE (le16, uint16_t)
DEFINE_WRITE (le32, uint32_t)
DEFINE_WRITE (le64, uint64_t)

#define DEFINE_LOAD_STORE(order, bits)                                                             \
  uint##bits##_t load_##order##bits (const void *p)                                                \
  {                                                                                                \
    uint##bits##_t v;                                                                              \
    memcpy (&v, p, sizeof v);                                                                      \
    return order##bits##toh (v);                                                                   \
  }                                                                                                \
  void store_##order##bits (void *p, uint##bits##_t value)                                         \
  {                                                                                                \
    uint##bits##_t v = hto##order##bits (value);                                                   \
    memcpy (p, &v, sizeof v);                                                                      \
  }

DEFINE_LOAD_STORE (be, 16)
DEFINE_LOAD_STORE (be, 32)
DEFINE_LOAD_STORE (be, 64)
DEFINE_LOAD_STORE (le, 16)
DEFINE_LOAD_STORE (le, 32)
DEFINE_LOAD_STORE (le, 64)

static int
hex_digit (char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool
hex_decode (const char *text, size_t text_length, void *out, size_t size)
{
  uint8_t *bytes = out;

  if (text_length != 2 * size)
    return false;
  for (size_t i = 0; i < size; i++) {
    int high = hex_digit (text[2 * i]);
    int low = hex_digit (text[2 * i + 1]);
    if (high < 0 || low < 0)
      return false;
    bytes[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

void
hex_encode (const void *data, size_t size, char *out)
{
  static const char digits[] = "0123456789abcdef";
  const uint8_t *bytes = data;

  for (size_t i = 0; i < size; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * size] = '\0';
}

static const char base64_alphabet[]
    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encoded_size (size_t size)
{
  return (size + 2) / 3 * 4;
}

void
base64_encode (const void *data, size_t size, char *out)
{
  const uint8_t *in = data;

  for (size_t i = 0; i < size; i += 3) {
    size_t n = size - i;
    uint32_t v = (uint32_t)in[i] << 16;
    if (n > 1)
      v |= (uint32_t)in[i + 1] << 8;
    if (n > 2)
      v |= in[i + 2];
    *out++ = base64_alphabet[v >> 18 & 63];
    *out++ = base64_alphabet[v >> 12 & 63];
    *out++ = n > 1 ? base64_alphabet[v >> 6 & 63] : '=';
    *out++ = n > 2 ? base64_alphabet[v & 63] : '=';
  }
  *out = '\0';
}

static int
base64_digit (char c)
{
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  if (c == '+')
    return 62;
  if (c == '/')
    return 63;
  return -1;
}

ptrdiff_t
base64_decode (const char *text, size_t text_length, void *out, size_t size)
{
  uint8_t *bytes = out;
  uint32_t value = 0;
  unsigned bits = 0;
  size_t pos = 0;

  for (int pad = 0; pad < 2 && text_length > 0 && text[text_length - 1] == '='; pad++)
    text_length--;
  if (text_length % 4 == 1)
    return -1;
  for (size_t i = 0; i < text_length; i++) {
    int digit = base64_digit (text[i]);
    if (digit < 0)
      return -1;
    value = (value << 6 | (uint32_t)digit) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      if (pos == size)
        return -1;
      bytes[pos++] = (uint8_t)(value >> bits);
    }
  }
  return (ptrdiff_t)pos;
}
