#include "host/firewall.h"

#include "host/host.h"

#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

/* Keeps the bits of a mark that are not ours. */
#define KEEP_BITS "0xff00ffff"

struct Firewall
{
  struct nft_ctx *nft;
  bool installed;
  bool owned;  /* with flag owner; false on kernels that do not know it */
  char *shape; /* the table's text without its peers */
  IpAddr *peers4;
  size_t n_peers4;
};

Firewall *
firewall_new (void)
{
  Firewall *firewall = g_new0 (Firewall, 1);

  firewall->owned = true;
  return firewall;
}

void
firewall_free (Firewall *firewall)
{
  if (!firewall)
    return;
  firewall_clear (firewall);
  if (firewall->nft)
    nft_ctx_free (firewall->nft);
  g_free (firewall);
}

/* Runs TEXT as one transaction. */
static bool
run (Firewall *firewall, const char *text, GError **error)
{
  if (!firewall->nft) {
    firewall->nft = nft_ctx_new (NFT_CTX_DEFAULT);
    if (!firewall->nft) {
      g_set_error (error, HOST_ERROR, HOST_ERROR_FAILED, "could not start nftables");
      return false;
    }
    nft_ctx_buffer_output (firewall->nft);
    nft_ctx_buffer_error (firewall->nft);
  }
  if (nft_run_cmd_from_buffer (firewall->nft, text) == 0)
    return true;
  g_autofree char *message = g_strdup (nft_ctx_get_error_buffer (firewall->nft));
  g_strdelimit (g_strstrip (message), "\n", ' ');
  g_set_error (error, HOST_ERROR, HOST_ERROR_FAILED, "could not set firewall rules: %.200s",
               message);
  return false;
}

static void
append_marking (GString *text, const FirewallRules *rules)
{
  /* Replies to marked packets carry the mark before routing looks at them, or a strict reverse path
   * filter drops them; so do unsolicited packets of peers. */
  g_string_append (text,
                   "chain premangle { type filter hook prerouting priority mangle; policy accept;\n"
                   "ct state established,related ct mark & 0x00ff0000 == 0x00080000 "
                   "meta mark set meta mark & " KEEP_BITS " | 0x00080000;\n");
  if (rules->udp_port)
    g_string_append_printf (text,
                            "iifname != \"%s\" udp dport %u fib daddr type local "
                            "meta mark set meta mark & " KEEP_BITS " | 0x00080000;\n",
                            rules->tun_name, rules->udp_port);
  g_string_append (text,
                   "}\n"
                   "chain outmangle { type filter hook output priority mangle; policy accept;\n"
                   "ct state new meta mark & 0x00ff0000 == 0x00080000 "
                   "ct mark set ct mark & " KEEP_BITS " | 0x00080000;\n}\n");
}

/* What peers send goes on only where this computer serves; nobody forwards as if a peer. */
static void
append_forward (GString *text, const FirewallRules *rules)
{
  const char *tun = rules->tun_name;

  g_string_append (
      text, "chain forward { type filter hook forward priority filter - 5; policy accept;\n");
  /* The tunnel carries less than other links: TCP is told, whether or not ICMP comes through. */
  if (rules->forward4 || rules->forward6)
    g_string_append_printf (
        text,
        "iifname \"%s\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu;\n"
        "oifname \"%s\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu;\n",
        tun, tun);
  for (int family = 4; family <= 6; family += 2)
    if (family == 4 ? rules->forward4 : rules->forward6)
      g_string_append_printf (
          text,
          "iifname \"%s\" meta nfproto ipv%d meta mark set meta mark & " KEEP_BITS
          " | 0x00040000 accept;\n",
          tun, family);
  g_string_append_printf (text,
                          "iifname \"%s\" drop;\n"
                          "oifname \"%s\" ip saddr 100.64.0.0/10 counter drop;\n"
                          "oifname \"%s\" ip6 saddr fd7a:115c:a1e0::/48 counter drop;\n}\n",
                          tun, tun, tun);
  if (rules->snat)
    g_string_append_printf (
        text,
        "chain postrouting { type nat hook postrouting priority srcnat - 5; policy accept;\n"
        "meta mark & 0x00ff0000 == 0x00040000 oifname != \"%s\" counter masquerade;\n}\n",
        tun);
}

static void
append_filters (GString *text, const FirewallRules *rules)
{
  g_string_append_printf (
      text,
      "chain input { type filter hook input priority filter - 5; policy accept;\n"
      "iifname { \"lo\", \"%s\" } accept;\n",
      rules->tun_name);
  if (rules->udp_port)
    g_string_append_printf (text, "udp dport %u accept;\n", rules->udp_port);
  if (rules->drop_spoofed)
    g_string_append (
        text, "ip saddr 100.115.92.0/23 accept;\n"
              "ip saddr @tailnet4 counter drop comment \"spoofed tailnet source\";\n"
              "ip6 saddr fd7a:115c:a1e0::/48 counter drop comment \"spoofed tailnet source\";\n");
  g_string_append (text, "}\n");
  append_forward (text, rules);
  if (rules->guard_dns)
    g_string_append_printf (
        text,
        "chain dnsguard { type filter hook output priority filter - 5; policy accept;\n"
        "meta mark & 0x00ff0000 == 0x00080000 accept;\n"
        "oifname { \"lo\", \"%s\" } accept;\n"
        "meta l4proto { tcp, udp } th dport { 53, 853 } counter reject;\n}\n",
        rules->tun_name);
}

