/* Packets out of a line of text, for tests of the filter. */
#pragma once

#include "base/bytes.h"
#include "base/ip-packet.h"

#include <glib.h>
#include <string.h>

#define PACKET_MAX 128

static inline IpAddr
packet_addr (const char *text)
{
  IpAddr a;

  if (!ip_parse (text, strlen (text), &a))
    g_error ("not an address: %s", text);
  return a;
}

static inline uint8_t
packet_protocol (const char *name)
{
  static const struct
  {
    const char *name;
    uint8_t number;
  } names[] = {{"tcp", 6}, {"udp", 17}, {"sctp", 132}, {"icmp", 1}, {"icmp6", 58}, {"tsmp", 99}};

  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (strcmp (name, names[i].name) == 0)
      return names[i].number;
  return (uint8_t)atoi (name);
}

/* "PROTOCOL SOURCE SPORT DESTINATION DPORT [WORD]…": for TCP the words are flags out of "SAFR"; for
 * ICMP the ports are type and code; "frag=N" makes it a fragment at N units of 8 bytes, "len=N"
 * sets the size of the transport part. Returns the size of the packet in DATA. */
static inline size_t
packet_build (const char *line, uint8_t data[PACKET_MAX])
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  uint8_t protocol = packet_protocol (words[0]);
  IpAddr src = packet_addr (words[1]), dst = packet_addr (words[3]);
  bool v4 = src.family == 4;
  size_t header = v4 ? 20 : 40, length = 24;
  unsigned a = (unsigned)atoi (words[2]), b = (unsigned)atoi (words[4]);
  int fragment = -1;

  memset (data, 0, PACKET_MAX);
  for (char **word = words + 5; *word; word++) {
    if (g_str_has_prefix (*word, "frag="))
      fragment = atoi (*word + 5);
    else if (g_str_has_prefix (*word, "len="))
      length = (size_t)atoi (*word + 4);
    else
      for (const char *c = *word; *c; c++)
        data[header + 13] |= *c == 'S'   ? TCP_SYN
                             : *c == 'A' ? TCP_ACK
                             : *c == 'F' ? TCP_FIN
                                         : TCP_RST;
  }
  uint8_t flags = data[header + 13];
  uint8_t *t = data + header;
  if (fragment >= 0 && !v4) {
    t[0] = protocol;
    store_be16 (t + 2, (uint16_t)(fragment << 3 | 1));
    t += 8;
    length += 8;
  }
  if (protocol == 1 || protocol == 58) {
    t[0] = (uint8_t)a;
    t[1] = (uint8_t)b;
  } else {
    store_be16 (t, (uint16_t)a);
    store_be16 (t + 2, (uint16_t)b);
  }
  if (protocol == 6) {
    data[header + 13] = 0;
    t[13] = flags;
  }
  if (v4) {
    data[0] = 0x45;
    store_be16 (data + 2, (uint16_t)(header + length));
    store_be16 (data + 6, (uint16_t)(fragment > 0    ? fragment | 0x2000
                                     : fragment == 0 ? 0x2000
                                                     : 0));
    data[9] = protocol;
    memcpy (data + 12, src.bytes, 4);
    memcpy (data + 16, dst.bytes, 4);
  } else {
    data[0] = 0x60;
    store_be16 (data + 4, (uint16_t)length);
    data[6] = fragment >= 0 ? 44 : protocol;
    memcpy (data + 8, src.bytes, 16);
    memcpy (data + 24, dst.bytes, 16);
  }
  return header + length;
}

static inline IpPacket
packet_parse (const char *line)
{
  uint8_t data[PACKET_MAX];
  IpPacket p;
  size_t size = packet_build (line, data);

  ip_packet_parse (&p, data, size);
  return p;
}
