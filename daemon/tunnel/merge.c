#include "tunnel/merge.h"

#include "base/bytes.h"
#include "tunnel/checksum.h"
#include "tunnel/vnet.h"

#include <stdlib.h>

#define SEARCH_MAX       16    /* newest items looked at for a packet's flow */
#define UDP_SEGMENTS_MAX 64    /* UDP_MAX_SEGMENTS of older kernels */
#define IP_SIZE_MAX      65535 /* of a merged packet */
#define PROTOCOL_TCP     6
#define PROTOCOL_UDP     17
#define TCP_ACK          0x10
#define TCP_PSH          0x08
#define NONE             UINT16_MAX

/* What a packet is, as far as merging cares. */
typedef struct
{
  uint8_t *data;
  uint32_t size;
  uint16_t next;        /* packet of the same item, or NONE */
  uint16_t header_size; /* IP and L4 header; 0: belongs to no flow */
  uint8_t l4_offset;
  uint8_t protocol;
  bool mergeable;
} Packet;

/* One write to the device. */
typedef struct
{
  uint16_t first;
  uint16_t last;
  uint16_t count;
  bool closed;      /* takes no more packets */
  uint32_t size;    /* IP packet with all payloads */
  uint32_t segment; /* payload of its first packet */
} Item;

struct Merge
{
  MergeOptions options;
  size_t n_packets;
  size_t n_items;
  size_t given;    /* items given out */
  size_t refused;  /* value of given when an item was last taken apart again */
  uint16_t singly; /* next packet of the item that is given out one by one, or NONE */
  Packet packets[MERGE_PACKETS_MAX];
  Item items[MERGE_PACKETS_MAX];
  uint8_t linear[VNET_HEADER_SIZE + IP_SIZE_MAX];
};

Merge *
merge_new (const MergeOptions *options)
{
  /* Not cleared: the buffer's pages are touched only when something is merged. */
  Merge *merge = malloc (sizeof *merge);

  if (merge == NULL)
    abort ();
  merge->options = *options;
  merge_reset (merge);
  return merge;
}

void
merge_free (Merge *merge)
{
  free (merge);
}

void
merge_set_options (Merge *merge, const MergeOptions *options)
{
  merge->options = *options;
}

const MergeOptions *
merge_options (const Merge *merge)
{
  return &merge->options;
}

void
merge_reset (Merge *merge)
{
  merge->n_packets = 0;
  merge->n_items = 0;
  merge->given = 0;
  merge->refused = 0;
  merge->singly = NONE;
}

static uint64_t
pseudo_sum (const uint8_t *packet, uint8_t protocol, size_t l4_size)
{
  if (packet[0] >> 4 == 4)
    return checksum_pseudo (packet + 12, 8, protocol, (uint32_t)l4_size);
  return checksum_pseudo (packet + 8, 32, protocol, (uint32_t)l4_size);
}

/* The checksum must be right before the kernel is told to make it anew: a broken packet has to stay
 * broken. */
static bool
checksum_is_good (const Packet *p)
{
  const uint8_t *l4 = p->data + p->l4_offset;
  size_t l4_size = p->size - p->l4_offset;

  if (p->protocol == PROTOCOL_UDP && l4[6] == 0 && l4[7] == 0)
    return p->data[0] >> 4 == 4;
  return checksum_fold (checksum_add (pseudo_sum (p->data, p->protocol, l4_size), l4, l4_size))
         == 0xffff;
}

/* Finds L4 header and protocol; false when the packet belongs to no flow that could be merged. */
static bool
find_l4 (Packet *p)
{
  const uint8_t *d = p->data;

  if (d[0] >> 4 == 4) {
    if (d[0] != 0x45 || p->size < 20 || load_be16 (d + 2) != p->size
        || (load_be16 (d + 6) & 0x3fff) != 0)
      return false;
    p->l4_offset = 20;
    p->protocol = d[9];
  } else {
    if (d[0] >> 4 != 6 || p->size < 40 || load_be16 (d + 4) + 40u != p->size)
      return false;
    p->l4_offset = 40;
    p->protocol = d[6];
  }
  return p->protocol == PROTOCOL_TCP || p->protocol == PROTOCOL_UDP;
}