/* The table without the peers, which change on their own. */
static char *
table_text (const FirewallRules *rules, bool owned)
{
  GString *text = g_string_new ("table inet warren {\n");

  if (owned)
    g_string_append (text, "flags owner;\n");
  g_string_append (text, "set tailnet4 { type ipv4_addr; flags interval; }\n");
  append_marking (text, rules);
  append_filters (text, rules);
  g_string_append (text, "}\n");
  return g_string_free (text, FALSE);
}

static void
append_peer_change (GString *text, const char *verb, const IpAddr *peers, size_t n)
{
  if (n == 0)
    return;
  g_string_append_printf (text, "%s element inet warren tailnet4 {", verb);
  for (size_t i = 0; i < n; i++) {
    char address[IP_TEXT_MAX];
    ip_format (&peers[i], address);
    g_string_append_printf (text, "%s %s", i > 0 ? "," : "", address);
  }
  g_string_append (text, " }\n");
}

/* The addresses of A that are not in B, both sorted. */
static IpAddr *
peers_missing (const IpAddr *a, size_t n_a, const IpAddr *b, size_t n_b, size_t *n)
{
  IpAddr *missing = g_new (IpAddr, n_a + 1);
  size_t j = 0;

  *n = 0;
  for (size_t i = 0; i < n_a; i++) {
    while (j < n_b && ip_compare (&b[j], &a[i]) < 0)
      j++;
    if (j == n_b || !ip_equal (&b[j], &a[i]))
      missing[(*n)++] = a[i];
  }
  return missing;
}

static void
remember (Firewall *firewall, const FirewallRules *rules, char *shape)
{
  if (shape != firewall->shape) {
    g_free (firewall->shape);
    firewall->shape = shape;
  }
  g_free (firewall->peers4);
  firewall->peers4 = g_memdup2 (rules->peers4, rules->n_peers4 * sizeof *rules->peers4);
  firewall->n_peers4 = rules->n_peers4;
  firewall->installed = true;
}

/* A new table in one transaction with the removal of the old one. A table that we do not own may be
 * left from a killed process, hence the add in front of the delete; an owned one cannot be. */
static bool
replace_table (Firewall *firewall, const FirewallRules *rules, char *shape, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  if (!firewall->owned)
    g_string_append (text, "table inet warren;\n");
  if (firewall->installed || !firewall->owned)
    g_string_append (text, "delete table inet warren;\n");
  g_string_append (text, shape);
  append_peer_change (text, "add", rules->peers4, rules->n_peers4);
  return run (firewall, text->str, error);
}

bool
firewall_apply (Firewall *firewall, const FirewallRules *rules, GError **error)
{
  g_autofree char *shape = table_text (rules, firewall->owned);

  if (firewall->installed && strcmp (shape, firewall->shape) == 0) {
    size_t n_new, n_gone;
    g_autofree IpAddr *fresh = peers_missing (rules->peers4, rules->n_peers4, firewall->peers4,
                                              firewall->n_peers4, &n_new);
    g_autofree IpAddr *gone = peers_missing (firewall->peers4, firewall->n_peers4, rules->peers4,
                                             rules->n_peers4, &n_gone);
    g_autoptr (GString) text = g_string_new (NULL);
    append_peer_change (text, "add", fresh, n_new);
    append_peer_change (text, "delete", gone, n_gone);
    if (text->len > 0 && !run (firewall, text->str, error))
      return false;
    remember (firewall, rules, firewall->shape);
    return true;
  }
  g_autoptr (GError) first_error = NULL;
  if (replace_table (firewall, rules, shape, &first_error)) {
    remember (firewall, rules, g_steal_pointer (&shape));
    return true;
  }
  if (firewall->installed || !firewall->owned) {
    g_propagate_error (error, g_steal_pointer (&first_error));
    return false;
  }
  /* Kernels before 5.12 have no owner flag. */
  g_free (shape);
  firewall->owned = false;
  shape = table_text (rules, false);
  if (!replace_table (firewall, rules, shape, NULL)) {
    firewall->owned = true;
    g_propagate_error (error, g_steal_pointer (&first_error));
    return false;
  }
  remember (firewall, rules, g_steal_pointer (&shape));
  return true;
}

void
firewall_clear (Firewall *firewall)
{
  if (firewall->installed)
    run (firewall, "delete table inet warren;\n", NULL);
  firewall->installed = false;
  g_clear_pointer (&firewall->shape, g_free);
  g_clear_pointer (&firewall->peers4, g_free);
  firewall->n_peers4 = 0;
}
