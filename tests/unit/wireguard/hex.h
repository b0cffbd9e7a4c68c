/* Comparing bytes with hex in tests. */
#pragma once

#include "base/bytes.h"

#include <glib.h>
#include <string.h>

/* Decodes TEXT into OUT of exactly SIZE bytes. */
static inline void
from_hex (const char *text, void *out, size_t size)
{
  g_assert_true (hex_decode (text, strlen (text), out, size));
}

#define assert_hex(data, size, text)                                                               \
  do {                                                                                             \
    char *hex_ = g_malloc (2 * (size) + 1);                                                        \
    hex_encode (data, size, hex_);                                                                 \
    g_assert_cmpstr (hex_, ==, text);                                                              \
    g_free (hex_);                                                                                 \
  } while (0)
