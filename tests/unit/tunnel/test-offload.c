/* Splitting and merging of super-packets: what comes out is what a wire would have carried. */
#include "base/bytes.h"
#include "base/random.h"
#include "tunnel/checksum.h"
#include "tunnel/merge.h"
#include "tunnel/split.h"
#include "tunnel/vnet.h"

#include <glib.h>
#include <string.h>

#define SEED  20261123
#define SLOTS 256
#define ROOM  2048

/* How one flow's super-packet looks. */
typedef struct
{
  uint8_t version;
  uint8_t protocol;
  uint8_t options; /* bytes of TCP options */
  uint16_t mss;
  uint8_t flags;
  size_t payload;
  uint16_t port;
  uint32_t sequence;
} Shape;

static size_t
l4_offset (const Shape *s)
{
  return s->version == 4 ? 20 : 40;
}

static size_t
header_size (const Shape *s)
{
  return l4_offset (s) + (s->protocol == 6 ? 20u + s->options : 8u);
}

static uint64_t
pseudo (const uint8_t *ip, uint8_t protocol, size_t l4)
{
  return ip[0] >> 4 == 4 ? checksum_pseudo (ip + 12, 8, protocol, (uint32_t)l4)
                         : checksum_pseudo (ip + 8, 32, protocol, (uint32_t)l4);
}

