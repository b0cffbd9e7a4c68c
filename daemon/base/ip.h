/* IP addresses, address-and-port pairs and prefixes, with their text forms.
 *
 * IPv4-mapped IPv6 addresses are unmapped wherever they come in (ip_from_mapped, ip_parse), so that
 * two equal addresses always compare equal. No zones. Values, no allocation. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define IP_TEXT_MAX        46 /* longest address and its NUL */
#define IP_PORT_TEXT_MAX   56
#define IP_PREFIX_TEXT_MAX 52

typedef struct
{
  uint8_t family;    /* 4, 6, or 0 for "none" */
  uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
} IpAddr;

typedef struct
{
  IpAddr addr;
  uint16_t port; /* host order */
} IpPort;

typedef struct
{
  IpAddr addr;
  uint8_t bits; /* 0..32 or 0..128 */
} IpPrefix;

IpAddr ip_from_v4 (uint32_t host_order);
IpAddr ip_from_v4_bytes (const uint8_t bytes[4]);

/* From 16 bytes; ::ffff:a.b.c.d becomes IPv4. */
IpAddr ip_from_mapped (const uint8_t bytes[16]);

/* 16 bytes; IPv4 as ::ffff:a.b.c.d. */
void ip_to_mapped (const IpAddr *addr, uint8_t out[16]);

/* IPv4 address in host order; 0 for other families. */
uint32_t ip_v4 (const IpAddr *addr);

/* Text without a port ("100.64.0.1", "fd7a::1"); zones and brackets are refused. */
bool ip_parse (const char *text, size_t length, IpAddr *out);
size_t ip_format (const IpAddr *addr, char out[IP_TEXT_MAX]);

/* "1.2.3.4:41641", "[2001:db8::1]:41641". */
bool ip_port_parse (const char *text, size_t length, IpPort *out);
size_t ip_port_format (const IpPort *ap, char out[IP_PORT_TEXT_MAX]);

/* "100.64.0.0/10"; without a slash a single address. Host bits are kept: see ip_prefix_is_masked.
 */
bool ip_prefix_parse (const char *text, size_t length, IpPrefix *out);
size_t ip_prefix_format (const IpPrefix *prefix, char out[IP_PREFIX_TEXT_MAX]);

/* Orders by family, then bytes (then port or bits). Suitable for qsort. */
int ip_compare (const IpAddr *a, const IpAddr *b);
int ip_port_compare (const IpPort *a, const IpPort *b);
int ip_prefix_compare (const IpPrefix *a, const IpPrefix *b);

bool ip_equal (const IpAddr *a, const IpAddr *b);
bool ip_port_equal (const IpPort *a, const IpPort *b);
bool ip_prefix_equal (const IpPrefix *a, const IpPrefix *b);

/* 32 or 128. */
unsigned ip_bits (const IpAddr *addr);

/* The prefix that holds just ADDR. */
IpPrefix ip_single (const IpAddr *addr);

/* True for /32 and /128. */
bool ip_prefix_is_single (const IpPrefix *prefix);

/* True for 0.0.0.0/0 and ::/0. */
bool ip_prefix_is_default (const IpPrefix *prefix);

/* True when no host bit is set; ip_prefix_mask clears them. */
bool ip_prefix_is_masked (const IpPrefix *prefix);
IpPrefix ip_prefix_mask (IpPrefix prefix);

bool ip_prefix_contains (const IpPrefix *prefix, const IpAddr *addr);

/* True when every address of INNER is in OUTER. */
bool ip_prefix_covers (const IpPrefix *outer, const IpPrefix *inner);
bool ip_prefix_overlaps (const IpPrefix *a, const IpPrefix *b);

bool ip_is_loopback (const IpAddr *addr);
bool ip_is_link_local (const IpAddr *addr); /* 169.254/16, fe80::/10 */
bool ip_is_multicast (const IpAddr *addr);
bool ip_is_private (const IpAddr *addr); /* 10/8, 172.16/12, 192.168/16, fc00::/7 */

/* 100.64.0.0/10 without 100.115.92.0/23, or fd7a:115c:a1e0::/48. */
bool ip_is_tailnet (const IpAddr *addr);

/* 100.100.100.100 or fd7a:115c:a1e0::53. */
bool ip_is_service (const IpAddr *addr);

/* To and from the kernel's form. ip_port_from_sockaddr returns false for other families. */
socklen_t ip_port_to_sockaddr (const IpPort *ap, struct sockaddr_storage *out);
bool ip_port_from_sockaddr (const struct sockaddr *sa, socklen_t length, IpPort *out);
