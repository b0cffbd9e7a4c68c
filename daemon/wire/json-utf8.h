/* UTF-8 for the JSON codecs: reading one character that may be damaged, writing one that is not.
 * Private to wire/. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu
#define UTF8_MAX         4 /* bytes of one character */

/* Reads one character of the LEFT (> 0) bytes at P. *USED is how many bytes it took (1 for a
 * damaged one, which reads as U+FFFD). */
uint32_t utf8_read (const uint8_t *p, size_t left, size_t *used);

/* Writes CODE (a surrogate or out of range becomes U+FFFD) and returns how many bytes it took. */
size_t utf8_write (uint32_t code, char out[UTF8_MAX]);
