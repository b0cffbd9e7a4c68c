#include "host/foreign-firewall.h"

#include <errno.h>
#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>

#define COMMENT         "warren"
#define OWN_TABLE       "warren"
#define DEBOUNCE_MS     2000
#define REPAIRS_PER_MIN 6

struct ForeignFirewall
{
  char *tun_name;
  char *blocked_by;
  struct mnl_socket *events;
  guint event_source;
  guint look_source;
  gint64 minute; /* the minute that `repairs` counts */
  unsigned repairs;
};

/* The chains where iptables-nft and ufw decide; the same for both families. */
static const char *const open_families[] = {"ip", "ip6"};
#define OPEN_TABLE "filter"
#define OPEN_CHAIN "INPUT"

/* Runs TEXT and gives what it prints as JSON, NULL when it failed or printed nothing. */
static JsonArray *
query (struct nft_ctx *nft, const char *text, JsonParser *parser)
{
  if (nft_run_cmd_from_buffer (nft, text) != 0)
    return NULL;
  const char *out = nft_ctx_get_output_buffer (nft);
  if (!out || !json_parser_load_from_data (parser, out, -1, NULL))
    return NULL;
  JsonNode *root = json_parser_get_root (parser);
  if (!root || !JSON_NODE_HOLDS_OBJECT (root))
    return NULL;
  JsonObject *object = json_node_get_object (root);
  return json_object_has_member (object, "nftables")
             ? json_object_get_array_member (object, "nftables")
             : NULL;
}

static struct nft_ctx *
open_nft (void)
{
  struct nft_ctx *nft = nft_ctx_new (NFT_CTX_DEFAULT);

  if (!nft)
    return NULL;
  nft_ctx_buffer_output (nft);
  nft_ctx_buffer_error (nft);
  nft_ctx_output_set_flags (nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE);
  return nft;
}

/* The member NAME ("chain", "rule") of element I, or NULL when the element is something else. */
static JsonObject *
element (JsonArray *array, guint i, const char *name)
{
  JsonObject *object = json_array_get_object_element (array, i);

  return object && json_object_has_member (object, name)
             ? json_object_get_object_member (object, name)
             : NULL;
}

static const char *
text_of (JsonObject *object, const char *name)
{
  return json_object_get_string_member_with_default (object, name, "");
}

/* Our rules in one of the chains: deletes them all (REMOVE), or counts them. */
static unsigned
our_rules (struct nft_ctx *nft, const char *family, bool take_out)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *list = g_strdup_printf ("list chain %s " OPEN_TABLE " " OPEN_CHAIN, family);
  JsonArray *array = query (nft, list, parser);
  unsigned count = 0;

  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    JsonObject *rule = element (array, i, "rule");
    if (!rule || strcmp (text_of (rule, "comment"), COMMENT) != 0)
      continue;
    count++;
    if (!take_out)
      continue;
    g_autofree char *command
        = g_strdup_printf ("delete rule %s " OPEN_TABLE " " OPEN_CHAIN " handle %" G_GINT64_FORMAT,
                           family, json_object_get_int_member_with_default (rule, "handle", 0));
    nft_run_cmd_from_buffer (nft, command);
  }
  return count;
}

static bool
insert_rule (ForeignFirewall *foreign, struct nft_ctx *nft, const char *family)
{
  g_autofree char *command
      = g_strdup_printf ("insert rule %s " OPEN_TABLE " " OPEN_CHAIN
                         " iifname \"%s\" counter accept comment \"" COMMENT "\"",
                         family, foreign->tun_name);
  gint64 minute = g_get_monotonic_time () / G_USEC_PER_SEC / 60;

  if (minute != foreign->minute) {
    foreign->minute = minute;
    foreign->repairs = 0;
  }
  if (foreign->repairs++ >= REPAIRS_PER_MIN)
    return false;
  return nft_run_cmd_from_buffer (nft, command) == 0;
}