static void
examine (const Merge *merge, Packet *p)
{
  const uint8_t *l4;
  size_t l4_header;

  p->next = NONE;
  p->header_size = 0;
  p->mergeable = false;
  if (!merge->options.vnet || !find_l4 (p))
    return;
  l4 = p->data + p->l4_offset;
  if (p->size < p->l4_offset + 8u)
    return;
  if (p->protocol == PROTOCOL_TCP) {
    if (p->size < p->l4_offset + 20u)
      return;
    l4_header = (size_t)(l4[12] >> 4) * 4;
    if (l4_header < 20 || p->size < p->l4_offset + l4_header)
      return;
    p->mergeable = merge->options.tcp && (l4[13] | TCP_PSH) == (TCP_ACK | TCP_PSH);
  } else {
    l4_header = 8;
    p->mergeable = merge->options.udp && load_be16 (l4 + 4) == p->size - p->l4_offset;
  }
  p->header_size = (uint16_t)(p->l4_offset + l4_header);
  if (p->size == p->header_size)
    p->mergeable = false;
}

static bool
same_flow (const Packet *a, const Packet *b)
{
  const uint8_t *x = a->data, *y = b->data;

  if (a->header_size == 0 || a->protocol != b->protocol || x[0] >> 4 != y[0] >> 4)
    return false;
  if (memcmp (x + a->l4_offset, y + b->l4_offset, 4) != 0)
    return false;
  return x[0] >> 4 == 4 ? memcmp (x + 12, y + 12, 8) == 0 : memcmp (x + 8, y + 8, 32) == 0;
}

/* The parts of both headers that all segments of a super-packet share. */
static bool
same_headers (const Packet *a, const Packet *b)
{
  const uint8_t *x = a->data, *y = b->data;

  if (a->header_size != b->header_size)
    return false;
  if (x[0] >> 4 == 4) {
    if (x[1] != y[1] || x[8] != y[8] || (x[6] & 0xc0) != (y[6] & 0xc0))
      return false;
  } else if (memcmp (x, y, 4) != 0 || x[7] != y[7]) {
    return false;
  }
  x += a->l4_offset;
  y += b->l4_offset;
  if (a->protocol == PROTOCOL_UDP)
    return true;
  return memcmp (x + 8, y + 8, 5) == 0 && memcmp (x + 14, y + 14, 2) == 0
         && memcmp (x + 18, y + 18, a->header_size - a->l4_offset - 18u) == 0;
}

static bool
follows (const Merge *merge, const Item *item, const Packet *p)
{
  const Packet *first = &merge->packets[item->first];
  uint32_t payload = p->size - p->header_size;

  if (item->closed || !p->mergeable || !same_headers (first, p) || payload > item->segment
      || item->size + payload > IP_SIZE_MAX)
    return false;
  if (p->protocol == PROTOCOL_UDP)
    return item->count < UDP_SEGMENTS_MAX;
  return load_be32 (p->data + p->l4_offset + 4)
         == load_be32 (first->data + first->l4_offset + 4) + (item->size - first->header_size);
}

static bool
has_push (const Packet *p)
{
  return p->protocol == PROTOCOL_TCP && (p->data[p->l4_offset + 13] & TCP_PSH) != 0;
}

static void
append (Merge *merge, Item *item, uint16_t number)
{
  Packet *p = &merge->packets[number];
  uint32_t payload = p->size - p->header_size;

  merge->packets[item->last].next = number;
  item->last = number;
  item->count++;
  item->size += payload;
  item->closed = payload < item->segment || has_push (p);
}

/* The newest item of P's flow, NULL when there is none among the newest items. */
static Item *
find_item (Merge *merge, const Packet *p)
{
  size_t stop = merge->n_items > SEARCH_MAX ? merge->n_items - SEARCH_MAX : 0;

  for (size_t i = merge->n_items; i > stop; i--)
    if (same_flow (&merge->packets[merge->items[i - 1].first], p))
      return &merge->items[i - 1];
  return NULL;
}

