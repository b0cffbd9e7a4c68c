/* Names of the daemon's own servers: control and relays (DESIGN; spec/linux-host.md §2.4).
 *
 * c-ares over marked sockets to the host's real upstream servers, never to our own resolver, with
 * the last good addresses kept on disk, so that control and relays are reached by name while an
 * exit node is down and every other cache is empty. Main thread. */
#pragma once

#include "base/ip.h"
#include "host/bootstrap-dns.h"

#include <gio/gio.h>

#define RESOLVER_ERROR resolver_error_quark ()
GQuark resolver_error_quark (void);

typedef enum
{
  RESOLVER_ERROR_NOT_FOUND, /* the name does not exist */
  RESOLVER_ERROR_FAILED,    /* no server answered, and no earlier answer is known */
} ResolverError;

typedef struct Resolver Resolver;

/* CACHE_PATH is the file of last good addresses; NULL keeps them in memory only. */
Resolver *resolver_new (const char *cache_path);

/* Looks NAME up (address literals answer at once). Answers interleave IPv6 and IPv4, IPv6 first.
 * When servers fail, or are silent for 3 s, the last good answer is given instead; without one the
 * relays are asked. Cancelling reports G_IO_ERROR_CANCELLED. */
void resolver_lookup_async (Resolver *resolver, const char *name, GCancellable *cancellable,
                            GAsyncReadyCallback callback, void *user_data);

/* The same by the relays alone, when no address that name servers gave can be reached. */
void resolver_bootstrap_async (Resolver *resolver, const char *name, GCancellable *cancellable,
                               GAsyncReadyCallback callback, void *user_data);

/* A GArray of IpAddr, at least one. */
GArray *resolver_lookup_finish (Resolver *resolver, GAsyncResult *result, GError **error);

/* The relays to ask when name servers fail: a GPtrArray of BootstrapRelay, a reference is taken;
 * NULL: none. */
void resolver_set_relays (Resolver *resolver, GPtrArray *relays);

/* A connection to ADDRESS was made, so it is no forged or outdated one; and whether that holds for
 * any of ADDRESSES, a GArray of IpAddr. */
void resolver_note_reached (Resolver *resolver, const IpAddr *address);
bool resolver_has_reached (const Resolver *resolver, const GArray *addresses);

/* The network changed: forget answers in memory, read the upstream servers again. */
void resolver_link_changed (Resolver *resolver);

void resolver_free (Resolver *resolver);
