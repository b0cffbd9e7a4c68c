/* What warren-coordinator(1) lists with --json, as objects for views: devices, keys, users, name
 * service, faults of a policy. Members that a document lacks are empty, and unknown ones are left
 * alone, so that both sides may grow.
 *
 * Not the devices that this computer is connected to (device.h), and no calls (network-data.h).
 * Main thread. */
#pragma once

#include <gio/gio.h>

typedef struct
{
  char *id;       /* of the node, or the one in the sign-in link while it waits */
  char *name;     /* in the network; what the device calls itself while it waits */
  char *hostname; /* what the device calls itself */
  char *os;
  char *user; /* "" with tags */
  char *node_key;
  char **tags;
  char **addresses;  /* IPv4 first */
  char **advertised; /* routes that it offers */
  char **routes;     /* those of them that were approved */
  gboolean waiting;  /* for approval */
  gboolean online;
  gboolean expired;
  gint64 key_expiry; /* Unix seconds, 0 = never */
  gint64 last_seen;
  gint64 since; /* it waits */
} WarrenNodeFacts;

#define WARREN_TYPE_NETWORK_NODE (warren_network_node_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkNode, warren_network_node, WARREN, NETWORK_NODE, GObject)

/* Borrowed, never NULL, no string or list in it is NULL; another one after "changed". */
const WarrenNodeFacts *warren_network_node_get (WarrenNetworkNode *node);

/* Takes over what SOURCE knows; emits "changed" if that differs. */
void warren_network_node_update (WarrenNetworkNode *node, WarrenNetworkNode *source);

/* Offers the way to the Internet, and may. */
gboolean warren_network_node_offers_exit (WarrenNetworkNode *node);
gboolean warren_network_node_is_exit (WarrenNetworkNode *node);

/* What tells one device from another where both are called "laptop": "5f3a 91c0 7d2e b864", from
 * the node key. "" if the key is not known. Free with g_free. */
char *warren_network_node_dup_fingerprint (WarrenNetworkNode *node);

/* Whether name, address, user or tag contain NEEDLE, which warren_search_fold has folded. */
gboolean warren_network_node_matches (WarrenNetworkNode *node, const char *needle);

typedef struct
{
  char *id;
  char *user;
  char *state; /* "valid", "used", "revoked", "expired" */
  char **tags;
  gboolean reusable;
  gboolean ephemeral;
  gint64 expires; /* Unix seconds, 0 = never */
} WarrenKeyFacts;

#define WARREN_TYPE_NETWORK_KEY (warren_network_key_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkKey, warren_network_key, WARREN, NETWORK_KEY, GObject)
const WarrenKeyFacts *warren_network_key_get (WarrenNetworkKey *key);

typedef struct
{
  char *id;
  char *login;
  char *role; /* "owner", "admin", "member" or "" */
  guint devices;
} WarrenUserFacts;

#define WARREN_TYPE_NETWORK_USER (warren_network_user_get_type ())
G_DECLARE_FINAL_TYPE (WarrenNetworkUser, warren_network_user, WARREN, NETWORK_USER, GObject)
const WarrenUserFacts *warren_network_user_get (WarrenNetworkUser *user);

/* The lists as arrays of the objects above; NULL with ERROR if TEXT is no such document. */
GPtrArray *warren_network_parse_nodes (const char *text, GError **error);
GPtrArray *warren_network_parse_keys (const char *text, GError **error);
GPtrArray *warren_network_parse_users (const char *text, GError **error);

typedef struct
{
  char *domain;
  char **nameservers;
  gboolean magic;
} WarrenDnsFacts;

/* Free with warren_dns_facts_free. */
WarrenDnsFacts *warren_network_parse_dns (const char *text, GError **error);
void warren_dns_facts_free (WarrenDnsFacts *dns);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WarrenDnsFacts, warren_dns_facts_free)

typedef struct
{
  guint line, column; /* from 1; 0 = the whole text */
  gboolean warning;
  char *path; /* "acls[0].dst[1]" */
  char *text;
} WarrenPolicyIssue;

/* The answer of "policy check": an array of WarrenPolicyIssue. */
GPtrArray *warren_network_parse_issues (const char *text, GError **error);

/* The key in the answer of "keys create": a document with "key", or the key alone on a line. NULL
 * if there is none. Free with g_free. */
char *warren_network_parse_new_key (const char *text);