bool
merge_add (Merge *merge, uint8_t *packet, size_t size)
{
  uint16_t number = (uint16_t)merge->n_packets;
  Packet *p = &merge->packets[number];
  Item *item = NULL;

  if (merge->n_packets == MERGE_PACKETS_MAX)
    return false;
  merge->n_packets++;
  p->data = packet;
  p->size = (uint32_t)size;
  examine (merge, p);
  if (p->mergeable && !checksum_is_good (p))
    p->mergeable = false;
  if (p->header_size > 0)
    item = find_item (merge, p);
  if (item != NULL && follows (merge, item, p)) {
    append (merge, item, number);
    return true;
  }
  merge->items[merge->n_items++] = (Item){
      .first = number,
      .last = number,
      .count = 1,
      .closed = !p->mergeable || has_push (p),
      .size = p->size,
      .segment = p->size - p->header_size,
  };
  return true;
}

static void
give_single (const Merge *merge, const Packet *p, const uint8_t **data, size_t *size)
{
  *data = p->data;
  *size = p->size;
  if (merge->options.vnet) {
    memset (p->data - VNET_HEADER_SIZE, 0, VNET_HEADER_SIZE);
    *data -= VNET_HEADER_SIZE;
    *size += VNET_HEADER_SIZE;
  }
}

static void
write_merged_headers (Merge *merge, const Item *item)
{
  const Packet *first = &merge->packets[item->first];
  uint8_t *ip = merge->linear + VNET_HEADER_SIZE;
  uint8_t *l4 = ip + first->l4_offset;
  bool udp = first->protocol == PROTOCOL_UDP;
  uint16_t l4_size = (uint16_t)(item->size - first->l4_offset);
  uint16_t pseudo = checksum_fold (pseudo_sum (ip, first->protocol, l4_size));
  VnetHeader vnet = {
      .flags = VNET_NEEDS_CSUM,
      .gso_type = udp               ? VNET_GSO_UDP
                  : ip[0] >> 4 == 4 ? VNET_GSO_TCPV4
                                    : VNET_GSO_TCPV6,
      .hdr_len = first->header_size,
      .gso_size = (uint16_t)item->segment,
      .csum_start = first->l4_offset,
      .csum_offset = udp ? 6 : 16,
  };

  memcpy (merge->linear, &vnet, sizeof vnet);
  if (ip[0] >> 4 == 4) {
    store_be16 (ip + 2, (uint16_t)item->size);
    ip[10] = ip[11] = 0;
    checksum_store (ip + 10, checksum_add (0, ip, first->l4_offset));
  } else {
    store_be16 (ip + 4, l4_size);
  }
  if (udp)
    store_be16 (l4 + 4, l4_size);
  else if (has_push (&merge->packets[item->last]))
    l4[13] |= TCP_PSH;
  memcpy (l4 + vnet.csum_offset, &pseudo, sizeof pseudo);
}

static void
give_merged (Merge *merge, const Item *item, const uint8_t **data, size_t *size)
{
  uint8_t *out = merge->linear + VNET_HEADER_SIZE;
  const Packet *p = &merge->packets[item->first];

  memcpy (out, p->data, p->size);
  out += p->size;
  while (p->next != NONE) {
    p = &merge->packets[p->next];
    memcpy (out, p->data + p->header_size, p->size - p->header_size);
    out += p->size - p->header_size;
  }
  write_merged_headers (merge, item);
  *data = merge->linear;
  *size = VNET_HEADER_SIZE + item->size;
}

bool
merge_next (Merge *merge, const uint8_t **data, size_t *size)
{
  const Item *item;

  if (merge->singly != NONE) {
    const Packet *p = &merge->packets[merge->singly];

    merge->singly = p->next;
    give_single (merge, p, data, size);
    return true;
  }
  if (merge->given == merge->n_items)
    return false;
  item = &merge->items[merge->given++];
  if (item->count == 1)
    give_single (merge, &merge->packets[item->first], data, size);
  else
    give_merged (merge, item, data, size);
  return true;
}

bool
merge_next_singly (Merge *merge)
{
  const Item *item = merge->given > 0 ? &merge->items[merge->given - 1] : NULL;

  if (item == NULL || item->count == 1 || merge->refused == merge->given)
    return false;
  merge->refused = merge->given;
  merge->singly = item->first;
  return true;
}
