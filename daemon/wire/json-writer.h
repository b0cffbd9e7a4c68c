/* JSON output into a growing buffer: commas and escapes are the writer's business.
 *
 * Text that is not UTF-8 goes out with U+FFFD in its place. The caller opens and closes containers
 * in pairs and writes a name before each member; the writer asserts that it does. Compact output,
 * no white space. Any thread; one owner. */
#pragma once

#include "base/ip.h"
#include "base/key.h"
#include "base/wall-time.h"
#include "wire/json-reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  char *data; /* owned until json_writer_take; NUL-terminated */
  size_t size;
  size_t room;
  unsigned depth;
  bool comma; /* the next value or name needs one in front */
} JsonWriter;

void json_writer_init (JsonWriter *w);
void json_writer_clear (JsonWriter *w);

/* Gives the text away (free with free ()); *SIZE may be NULL. The writer is empty afterwards. */
char *json_writer_take (JsonWriter *w, size_t *size);

void json_writer_begin_object (JsonWriter *w);
void json_writer_end_object (JsonWriter *w);
void json_writer_begin_array (JsonWriter *w);
void json_writer_end_array (JsonWriter *w);

/* The name of the next member. */
void json_writer_name (JsonWriter *w, const char *name);
void json_writer_name_n (JsonWriter *w, const char *name, size_t length);
void json_writer_name_i64 (JsonWriter *w, int64_t name);

void json_writer_null (JsonWriter *w);
void json_writer_bool (JsonWriter *w, bool value);
void json_writer_i64 (JsonWriter *w, int64_t value);
void json_writer_double (JsonWriter *w, double value);     /* not finite: null */
void json_writer_string (JsonWriter *w, const char *text); /* NULL: "" */
void json_writer_string_n (JsonWriter *w, const char *text, size_t length);

/* The next value of R, re-written without white space. Nothing but a null if R fails. */
void json_writer_copy (JsonWriter *w, JsonReader *r);

/* TEXT must be one complete JSON value. */
void json_writer_raw (JsonWriter *w, const char *text, size_t length);

/* Values with a text form. A key of zeros is written as such. */
void json_writer_key (JsonWriter *w, KeyKind kind, const void *key);
void json_writer_time (JsonWriter *w, WallTime time);
void json_writer_addr (JsonWriter *w, const IpAddr *addr); /* family 0: "" */
void json_writer_addr_port (JsonWriter *w, const IpPort *ap);
void json_writer_prefix (JsonWriter *w, const IpPrefix *prefix);
void json_writer_base64 (JsonWriter *w, const void *data, size_t size);

/* "name": value, left out when the value is empty, 0, false or unset. */
void json_writer_opt_string (JsonWriter *w, const char *name, const char *value);
void json_writer_opt_i64 (JsonWriter *w, const char *name, int64_t value);
void json_writer_opt_bool (JsonWriter *w, const char *name, bool value);
void json_writer_opt_time (JsonWriter *w, const char *name, WallTime value);
void json_writer_opt_key (JsonWriter *w, const char *name, KeyKind kind, const void *key);
