/* The bodies of register and map requests, and of register answers. */
#include "netmap/map-request.h"
#include "netmap/register.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
same (JsonWriter *a, JsonWriter *b)
{
  size_t size_a, size_b;
  char *x = json_writer_take (a, &size_a), *y = json_writer_take (b, &size_b);

  assert (size_a == size_b && memcmp (x, y, size_a) == 0);
  free (x);
  free (y);
}

#define CHECK(name, Type)                                                                          \
  static void check_##name (const uint8_t *data, size_t size)                                      \
  {                                                                                                \
    Arena arena = {0};                                                                             \
    JsonWriter w, again;                                                                           \
    Type value, back;                                                                              \
    const char *error = NULL;                                                                      \
    if (name##_decode (data, size, &arena, &value, &error)) {                                      \
      json_writer_init (&w);                                                                       \
      json_writer_init (&again);                                                                   \
      name##_encode (&value, &w);                                                                  \
      assert (name##_decode (w.data, w.size, &arena, &back, NULL));                                \
      name##_encode (&back, &again);                                                               \
      same (&w, &again);                                                                           \
    } else {                                                                                       \
      assert (error);                                                                              \
    }                                                                                              \
    arena_clear (&arena);                                                                          \
  }

CHECK (register_request, RegisterRequest)
CHECK (register_response, RegisterResponse)
CHECK (map_request, MapRequest)

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  check_register_request (data, size);
  check_register_response (data, size);
  check_map_request (data, size);
  return 0;
}
