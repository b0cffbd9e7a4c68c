/* State files of any content: read or refused, and what was read survives being written again.
 * Likewise the address of a coordination server, as a person types it. */
#include "session/profile.h"
#include "session/record.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_address (const uint8_t *data, size_t size)
{
  g_autofree char *typed = g_strndup ((const char *)data, size);
  g_autoptr (GError) error = NULL;
  g_autofree char *server = login_server_normalise (typed, &error);

  if ((server != NULL) != (error == NULL))
    __builtin_trap ();
  g_autofree char *again = server ? login_server_normalise (server, NULL) : NULL;
  if (g_strcmp0 (server, again) != 0)
    __builtin_trap ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  check_address (data, size);
  RecordReader r;
  record_reader_init (&r, data, size, PROFILE_FORMAT);
  while (record_reader_next (&r) == RECORD_FIELD)
    if (strlen (r.value) != r.value_length)
      __builtin_trap ();

  ProfileResult result;
  g_autoptr (Profile) profile = profile_decode (data, size, &result);
  if ((profile != NULL) != (result == PROFILE_OK))
    __builtin_trap ();
  if (!profile)
    return 0;
  static uint8_t one[RECORD_FILE_MAX], two[RECORD_FILE_MAX];
  ByteWriter w1 = byte_writer (one, sizeof one), w2 = byte_writer (two, sizeof two);
  profile_encode (profile, &w1);
  if (w1.failed)
    __builtin_trap ();
  g_autoptr (Profile) again = profile_decode (one, w1.pos, &result);
  if (!again)
    __builtin_trap ();
  profile_encode (again, &w2);
  if (w1.pos != w2.pos || memcmp (one, two, w1.pos) != 0)
    __builtin_trap ();
  return 0;
}
