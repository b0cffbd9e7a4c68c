/* Looks a server's name up without name servers: asks the relays of the last network map, whose
 * addresses are known, by HTTPS (control-protocol.md §4.4).
 *
 * Each relay is asked once, six at most, one after the other; its certificate must be right, so the
 * answer is as trustworthy as the relay. Main thread. */
#pragma once

#include "base/ip.h"
#include "base/random.h"

#include <glib.h>

#define BOOTSTRAP_TRIES_MAX 6

/* A relay with literal addresses; family 0: it has none of that family. */
typedef struct
{
  char *host;
  char *cert_name; /* as in a DERP map: another name, "sha256-raw:…", or NULL */
  IpAddr ip4;
  IpAddr ip6;
  uint16_t port;
  bool insecure; /* a test's: its certificate is not looked at */
} BootstrapRelay;

void bootstrap_relay_free (void *relay);

typedef struct BootstrapDns BootstrapDns;

/* Called once, from the main loop, unless the look-up is freed before: a GArray of IpAddr (the
 * callee's), or NULL. */
typedef void (*BootstrapDone) (GArray *addresses, void *user_data);

/* RELAYS: GPtrArray of BootstrapRelay, kept for as long as it is needed. */
BootstrapDns *bootstrap_dns_new (GPtrArray *relays, const char *name, Random *random,
                                 BootstrapDone done, void *user_data);
void bootstrap_dns_free (BootstrapDns *lookup);

/* The addresses of NAME in the JSON answer of a relay, appended to OUT; false if it is not one. */
bool bootstrap_dns_parse (const void *data, size_t size, const char *name, GArray *out);
