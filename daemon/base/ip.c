#include "base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

IpAddr
ip_from_v4 (uint32_t host_order)
{
  uint32_t n = htonl (host_order);
  uint8_t bytes[4];

  memcpy (bytes, &n, 4);
  return ip_from_v4_bytes (bytes);
}

IpAddr
ip_from_v4_bytes (const uint8_t bytes[4])
{
  IpAddr addr = {.family = 4};

  memcpy (addr.bytes, bytes, 4);
  return addr;
}

IpAddr
ip_from_mapped (const uint8_t bytes[16])
{
  if (memcmp (bytes, mapped_prefix, sizeof mapped_prefix) == 0)
    return ip_from_v4_bytes (bytes + 12);
  IpAddr addr = {.family = 6};
  memcpy (addr.bytes, bytes, 16);
  return addr;
}

void
ip_to_mapped (const IpAddr *addr, uint8_t out[16])
{
  if (addr->family == 4) {
    memcpy (out, mapped_prefix, sizeof mapped_prefix);
    memcpy (out + 12, addr->bytes, 4);
  } else {
    memcpy (out, addr->bytes, 16);
  }
}

uint32_t
ip_v4 (const IpAddr *addr)
{
  uint32_t n;

  if (addr->family != 4)
    return 0;
  memcpy (&n, addr->bytes, 4);
  return ntohl (n);
}

bool
ip_parse (const char *text, size_t length, IpAddr *out)
{
  char copy[IP_TEXT_MAX];
  uint8_t bytes[16];

  if (length == 0 || length >= sizeof copy)
    return false;
  memcpy (copy, text, length);
  copy[length] = '\0';
  if (strlen (copy) != length)
    return false;
  if (inet_pton (AF_INET, copy, bytes) == 1) {
    *out = ip_from_v4_bytes (bytes);
    return true;
  }
  if (inet_pton (AF_INET6, copy, bytes) == 1) {
    *out = ip_from_mapped (bytes);
    return true;
  }
  return false;
}

size_t
ip_format (const IpAddr *addr, char out[IP_TEXT_MAX])
{
  out[0] = '\0';
  if (addr->family != 0)
    inet_ntop (addr->family == 4 ? AF_INET : AF_INET6, addr->bytes, out, IP_TEXT_MAX);
  return strlen (out);
}

static bool
parse_decimal (const char *text, size_t length, unsigned max, unsigned *out)
{
  unsigned value = 0;

  if (length == 0 || length > 5 || (length > 1 && text[0] == '0'))
    return false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    value = value * 10 + (unsigned)(text[i] - '0');
  }
  *out = value;
  return value <= max;
}

bool
ip_port_parse (const char *text, size_t length, IpPort *out)
{
  const char *colon = memrchr (text, ':', length);
  unsigned port;

  if (!colon)
    return false;
  size_t host_length = (size_t)(colon - text);
  if (!parse_decimal (colon + 1, length - host_length - 1, 65535, &port))
    return false;
  bool bracketed = host_length > 2 && text[0] == '[' && text[host_length - 1] == ']';
  if (bracketed) {
    text++;
    host_length -= 2;
  } else if (memchr (text, ':', host_length)) {
    return false;
  }
  if (!ip_parse (text, host_length, &out->addr))
    return false;
  out->port = (uint16_t)port;
  return true;
}

size_t
ip_port_format (const IpPort *ap, char out[IP_PORT_TEXT_MAX])
{
  char host[IP_TEXT_MAX];

  ip_format (&ap->addr, host);
  return (size_t)snprintf (out, IP_PORT_TEXT_MAX, ap->addr.family == 6 ? "[%s]:%u" : "%s:%u", host,
                           ap->port);
}

bool
ip_prefix_parse (const char *text, size_t length, IpPrefix *out)
{
  const char *slash = memchr (text, '/', length);
  size_t host_length = slash ? (size_t)(slash - text) : length;
  unsigned bits;

  if (!ip_parse (text, host_length, &out->addr))
    return false;
  if (!slash) {
    out->bits = (uint8_t)ip_bits (&out->addr);
    return true;
  }
  if (!parse_decimal (slash + 1, length - host_length - 1, ip_bits (&out->addr), &bits))
    return false;
  out->bits = (uint8_t)bits;
  return true;
}

size_t
ip_prefix_format (const IpPrefix *prefix, char out[IP_PREFIX_TEXT_MAX])
{
  char host[IP_TEXT_MAX];

  ip_format (&prefix->addr, host);
  return (size_t)snprintf (out, IP_PREFIX_TEXT_MAX, "%s/%u", host, prefix->bits);
}

int
ip_compare (const IpAddr *a, const IpAddr *b)
{
  if (a->family != b->family)
    return a->family < b->family ? -1 : 1;
  return memcmp (a->bytes, b->bytes, sizeof a->bytes);
}

int
ip_port_compare (const IpPort *a, const IpPort *b)
{
  int order = ip_compare (&a->addr, &b->addr);

  return order != 0 ? order : (a->port > b->port) - (a->port < b->port);
}

int
ip_prefix_compare (const IpPrefix *a, const IpPrefix *b)
{
  int order = ip_compare (&a->addr, &b->addr);

  return order != 0 ? order : (a->bits > b->bits) - (a->bits < b->bits);
}

bool
ip_equal (const IpAddr *a, const IpAddr *b)
{
  return ip_compare (a, b) == 0;
}