/* An independent, byte-wise sum. */
static uint16_t
slow_sum (const uint8_t *data, size_t size, uint32_t sum)
{
  for (size_t i = 0; i < size; i++)
    sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

static bool
packet_is_valid (const uint8_t *ip, size_t size)
{
  bool v4 = ip[0] >> 4 == 4;
  size_t at = v4 ? 20 : 40;
  uint8_t protocol = v4 ? ip[9] : ip[6];
  uint32_t sum = protocol + (uint32_t)(size - at);

  if (v4 && (load_be16 (ip + 2) != size || slow_sum (ip, 20, 0) != 0xffff))
    return false;
  if (!v4 && load_be16 (ip + 4) != size - 40)
    return false;
  if (protocol == 17 && (load_be16 (ip + at + 4) != size - at || load_be16 (ip + at + 6) == 0))
    return false;
  sum += v4 ? slow_sum (ip + 12, 8, 0) : slow_sum (ip + 8, 32, 0);
  return slow_sum (ip + at, size - at, sum) == 0xffff;
}

/* Writes the super-packet with its virtio header as the kernel gives it; returns all bytes. */
static size_t
make_super (const Shape *s, Random *random, uint8_t *out)
{
  uint8_t *ip = out + VNET_HEADER_SIZE, *l4 = ip + l4_offset (s);
  size_t size = header_size (s) + s->payload;
  VnetHeader vnet = {.flags = VNET_NEEDS_CSUM,
                     .gso_type = s->protocol == 17 ? VNET_GSO_UDP
                                 : s->version == 4 ? VNET_GSO_TCPV4
                                                   : VNET_GSO_TCPV6,
                     .hdr_len = (uint16_t)size,
                     .gso_size = s->mss,
                     .csum_start = (uint16_t)l4_offset (s),
                     .csum_offset = s->protocol == 17 ? 6 : 16};
  uint16_t field;

  memset (out, 0, VNET_HEADER_SIZE + header_size (s));
  random_fill (random, ip + header_size (s), s->payload);
  if (s->version == 4) {
    const uint8_t addresses[8] = {100, 64, 0, 1, 100, 64, 0, 2};

    ip[0] = 0x45;
    store_be16 (ip + 2, (uint16_t)size);
    store_be16 (ip + 4, 0xfffe);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = s->protocol;
    memcpy (ip + 12, addresses, 8);
    checksum_store (ip + 10, checksum_add (0, ip, 20));
  } else {
    ip[0] = 0x60;
    store_be16 (ip + 4, (uint16_t)(size - 40));
    ip[6] = s->protocol;
    ip[7] = 64;
    memset (ip + 8, 0xfd, 16);
    memset (ip + 24, 0xfc, 16);
  }
  store_be16 (l4, s->port);
  store_be16 (l4 + 2, 443);
  if (s->protocol == 6) {
    store_be32 (l4 + 4, s->sequence);
    l4[12] = (uint8_t)((5 + s->options / 4) << 4);
    l4[13] = s->flags;
    store_be16 (l4 + 14, 502);
    memset (l4 + 20, 1, s->options);
  } else {
    store_be16 (l4 + 4, (uint16_t)(size - l4_offset (s)));
  }
  field = checksum_fold (pseudo (ip, s->protocol, size - l4_offset (s)));
  memcpy (l4 + vnet.csum_offset, &field, 2);
  memcpy (out, &vnet, sizeof vnet);
  return VNET_HEADER_SIZE + size;
}

static Shape
random_shape (Random *random)
{
  Shape s = {.version = random_below (random, 2) ? 4 : 6,
             .protocol = random_below (random, 3) ? 6 : 17,
             .mss = (uint16_t)random_between (random, 48, 1400),
             .flags = 0x10,
             .port = (uint16_t)random_below (random, 4),
             .sequence = random_u32 (random)};

  s.options = s.protocol == 6 ? (uint8_t)(random_below (random, 11) * 4) : 0;
  s.payload = (size_t)random_between (random, s.mss + 1, s.mss * 30);
  if (random_below (random, 4) == 0)
    s.flags |= 0x08;
  return s;
}

static uint8_t super_bytes[70000];

static void
check_segments (const Shape *s, const SuperPacket *super)
{
  uint8_t out[ROOM];
  size_t done = 0;

  for (uint32_t k = 0; k < super->n_segments; k++) {
    size_t size = super_packet_write (super, k, out);
    const uint8_t *l4 = out + l4_offset (s);
    bool last = k + 1 == super->n_segments;

    g_assert_cmpuint (size, ==, super_packet_segment_size (super, k));
    g_assert_true (packet_is_valid (out, size));
    g_assert_cmpmem (out + header_size (s), size - header_size (s),
                     super->packet + header_size (s) + done, size - header_size (s));
    g_assert_cmpuint (size - header_size (s), ==, last ? s->payload - done : s->mss);
    if (s->version == 4)
      g_assert_cmpuint (load_be16 (out + 4), ==, (uint16_t)(0xfffe + k));
    if (s->protocol == 6) {
      g_assert_cmpuint (load_be32 (l4 + 4), ==, (uint32_t)(s->sequence + done));
      g_assert_cmpuint (l4[13], ==, last ? s->flags : s->flags & ~0x09);
    }
    done += size - header_size (s);
  }
  g_assert_cmpuint (done, ==, s->payload);
}

static void
test_split (void)
{
  SeededRandom random;

  seeded_random_init (&random, SEED);
  for (int i = 0; i < 2000; i++) {
    Shape s = random_shape (&random.base);
    SuperPacket super;
    size_t size;

    if (s.protocol == 6 && random_below (&random.base, 3) == 0)
      s.flags |= 0x01;
    size = make_super (&s, &random.base, super_bytes);
    g_assert_true (super_packet_parse (&super, super_bytes, size, true));
    g_assert_cmpuint (super.n_segments, ==, (s.payload + s.mss - 1) / s.mss);
    check_segments (&s, &super);
  }
}

static void
test_udp_zero (void)
{
  uint8_t out[ROOM];
  SeededRandom random;
  int seen = 0;

  seeded_random_init (&random, SEED);
  for (uint32_t i = 0; i < 70000 && seen == 0; i++) {
    Shape s = {.version = 6, .protocol = 17, .mss = 2, .payload = 4};
    SuperPacket super;
    size_t size = make_super (&s, &random.base, super_bytes);

    store_be16 (super_bytes + VNET_HEADER_SIZE + 48, (uint16_t)i);
    g_assert_true (super_packet_parse (&super, super_bytes, size, true));
    size = super_packet_write (&super, 0, out);
    g_assert_true (packet_is_valid (out, size));
    seen += load_be16 (out + 46) == 0xffff;
  }
  g_assert_cmpint (seen, >, 0);
}

static void
test_partial_checksum (void)
{
  uint8_t out[ROOM];
  SeededRandom random;

  seeded_random_init (&random, SEED);
  for (size_t payload = 0; payload < 300; payload++) {
    Shape s = {.version = 4, .protocol = 17, .mss = 1000, .payload = payload};
    SuperPacket super;
    size_t size = make_super (&s, &random.base, super_bytes);
    VnetHeader *vnet = (VnetHeader *)super_bytes;

    vnet->gso_type = VNET_GSO_NONE;
    vnet->gso_size = 0;
    g_assert_true (super_packet_parse (&super, super_bytes, size, true));
    g_assert_cmpuint (super.n_segments, ==, 1);
    size = super_packet_write (&super, 0, out);
    g_assert_true (packet_is_valid (out, size));
  }
}

static void
test_split_refuses (void)
{
  Shape s = {.version = 4, .protocol = 6, .mss = 1000, .payload = 3000, .flags = 0x10};
  SeededRandom random;
  size_t size;

  seeded_random_init (&random, SEED);
  for (int i = 0; i < 200000; i++) {
    SuperPacket super;

    size = make_super (&s, &random.base, super_bytes);
    for (int k = 0; k < 3; k++)
      super_bytes[random_below (&random.base, 52)] = (uint8_t)random_u32 (&random.base);
    size = random_below (&random.base, 2) ? size : random_below (&random.base, 64);
    if (!super_packet_parse (&super, super_bytes, size, true))
      continue;
    /* Whatever was believed stays inside the packet and inside a send buffer. */
    g_assert_cmpuint (super.n_segments, >, 0);
    g_assert_cmpuint (super_packet_segment_size (&super, super.n_segments - 1), <=, super.size);
    if (super.n_segments > 1)
      g_assert_cmpuint (super.header_size + super.segment * (super.n_segments - 1), <, super.size);
    i += 100;
  }
}

/* One batch of packets as they lie in a receive buffer. */
typedef struct
{
  uint8_t bytes[SLOTS][ROOM];
  size_t size[SLOTS];
  size_t n;
} Batch;

static Batch *batch, *again;

static void
add_segments (Batch *b, const Shape *s, Random *random)
{
  SuperPacket super;
  size_t size = make_super (s, random, super_bytes);

  g_assert_true (super_packet_parse (&super, super_bytes, size, true));
  for (uint32_t k = 0; k < super.n_segments && b->n < SLOTS; k++) {
    b->size[b->n] = super_packet_write (&super, k, b->bytes[b->n] + 16);
    b->n++;
  }
}

static void
shuffle_flows (Batch *b, Random *random)
{
  /* Neighbours of different ports trade places: flows mix, each keeps its order. */
  for (size_t i = 1; i < b->n; i++) {
    const uint8_t *x = b->bytes[i - 1] + 16, *y = b->bytes[i] + 16;
    size_t at_x = x[0] >> 4 == 4 ? 20 : 40, at_y = y[0] >> 4 == 4 ? 20 : 40;
    uint8_t spare[ROOM];
    size_t size;

    if (x[0] == y[0] && memcmp (x + at_x, y + at_y, 2) == 0)
      continue;
    if (random_below (random, 2) == 0)
      continue;
    memcpy (spare, b->bytes[i], ROOM);
    memcpy (b->bytes[i], b->bytes[i - 1], ROOM);
    memcpy (b->bytes[i - 1], spare, ROOM);
    size = b->size[i];
    b->size[i] = b->size[i - 1];
    b->size[i - 1] = size;
  }
}

/* Undoes merging with the splitter and sorts nothing: order in a flow must have been kept. */
static size_t
unmerge (Merge *merge, Batch *out)
{
  const uint8_t *data;
  size_t size, writes = 0;

  out->n = 0;
  while (merge_next (merge, &data, &size)) {
    SuperPacket super;

    writes++;
    g_assert_true (super_packet_parse (&super, (uint8_t *)data, size, true));
    for (uint32_t k = 0; k < super.n_segments; k++) {
      g_assert_cmpuint (out->n, <, SLOTS);
      out->size[out->n] = super_packet_write (&super, k, out->bytes[out->n] + 16);
      out->n++;
    }
  }
  return writes;
}

static bool
same_packet (const Batch *a, size_t i, const Batch *b, size_t j)
{
  uint8_t x[ROOM], y[ROOM];

  if (a->size[i] != b->size[j])
    return false;
  memcpy (x, a->bytes[i] + 16, a->size[i]);
  memcpy (y, b->bytes[j] + 16, b->size[j]);
  /* The IPv4 identification is the kernel's to choose, and its checksum goes with it. */
  if (x[0] >> 4 == 4) {
    memset (x + 4, 0, 2);
    memset (y + 4, 0, 2);
    memset (x + 10, 0, 2);
    memset (y + 10, 0, 2);
  }
  return memcmp (x, y, a->size[i]) == 0;
}

/* Every packet of A is in B, and packets of one flow are in the same order. */
static void
assert_same_flows (const Batch *a, const Batch *b)
{
  bool used[SLOTS] = {false};
  size_t last[2][8] = {{0}};

  g_assert_cmpuint (a->n, ==, b->n);
  for (size_t i = 0; i < a->n; i++) {
    const uint8_t *ip = a->bytes[i] + 16;
    size_t v6 = ip[0] >> 4 == 6;
    size_t port = load_be16 (ip + (v6 ? 40 : 20)) % 8;
    size_t j = last[v6][port];

    while (j < b->n && (used[j] || !same_packet (a, i, b, j)))
      j++;
    g_assert_cmpuint (j, <, b->n);
    used[j] = true;
    last[v6][port] = j;
  }
}

static void
run_merge (uint64_t seed, size_t *packets, size_t *writes)
{
  const MergeOptions options = {true, true, true};
  Merge *merge = merge_new (&options);
  SeededRandom random;

  seeded_random_init (&random, seed);
  batch->n = 0;
  while (batch->n < SLOTS - 40) {
    Shape s = random_shape (&random.base);

    /* One protocol for each port, so that order can be told by the port alone. */
    s.protocol = s.port < 3 ? 6 : 17;
    s.options = s.protocol == 6 ? 12 : 0;
    s.payload = MIN (s.payload, s.mss * 12u);
    if (random_below (&random.base, 8) == 0)
      s.flags = random_below (&random.base, 2) ? 0x11 : 0x14;
    add_segments (batch, &s, &random.base);
  }
  for (int i = 0; i < 3; i++)
    shuffle_flows (batch, &random.base);
  /* Some arrive damaged and must stay so: they may not be given a good checksum. */
  memcpy (again, batch, sizeof *batch);
  for (size_t i = 0; i < batch->n; i++)
    g_assert_true (merge_add (merge, batch->bytes[i] + 16, batch->size[i]));
  memcpy (batch, again, sizeof *batch);
  *packets += batch->n;
  *writes += unmerge (merge, again);
  assert_same_flows (batch, again);
  merge_free (merge);
}

static void
test_merge_random (void)
{
  size_t packets = 0, writes = 0;

  for (uint64_t seed = SEED; seed < SEED + 300; seed++)
    run_merge (seed, &packets, &writes);
  g_assert_cmpuint (writes, <, packets / 2);
}

/* Two packets of one TCP flow in sequence; CHANGE spoils the second; they must stay two. */
static void
expect_writes (void (*change) (uint8_t *ip), bool fix, size_t expected)
{
  const MergeOptions options = {true, true, true};
  Merge *merge = merge_new (&options);
  Shape s
      = {.version = 4, .protocol = 6, .options = 12, .mss = 500, .payload = 1000, .flags = 0x10};
  SeededRandom random;
  const uint8_t *data;
  size_t size, writes = 0;

  seeded_random_init (&random, SEED);
  batch->n = 0;
  add_segments (batch, &s, &random.base);
  change (batch->bytes[1] + 16);
  if (fix) {
    uint8_t *ip = batch->bytes[1] + 16;
    uint64_t sum;

    ip[10] = ip[11] = 0;
    checksum_store (ip + 10, checksum_add (0, ip, 20));
    ip[36] = ip[37] = 0;
    sum = pseudo (ip, 6, batch->size[1] - 20);
    checksum_store (ip + 36, checksum_add (sum, ip + 20, batch->size[1] - 20));
  }
  for (size_t i = 0; i < batch->n; i++)
    g_assert_true (merge_add (merge, batch->bytes[i] + 16, batch->size[i]));
  while (merge_next (merge, &data, &size))
    writes++;
  g_assert_cmpuint (writes, ==, expected);
  merge_free (merge);
}

static void
change_nothing (uint8_t *ip)
{
}

static void
change_tos (uint8_t *ip)
{
  ip[1] = 1;
}

static void
change_ttl (uint8_t *ip)
{
  ip[8]--;
}

static void
change_df (uint8_t *ip)
{
  ip[6] = 0;
}

static void
change_fragment (uint8_t *ip)
{
  ip[6] |= 0x20;
}

static void
change_ack (uint8_t *ip)
{
  ip[31]++;
}

static void
change_window (uint8_t *ip)
{
  ip[35]++;
}

static void
change_option (uint8_t *ip)
{
  ip[45]++;
}

static void
change_sequence (uint8_t *ip)
{
  ip[27]++;
}

static void
change_urgent (uint8_t *ip)
{
  ip[39]++;
}

static void
change_syn (uint8_t *ip)
{
  ip[33] |= 2;
}

static void
change_source (uint8_t *ip)
{
  ip[15]++;
}

static void
change_payload (uint8_t *ip)
{
  ip[100]++;
}

static void
test_merge_must_not (void)
{
  expect_writes (change_nothing, true, 1);
  expect_writes (change_tos, true, 2);
  expect_writes (change_ttl, true, 2);
  expect_writes (change_df, true, 2);
  expect_writes (change_fragment, true, 2);
  expect_writes (change_ack, true, 2);
  expect_writes (change_window, true, 2);
  expect_writes (change_option, true, 2);
  expect_writes (change_sequence, true, 2);
  expect_writes (change_urgent, true, 2);
  expect_writes (change_syn, true, 2);
  expect_writes (change_source, true, 2);
  /* A damaged packet is not repaired. */
  expect_writes (change_payload, false, 2);
}

static void
test_merge_singly (void)
{
  const MergeOptions options = {true, true, true};
  Merge *merge = merge_new (&options);
  Shape s = {.version = 6, .protocol = 17, .mss = 700, .payload = 2000};
  SeededRandom random;
  const uint8_t *data;
  size_t size;

  seeded_random_init (&random, SEED);
  batch->n = 0;
  add_segments (batch, &s, &random.base);
  for (size_t i = 0; i < batch->n; i++)
    g_assert_true (merge_add (merge, batch->bytes[i] + 16, batch->size[i]));
  g_assert_true (merge_next (merge, &data, &size));
  g_assert_cmpuint (size, ==, VNET_HEADER_SIZE + 48 + 2000);
  g_assert_true (merge_next_singly (merge));
  for (size_t i = 0; i < 3; i++) {
    g_assert_true (merge_next (merge, &data, &size));
    g_assert_cmpmem (data + VNET_HEADER_SIZE, size - VNET_HEADER_SIZE, batch->bytes[i] + 16,
                     batch->size[i]);
    g_assert_false (merge_next_singly (merge));
  }
  g_assert_false (merge_next (merge, &data, &size));
  merge_free (merge);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  batch = g_new (Batch, 1);
  again = g_new (Batch, 1);
  g_test_add_func ("/tunnel/split/segments-are-what-the-kernel-would-send", test_split);
  g_test_add_func ("/tunnel/split/udp-checksum-zero-becomes-ffff", test_udp_zero);
  g_test_add_func ("/tunnel/split/completes-a-partial-checksum", test_partial_checksum);
  g_test_add_func ("/tunnel/split/survives-contradicting-headers", test_split_refuses);
  g_test_add_func ("/tunnel/merge/keeps-every-flow-as-it-was", test_merge_random);
  g_test_add_func ("/tunnel/merge/keeps-apart-what-must-stay-apart", test_merge_must_not);
  g_test_add_func ("/tunnel/merge/gives-a-refused-merge-back-singly", test_merge_singly);
  return g_test_run ();
}
