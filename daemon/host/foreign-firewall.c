#include "host/foreign-firewall.h"

#include "wire/json-reader.h"

#include <errno.h>
#include <glib-unix.h>
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
  bool forward;
  struct mnl_socket *events;
  guint event_source;
  guint look_source;
  gint64 minute; /* the minute that `repairs` counts */
  unsigned repairs;
};

/* The chains where iptables-nft and ufw decide; the same for both families. */
static const char *const open_families[] = {"ip", "ip6", NULL};
#define OPEN_TABLE "filter"

/* … with what is let through there. */
static const struct
{
  const char *name, *hook, *directions[3];
} open_chains[] = {
    {"INPUT", "input", {"iifname"}},
    {"FORWARD", "forward", {"iifname", "oifname"}},
};

/* What nft says of one chain or rule. */
typedef struct
{
  bool is_chain, is_rule;
  char *family, *table, *name, *hook, *policy, *comment;
  gint64 handle;
} Item;

static void
item_free (Item *item)
{
  g_free (item->family);
  g_free (item->table);
  g_free (item->name);
  g_free (item->hook);
  g_free (item->policy);
  g_free (item->comment);
  g_free (item);
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

static void
read_fields (JsonReader *r, Item *item)
{
  const struct
  {
    const char *name;
    char **field;
  } fields[] = {{"family", &item->family}, {"table", &item->table},   {"name", &item->name},
                {"hook", &item->hook},     {"policy", &item->policy}, {"comment", &item->comment}};
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    char **field = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS (fields); i++)
      if (json_string_equal (name, fields[i].name))
        field = fields[i].field;
    if (field) {
      JsonString value = json_reader_string (r);
      g_free (*field);
      *field = g_strndup (value.text ? value.text : "", value.length);
    } else if (json_string_equal (name, "handle")) {
      item->handle = json_reader_i64 (r);
    } else {
      json_reader_skip (r);
    }
  }
}

/* The chains and rules in the answer {"nftables": [{"chain": {…}}, …]} to the command TEXT. */
static GPtrArray *
query (struct nft_ctx *nft, const char *text)
{
  GPtrArray *items = g_ptr_array_new_with_free_func ((GDestroyNotify)item_free);
  JsonString name;
  JsonReader r;

  if (nft_run_cmd_from_buffer (nft, text) != 0)
    return items;
  const char *out = nft_ctx_get_output_buffer (nft);
  json_reader_init (&r, out ? out : "{}", out ? strlen (out) : 2);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    json_reader_enter_array (&r);
    while (json_reader_next_element (&r)) {
      Item *item = g_new0 (Item, 1);
      json_reader_enter_object (&r);
      while (json_reader_next_member (&r, &name)) {
        item->is_chain = json_string_equal (name, "chain");
        item->is_rule = json_string_equal (name, "rule");
        if (item->is_chain || item->is_rule)
          read_fields (&r, item);
        else
          json_reader_skip (&r);
      }
      g_ptr_array_add (items, item);
    }
  }
  json_reader_clear (&r);
  return items;
}

/* Our rules in CHAIN: deletes them all (TAKE_OUT), and counts them. */
static unsigned
our_rules (struct nft_ctx *nft, const char *family, const char *chain, bool take_out)
{
  g_autofree char *list = g_strdup_printf ("list chain %s " OPEN_TABLE " %s", family, chain);
  g_autoptr (GPtrArray) items = query (nft, list);
  unsigned count = 0;

  for (guint i = 0; i < items->len; i++) {
    Item *rule = items->pdata[i];
    if (!rule->is_rule || g_strcmp0 (rule->comment, COMMENT) != 0)
      continue;
    count++;
    if (!take_out)
      continue;
    g_autofree char *command
        = g_strdup_printf ("delete rule %s " OPEN_TABLE " %s handle %" G_GINT64_FORMAT, family,
                           chain, rule->handle);
    nft_run_cmd_from_buffer (nft, command);
  }
  return count;
}

/* Lets the tunnel's packets through CHAIN, which is one of the open ones. */
static bool
insert_rules (ForeignFirewall *foreign, struct nft_ctx *nft, const char *family, size_t chain)
{
  g_autoptr (GString) command = g_string_new (NULL);
  gint64 minute = g_get_monotonic_time () / G_USEC_PER_SEC / 60;

  if (minute != foreign->minute) {
    foreign->minute = minute;
    foreign->repairs = 0;
  }
  if (foreign->repairs++ >= REPAIRS_PER_MIN)
    return false;
  for (const char *const *way = open_chains[chain].directions; *way; way++)
    g_string_append_printf (command,
                            "insert rule %s " OPEN_TABLE
                            " %s %s \"%s\" counter accept comment \"" COMMENT "\"\n",
                            family, open_chains[chain].name, *way, foreign->tun_name);
  return nft_run_cmd_from_buffer (nft, command->str) == 0;
}

static bool
is_open_chain (const Item *chain, size_t i)
{
  return g_strv_contains (open_families, chain->family) && g_strcmp0 (chain->table, OPEN_TABLE) == 0
         && g_strcmp0 (chain->name, open_chains[i].name) == 0;
}

/* CHAIN decides over packets of a hook. */
static void
look_at (ForeignFirewall *foreign, struct nft_ctx *nft, const Item *chain)
{
  for (size_t i = 0; i < (foreign->forward ? G_N_ELEMENTS (open_chains) : 1); i++) {
    if (g_strcmp0 (chain->hook, open_chains[i].hook) != 0)
      continue;
    bool opened = is_open_chain (chain, i)
                  && (our_rules (nft, chain->family, chain->name, false) > 0
                      || insert_rules (foreign, nft, chain->family, i));
    if (!opened && g_strcmp0 (chain->policy, "drop") == 0
        && g_strcmp0 (chain->table, OWN_TABLE) != 0 && !foreign->blocked_by)
      foreign->blocked_by = g_strdup_printf ("%s %s %s", chain->family, chain->table, chain->name);
  }
}

static void
look (ForeignFirewall *foreign)
{
  struct nft_ctx *nft = open_nft ();

  g_clear_pointer (&foreign->blocked_by, g_free);
  if (!nft)
    return;
  g_autoptr (GPtrArray) items = query (nft, "list chains");
  for (guint i = 0; i < items->len; i++) {
    const Item *chain = items->pdata[i];
    if (chain->is_chain && chain->family)
      look_at (foreign, nft, chain);
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

static void
close_chain (struct nft_ctx *nft, const char *chain)
{
  for (size_t i = 0; open_families[i]; i++)
    our_rules (nft, open_families[i], chain, true);
}

static void
close_forward (void)
{
  struct nft_ctx *nft = open_nft ();

  if (!nft)
    return;
  close_chain (nft, "FORWARD");
  nft_ctx_free (nft);
}

void
foreign_firewall_open (ForeignFirewall *foreign, bool forward)
{
  bool same = foreign->forward == forward;

  if (foreign->events && same)
    return;
  foreign->forward = forward;
  if (!forward && !same)
    close_forward ();
  look (foreign);
  if (!foreign->events)
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
  for (size_t i = 0; i < G_N_ELEMENTS (open_chains); i++)
    close_chain (nft, open_chains[i].name);
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