bool
ip_port_equal (const IpPort *a, const IpPort *b)
{
  return ip_port_compare (a, b) == 0;
}

bool
ip_prefix_equal (const IpPrefix *a, const IpPrefix *b)
{
  return ip_prefix_compare (a, b) == 0;
}

unsigned
ip_bits (const IpAddr *addr)
{
  return addr->family == 4 ? 32 : 128;
}

IpPrefix
ip_single (const IpAddr *addr)
{
  return (IpPrefix){.addr = *addr, .bits = (uint8_t)ip_bits (addr)};
}

bool
ip_prefix_is_single (const IpPrefix *prefix)
{
  return prefix->addr.family != 0 && prefix->bits == ip_bits (&prefix->addr);
}

bool
ip_prefix_is_default (const IpPrefix *prefix)
{
  static const uint8_t zero[16];

  return prefix->addr.family != 0 && prefix->bits == 0
         && memcmp (prefix->addr.bytes, zero, sizeof zero) == 0;
}

IpPrefix
ip_prefix_mask (IpPrefix prefix)
{
  unsigned whole = prefix.bits / 8;
  unsigned rest = prefix.bits % 8;

  if (rest > 0) {
    prefix.addr.bytes[whole] &= (uint8_t)(0xff00 >> rest);
    whole++;
  }
  if (whole < 16)
    memset (prefix.addr.bytes + whole, 0, 16 - whole);
  return prefix;
}

bool
ip_prefix_is_masked (const IpPrefix *prefix)
{
  IpPrefix masked = ip_prefix_mask (*prefix);

  return ip_prefix_equal (prefix, &masked);
}

bool
ip_prefix_contains (const IpPrefix *prefix, const IpAddr *addr)
{
  if (prefix->addr.family != addr->family)
    return false;
  unsigned whole = prefix->bits / 8;
  unsigned rest = prefix->bits % 8;
  if (memcmp (prefix->addr.bytes, addr->bytes, whole) != 0)
    return false;
  return rest == 0
         || ((prefix->addr.bytes[whole] ^ addr->bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool
ip_prefix_covers (const IpPrefix *outer, const IpPrefix *inner)
{
  return outer->bits <= inner->bits && ip_prefix_contains (outer, &inner->addr);
}

bool
ip_prefix_overlaps (const IpPrefix *a, const IpPrefix *b)
{
  return ip_prefix_covers (a, b) || ip_prefix_covers (b, a);
}

static bool
v4_in (const IpAddr *addr, uint32_t base, unsigned bits)
{
  return addr->family == 4 && (ip_v4 (addr) ^ base) >> (32 - bits) == 0;
}

bool
ip_is_loopback (const IpAddr *addr)
{
  static const uint8_t one[16] = {[15] = 1};

  return v4_in (addr, 0x7f000000, 8) || (addr->family == 6 && memcmp (addr->bytes, one, 16) == 0);
}

bool
ip_is_link_local (const IpAddr *addr)
{
  return v4_in (addr, 0xa9fe0000, 16)
         || (addr->family == 6 && addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80);
}

bool
ip_is_multicast (const IpAddr *addr)
{
  return v4_in (addr, 0xe0000000, 4) || (addr->family == 6 && addr->bytes[0] == 0xff);
}

bool
ip_is_private (const IpAddr *addr)
{
  return v4_in (addr, 0x0a000000, 8) || v4_in (addr, 0xac100000, 12) || v4_in (addr, 0xc0a80000, 16)
         || (addr->family == 6 && (addr->bytes[0] & 0xfe) == 0xfc);
}

static const uint8_t tailnet6[6] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};

bool
ip_is_tailnet (const IpAddr *addr)
{
  if (addr->family == 6)
    return memcmp (addr->bytes, tailnet6, sizeof tailnet6) == 0;
  return v4_in (addr, 0x64400000, 10) && !v4_in (addr, 0x64735c00, 23);
}

bool
ip_is_service (const IpAddr *addr)
{
  static const uint8_t service6[16] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53};

  return v4_in (addr, 0x64646464, 32)
         || (addr->family == 6 && memcmp (addr->bytes, service6, sizeof service6) == 0);
}

socklen_t
ip_port_to_sockaddr (const IpPort *ap, struct sockaddr_storage *out)
{
  memset (out, 0, sizeof *out);
  if (ap->addr.family == 4) {
    struct sockaddr_in *sin = (struct sockaddr_in *)out;
    sin->sin_family = AF_INET;
    sin->sin_port = htons (ap->port);
    memcpy (&sin->sin_addr, ap->addr.bytes, 4);
    return sizeof *sin;
  }
  struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)out;
  sin6->sin6_family = AF_INET6;
  sin6->sin6_port = htons (ap->port);
  memcpy (&sin6->sin6_addr, ap->addr.bytes, 16);
  return sizeof *sin6;
}

bool
ip_port_from_sockaddr (const struct sockaddr *sa, socklen_t length, IpPort *out)
{
  if (sa->sa_family == AF_INET && length >= sizeof (struct sockaddr_in)) {
    const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;
    out->addr = ip_from_v4_bytes ((const uint8_t *)&sin->sin_addr);
    out->port = ntohs (sin->sin_port);
    return true;
  }
  if (sa->sa_family == AF_INET6 && length >= sizeof (struct sockaddr_in6)) {
    const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;
    out->addr = ip_from_mapped (sin6->sin6_addr.s6_addr);
    out->port = ntohs (sin6->sin6_port);
    return true;
  }
  return false;
}