static bool
is_open_chain (JsonObject *chain)
{
  return g_strv_contains ((const char *const[]){"ip", "ip6", NULL}, text_of (chain, "family"))
         && strcmp (text_of (chain, "table"), OPEN_TABLE) == 0
         && strcmp (text_of (chain, "name"), OPEN_CHAIN) == 0;
}

static void
look (ForeignFirewall *foreign)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  struct nft_ctx *nft = open_nft ();

  g_clear_pointer (&foreign->blocked_by, g_free);
  if (!nft)
    return;
  JsonArray *array = query (nft, "list chains", parser);
  for (guint i = 0; array && i < json_array_get_length (array); i++) {
    JsonObject *chain = element (array, i, "chain");
    if (!chain || strcmp (text_of (chain, "hook"), "input") != 0)
      continue;
    bool opened = is_open_chain (chain)
                  && (our_rules (nft, text_of (chain, "family"), false) > 0
                      || insert_rule (foreign, nft, text_of (chain, "family")));
    if (!opened && strcmp (text_of (chain, "policy"), "drop") == 0
        && strcmp (text_of (chain, "table"), OWN_TABLE) != 0 && !foreign->blocked_by)
      foreign->blocked_by = g_strdup_printf ("%s %s %s", text_of (chain, "family"),
                                             text_of (chain, "table"), text_of (chain, "name"));
  }
  nft_ctx_free (nft);
}

static gboolean
on_look (void *user_data)
{
  ForeignFirewall *foreign = user_data;

  foreign->look_source = 0;
  look (foreign);
  return G_SOURCE_REMOVE;
}

static gboolean
on_event (int fd, GIOCondition condition, void *user_data)
{
  ForeignFirewall *foreign = user_data;
  char buffer[8192];

  while (recv (fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0 || errno == ENOBUFS)
    errno = 0;
  if (!foreign->look_source)
    foreign->look_source = g_timeout_add (DEBOUNCE_MS, on_look, foreign);
  return G_SOURCE_CONTINUE;
}

static void
watch (ForeignFirewall *foreign)
{
  int group = NFNLGRP_NFTABLES;

  foreign->events = mnl_socket_open2 (NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (!foreign->events || mnl_socket_bind (foreign->events, 0, MNL_SOCKET_AUTOPID) < 0
      || mnl_socket_setsockopt (foreign->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
    return; /* no news then; what is there now is opened all the same */
  foreign->event_source
      = g_unix_fd_add (mnl_socket_get_fd (foreign->events), G_IO_IN, on_event, foreign);
}

ForeignFirewall *
foreign_firewall_new (const char *tun_name)
{
  ForeignFirewall *foreign = g_new0 (ForeignFirewall, 1);

  foreign->tun_name = g_strdup (tun_name);
  return foreign;
}

void
foreign_firewall_open (ForeignFirewall *foreign)
{
  if (foreign->events)
    return;
  look (foreign);
  watch (foreign);
}

const char *
foreign_firewall_blocked_by (const ForeignFirewall *foreign)
{
  return foreign->blocked_by;
}

void
foreign_firewall_cleanup (void)
{
  struct nft_ctx *nft = open_nft ();

  if (!nft)
    return;
  for (size_t i = 0; i < G_N_ELEMENTS (open_families); i++)
    our_rules (nft, open_families[i], true);
  nft_ctx_free (nft);
}

void
foreign_firewall_close (ForeignFirewall *foreign)
{
  if (!foreign->events)
    return;
  g_clear_handle_id (&foreign->event_source, g_source_remove);
  g_clear_handle_id (&foreign->look_source, g_source_remove);
  g_clear_pointer (&foreign->events, mnl_socket_close);
  foreign_firewall_cleanup ();
}

void
foreign_firewall_free (ForeignFirewall *foreign)
{
  if (!foreign)
    return;
  foreign_firewall_close (foreign);
  g_free (foreign->blocked_by);
  g_free (foreign->tun_name);
  g_free (foreign);
}
