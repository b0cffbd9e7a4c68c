/* What a network is set to: its name, where addresses come from, names (DNS), relays of others.
 *
 * Plain values with the JSON form in which they are kept (record "setting"/"network") and shown,
 * and what nodes are told of them (spec/netmap-and-policy.md A.7, spec/linux-host.md §4). Who may
 * change them is not decided here. State thread. */
#pragma once

#include "base/ip.h"
#include "netmap/derp-map.h"
#include "netmap/dns.h"
#include "wire/json-reader.h"
#include "wire/json-writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTINGS_LIST_MAX 256 /* entries of each list */
#define SETTINGS_NAME_MAX 253 /* characters of a domain name */

typedef struct
{
  char **list;
  size_t n, room;
} Texts;

void texts_add (Texts *texts, const char *text);
void texts_clear (Texts *texts);

/* A name and what belongs to it: a suffix and its servers, a host and its addresses. */
typedef struct
{
  char *name;
  Texts values;
} NamedTexts;

typedef struct
{
  NamedTexts *list; /* in order of name */
  size_t n, room;
} NamedTextsList;

/* Replaces what NAME has; nothing among VALUES removes it. VALUES is taken. False when the list is
 * full. */
bool named_texts_set (NamedTextsList *list, const char *name, Texts *values);

typedef struct
{
  char *name;   /* what people call the network */
  char *domain; /* MagicDNS suffix, "home.internal" */
  bool magic_dns;
  bool override_local; /* nameservers stand before those of the place where a device is */
  Texts nameservers;
  Texts search;           /* besides the domain */
  NamedTextsList split;   /* suffix -> name servers */
  NamedTextsList records; /* name -> addresses */
  IpPrefix pool4, pool6;
  int64_t key_days; /* life of a node key; 0: for ever */
  char *derp_text;  /* relays of others, a DERPMap; NULL: none */
} CoSettings;

void settings_init (CoSettings *settings);
void settings_clear (CoSettings *settings);

/* Members of an object that is open. Reading leaves unknown ones to the caller: false. */
void settings_write (const CoSettings *settings, JsonWriter *w);
bool settings_read_member (CoSettings *settings, JsonString name, JsonReader *r);

/* "nameservers", "splitDns" and so on, as `dns get --json` shows them, in an object of their own.
 */
void settings_write_dns (const CoSettings *settings, JsonWriter *w);

/* What nodes are told. */
NetmapDns *settings_dns (const CoSettings *settings);

/* OWN (may be NULL) and the relays of others; a new reference, NULL when there is neither. Regions
 * of our own win. */
DerpMap *settings_derp_map (const CoSettings *settings, const DerpMap *own);

/* Sub-prefixes of what official clients take for addresses of a tailnet. */
bool settings_pool4_is_valid (const IpPrefix *prefix);
bool settings_pool6_is_valid (const IpPrefix *prefix);

/* Letters, digits, hyphens, underscores and dots between them; no dot at the ends. */
bool settings_domain_is_valid (const char *text);
