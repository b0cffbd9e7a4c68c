/* What is read from the TUN device (split), and what was decrypted (merge): first byte chooses. */
#include "base/bytes.h"
#include "tunnel/merge.h"
#include "tunnel/split.h"
#include "wireguard/messages.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENTS_LOOKED_AT 300
#define HEADROOM           16

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
split (const uint8_t *data, size_t size, bool vnet)
{
  static uint8_t out[70000];
  uint8_t *copy = malloc (size + 1);
  SuperPacket super;
  size_t total = 0;

  memcpy (copy, data, size);
  if (super_packet_parse (&super, copy, size, vnet)) {
    for (uint32_t k = 0; k < super.n_segments && k < SEGMENTS_LOOKED_AT; k++) {
      size_t n = super_packet_write (&super, k, out);

      if (n != super_packet_segment_size (&super, k) || n > super.size)
        abort ();
      total += n - super.header_size;
    }
    if (super.n_segments < SEGMENTS_LOOKED_AT && total != super.size - super.header_size)
      abort ();
  }
  free (copy);
}

/* The input is a list of packets, each behind its length in 16 bits. The last bit says whether the
 * device refuses what was merged. */
static void
merge (const uint8_t *data, size_t size)
{
  const MergeOptions options = {true, true, true};
  Merge *m = merge_new (&options);
  bool refuses = size > 0 && (data[size - 1] & 1);
  uint8_t *packets[64];
  size_t n = 0, in = 0, written = 0;
  const uint8_t *out;

  for (size_t at = 0; at + 2 <= size && n < 64;) {
    size_t length = load_be16 (data + at), whole = size - at - 2;
    ptrdiff_t inner;

    length = length < whole ? length : whole;
    packets[n] = malloc (HEADROOM + length + 1);
    memcpy (packets[n] + HEADROOM, data + at + 2, length);
    inner = wg_inner_size (packets[n] + HEADROOM, length);
    if (inner > 0 && merge_add (m, packets[n] + HEADROOM, (size_t)inner))
      in++;
    n++;
    at += 2 + length;
  }
  while (merge_next (m, &out, &size)) {
    static uint8_t copy[70000], segment[70000];
    SuperPacket super;

    memcpy (copy, out, size);
    if (!super_packet_parse (&super, copy, size, true))
      abort ();
    for (uint32_t k = 0; k < super.n_segments; k++)
      super_packet_write (&super, k, segment);
    if (!refuses || !merge_next_singly (m))
      written += super.n_segments;
  }
  /* Nothing is lost, nothing is invented. */
  if (written != in)
    abort ();
  merge_free (m);
  for (size_t i = 0; i < n; i++)
    free (packets[i]);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  if (size < 1 || size > 66000)
    return 0;
  switch (data[0] % 3) {
    case 0:
      split (data + 1, size - 1, true);
      break;
    case 1:
      split (data + 1, size - 1, false);
      break;
    default:
      merge (data + 1, size - 1);
      break;
  }
  return 0;
}
