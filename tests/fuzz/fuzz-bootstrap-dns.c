/* What a relay answers when it is asked for the address of a control server. */
#include "host/bootstrap-dns.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GArray) addresses = g_array_new (FALSE, FALSE, sizeof (IpAddr));

  bootstrap_dns_parse (data, size, "control.example.org", addresses);
  for (guint i = 0; i < addresses->len; i++) {
    uint8_t family = g_array_index (addresses, IpAddr, i).family;

    if (family != 4 && family != 6)
      __builtin_trap ();
  }
  return 0;
}
