#include "host/resolver.h"

#include "host/socket-mark.h"

#include <ares.h>
#include <glib-unix.h>
#include <netdb.h>
#include <string.h>

#define TIMEOUT_MS       2500 /* of the first try; c-ares doubles it */
#define TRIES            2
#define PATIENCE_MS      3000 /* with a last good answer at hand */
#define CACHE_FORMAT     1
#define CACHE_MAX_NAMES  64 /* control and relays are few */
#define STUB_RESOLV_CONF "/etc/resolv.conf"
#define REAL_RESOLV_CONF "/run/systemd/resolve/resolv.conf"

G_DEFINE_QUARK (warren - resolver - error, resolver_error)

struct Resolver
{
  ares_channel channel;
  bool ready;          /* channel is open */
  GHashTable *sources; /* socket fd -> GLib source id */
  guint timeout_source;
  unsigned pending; /* look-ups under way */
  bool reopen;      /* read the servers again once none is under way */
  char *cache_path;
  GKeyFile *cache;       /* name -> last good addresses */
  GPtrArray *relays;     /* of BootstrapRelay, or NULL */
  GHashTable *by_relays; /* set of tasks whose look-up asks relays */
  GHashTable *reached;   /* set of texts of addresses */
};

typedef struct
{
  Resolver *resolver;
  char *name;
  guint patience; /* source: the last good answer is given when it fires */
  bool answered;
  BootstrapDns *bootstrap;
} Lookup;

static void
lookup_free (Lookup *lookup)
{
  g_clear_handle_id (&lookup->patience, g_source_remove);
  bootstrap_dns_free (lookup->bootstrap);
  g_free (lookup->name);
  g_free (lookup);
}

static void arm_timeout (Resolver *resolver);

static gboolean
on_timeout (void *user_data)
{
  Resolver *resolver = user_data;

  resolver->timeout_source = 0;
  ares_process_fd (resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  arm_timeout (resolver);
  return G_SOURCE_REMOVE;
}

static void
arm_timeout (Resolver *resolver)
{
  struct timeval tv;

  g_clear_handle_id (&resolver->timeout_source, g_source_remove);
  if (resolver->ready && ares_timeout (resolver->channel, NULL, &tv))
    resolver->timeout_source
        = g_timeout_add ((guint)(tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1), on_timeout, resolver);
}

static gboolean
on_socket (int fd, GIOCondition condition, void *user_data)
{
  Resolver *resolver = user_data;
  bool readable = condition & (G_IO_IN | G_IO_ERR | G_IO_HUP);
  bool writable = condition & G_IO_OUT;

  ares_process_fd (resolver->channel, readable ? fd : ARES_SOCKET_BAD,
                   writable ? fd : ARES_SOCKET_BAD);
  arm_timeout (resolver);
  return G_SOURCE_CONTINUE;
}

/* c-ares tells which sockets it waits for; both zero means the socket is about to be closed. */
static void
on_socket_state (void *user_data, ares_socket_t fd, int readable, int writable)
{
  Resolver *resolver = user_data;
  guint source = GPOINTER_TO_UINT (g_hash_table_lookup (resolver->sources, GINT_TO_POINTER (fd)));

  if (source)
    g_source_remove (source);
  g_hash_table_remove (resolver->sources, GINT_TO_POINTER (fd));
  if (!readable && !writable)
    return;
  GIOCondition condition = (readable ? G_IO_IN : 0) | (writable ? G_IO_OUT : 0);
  source = g_unix_fd_add (fd, condition, on_socket, resolver);
  g_hash_table_insert (resolver->sources, GINT_TO_POINTER (fd), GUINT_TO_POINTER (source));
}

static int
mark_socket (ares_socket_t fd, int type, void *user_data)
{
  return socket_mark (fd) ? 0 : -1;
}

static bool
ip_from_ares (const struct ares_addr_port_node *node, IpAddr *out)
{
  if (node->family == AF_INET) {
    *out = ip_from_v4_bytes ((const uint8_t *)&node->addr.addr4);
    return true;
  }
  if (node->family == AF_INET6) {
    *out = ip_from_mapped ((const uint8_t *)&node->addr.addr6);
    return true;
  }
  return false;
}

/* Never asks ourselves: drops the tailnet's service addresses from the servers. */
static void
drop_own_servers (ares_channel channel)
{
  struct ares_addr_port_node *servers = NULL, *kept = NULL, **link = &kept;

  if (ares_get_servers_ports (channel, &servers) != ARES_SUCCESS)
    return;
  for (struct ares_addr_port_node *node = servers; node;) {
    struct ares_addr_port_node *next = node->next;
    IpAddr addr;
    node->next = NULL;
    if (ip_from_ares (node, &addr) && !ip_is_service (&addr)) {
      *link = node;
      link = &node->next;
    } else {
      ares_free_data (node);
    }
    node = next;
  }
  ares_set_servers_ports (channel, kept);
  if (kept)
    ares_free_data (kept);
}

/* A stub on this computer would ask onwards with unmarked sockets, which an exit node swallows. */
static const char *
resolv_conf_path (void)
{
  g_autofree char *text = NULL;

  if (g_file_test (REAL_RESOLV_CONF, G_FILE_TEST_EXISTS)
      && g_file_get_contents (STUB_RESOLV_CONF, &text, NULL, NULL)
      && strstr (text, "nameserver 127.0.0.53"))
    return REAL_RESOLV_CONF;
  return STUB_RESOLV_CONF;
}

static bool
open_channel (Resolver *resolver)
{
  struct ares_options options = {
      .timeout = TIMEOUT_MS,
      .tries = TRIES,
      .sock_state_cb = on_socket_state,
      .sock_state_cb_data = resolver,
      .resolvconf_path = (char *)resolv_conf_path (),
  };
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;

  if (ares_init_options (&resolver->channel, &options, mask) != ARES_SUCCESS)
    return false;
  ares_set_socket_configure_callback (resolver->channel, mark_socket, NULL);
  drop_own_servers (resolver->channel);
  resolver->ready = true;
  return true;
}

static void
close_channel (Resolver *resolver)
{
  if (resolver->ready)
    ares_destroy (resolver->channel);
  resolver->ready = false;
  g_clear_handle_id (&resolver->timeout_source, g_source_remove);
}

/* A damaged or missing cache is a start without cache. */
static void
load_cache (Resolver *resolver)
{
  resolver->cache = g_key_file_new ();
  if (!resolver->cache_path
      || !g_key_file_load_from_file (resolver->cache, resolver->cache_path, G_KEY_FILE_NONE, NULL)
      || g_key_file_get_integer (resolver->cache, "cache", "format", NULL) != CACHE_FORMAT) {
    g_key_file_free (resolver->cache);
    resolver->cache = g_key_file_new ();
    g_key_file_set_integer (resolver->cache, "cache", "format", CACHE_FORMAT);
  }
}

Resolver *
resolver_new (const char *cache_path)
{
  Resolver *resolver = g_new0 (Resolver, 1);

  ares_library_init (ARES_LIB_INIT_ALL);
  resolver->sources = g_hash_table_new (NULL, NULL);
  resolver->by_relays = g_hash_table_new (NULL, NULL);
  resolver->reached = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  resolver->cache_path = g_strdup (cache_path);
  load_cache (resolver);
  return resolver;
}

static char *
cache_text (GArray *addresses)
{
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < addresses->len; i++) {
    char text[IP_TEXT_MAX];
    ip_format (&g_array_index (addresses, IpAddr, i), text);
    g_ptr_array_add (texts, g_strdup (text));
  }
  g_ptr_array_add (texts, NULL);
  return g_strjoinv (" ", (char **)texts->pdata);
}

static void
remember (Resolver *resolver, const char *name, GArray *addresses)
{
  g_autofree char *text = cache_text (addresses);
  g_autofree char *old = g_key_file_get_string (resolver->cache, "names", name, NULL);
  g_autoptr (GError) error = NULL;
  gsize n_names = 0;

  if (g_strcmp0 (text, old) == 0)
    return;
  g_strfreev (g_key_file_get_keys (resolver->cache, "names", &n_names, NULL));
  if (!old && n_names >= CACHE_MAX_NAMES)
    g_key_file_remove_group (resolver->cache, "names", NULL);
  g_key_file_set_string (resolver->cache, "names", name, text);
  if (!resolver->cache_path)
    return;
  gsize length;
  g_autofree char *data = g_key_file_to_data (resolver->cache, &length, NULL);
  if (!g_file_set_contents_full (resolver->cache_path, data, (gssize)length,
                                 G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    g_warning ("could not keep the addresses of servers: %s", error->message);
}

static GArray *
recall (Resolver *resolver, const char *name)
{
  g_autofree char *text = g_key_file_get_string (resolver->cache, "names", name, NULL);
  g_auto (GStrv) parts = text ? g_strsplit (text, " ", -1) : NULL;
  g_autoptr (GArray) addresses = g_array_new (FALSE, FALSE, sizeof (IpAddr));

  for (char **part = parts; part && *part; part++) {
    IpAddr addr;
    if (ip_parse (*part, strlen (*part), &addr))
      g_array_append_val (addresses, addr);
  }
  return addresses->len > 0 ? g_steal_pointer (&addresses) : NULL;
}

/* IPv6 and IPv4 in turn, so that a broken family costs one attempt and not the whole list. */
static GArray *
interleave (const struct ares_addrinfo *info)
{
  GArray *out = g_array_new (FALSE, FALSE, sizeof (IpAddr));
  const struct ares_addrinfo_node *next[2] = {info->nodes, info->nodes};
  static const int families[2] = {AF_INET6, AF_INET};

  while (next[0] || next[1]) {
    for (int f = 0; f < 2; f++) {
      IpPort ap;
      while (next[f] && next[f]->ai_family != families[f])
        next[f] = next[f]->ai_next;
      if (!next[f])
        continue;
      if (ip_port_from_sockaddr (next[f]->ai_addr, (socklen_t)next[f]->ai_addrlen, &ap))
        g_array_append_val (out, ap.addr);
      next[f] = next[f]->ai_next;
    }
  }
  return out;
}

static void
give (GTask *task, GArray *addresses)
{
  Lookup *lookup = g_task_get_task_data (task);

  lookup->answered = true;
  g_clear_handle_id (&lookup->patience, g_source_remove);
  g_task_return_pointer (task, addresses, (GDestroyNotify)g_array_unref);
}

static void
give_up (GTask *task, int status)
{
  Lookup *lookup = g_task_get_task_data (task);

  lookup->answered = true;
  g_task_return_new_error (task, RESOLVER_ERROR,
                           status == ARES_ENOTFOUND || status == ARES_ENODATA
                               ? RESOLVER_ERROR_NOT_FOUND
                               : RESOLVER_ERROR_FAILED,
                           "could not look up %s: %s", lookup->name, ares_strerror (status));
}

/* ---- relays ---- */

static void
relays_answered (GArray *addresses, void *user_data)
{
  g_autoptr (GTask) task = user_data;
  Lookup *lookup = g_task_get_task_data (task);

  g_hash_table_remove (lookup->resolver->by_relays, task);
  if (addresses) {
    remember (lookup->resolver, lookup->name, addresses);
    give (task, addresses);
  } else {
    give_up (task, ARES_ENOTFOUND);
  }
}

/* Whether NAME may stand in a URL as it is: a host name, and one that relays can know. */
static bool
is_plain (const char *name)
{
  static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";

  return strchr (name, '.') && name[strspn (name, plain)] == '\0';
}

/* Takes the reference to TASK over, if there is a relay to ask. */
static bool
ask_relays (GTask *task)
{
  Lookup *lookup = g_task_get_task_data (task);
  Resolver *resolver = lookup->resolver;

  if (!resolver->relays || resolver->relays->len == 0 || !is_plain (lookup->name))
    return false;
  g_hash_table_add (resolver->by_relays, task);
  lookup->bootstrap
      = bootstrap_dns_new (resolver->relays, lookup->name, random_system (), relays_answered, task);
  return true;
}

/* No name server helped. Takes the reference to TASK over. */
static void
fail (GTask *task, int status)
{
  Lookup *lookup = g_task_get_task_data (task);
  GArray *known = recall (lookup->resolver, lookup->name);

  if (known)
    give (task, known);
  else if (ask_relays (task))
    return;
  else
    give_up (task, status);
  g_object_unref (task);
}

static gboolean
lose_patience (void *user_data)
{
  GTask *task = user_data;
  Lookup *lookup = g_task_get_task_data (task);

  lookup->patience = 0;
  give (task, recall (lookup->resolver, lookup->name));
  return G_SOURCE_REMOVE;
}

static void
on_answer (void *user_data, int status, int timeouts, struct ares_addrinfo *info)
{
  g_autoptr (GTask) task = user_data;
  Lookup *lookup = g_task_get_task_data (task);
  Resolver *resolver = lookup->resolver;
  g_autoptr (GArray) addresses = NULL;

  if (status == ARES_EDESTRUCTION) {
    if (!lookup->answered)
      g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the resolver was closed");
    return;
  }
  resolver->pending--;
  if (status == ARES_SUCCESS) {
    addresses = interleave (info);
    ares_freeaddrinfo (info);
  }
  bool good = addresses && addresses->len > 0;
  if (good)
    remember (resolver, lookup->name, addresses);
  if (lookup->answered)
    return;
  if (good)
    give (task, g_steal_pointer (&addresses));
  else
    fail (g_steal_pointer (&task), status == ARES_SUCCESS ? ARES_ENODATA : status);
}

/* Opened on first use and after a change of network, never under a running look-up. */
static bool
ensure_channel (Resolver *resolver)
{
  if (resolver->reopen && resolver->pending == 0) {
    close_channel (resolver);
    resolver->reopen = false;
  }
  return resolver->ready || open_channel (resolver);
}

static GTask *
new_task (Resolver *resolver, const char *name, GCancellable *cancellable,
          GAsyncReadyCallback callback, void *user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  Lookup *lookup = g_new0 (Lookup, 1);

  lookup->resolver = resolver;
  lookup->name = g_ascii_strdown (name, -1);
  g_task_set_source_tag (task, new_task);
  g_task_set_task_data (task, lookup, (GDestroyNotify)lookup_free);
  return task;
}

void
resolver_lookup_async (Resolver *resolver, const char *name, GCancellable *cancellable,
                       GAsyncReadyCallback callback, void *user_data)
{
  GTask *task = new_task (resolver, name, cancellable, callback, user_data);
  struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  Lookup *lookup = g_task_get_task_data (task);
  g_autoptr (GArray) known = NULL;
  IpAddr literal;

  if (ip_parse (name, strlen (name), &literal)) {
    GArray *addresses = g_array_new (FALSE, FALSE, sizeof (IpAddr));
    g_array_append_val (addresses, literal);
    give (task, addresses);
    g_object_unref (task);
    return;
  }
  if (!ensure_channel (resolver)) {
    fail (task, ARES_ECONNREFUSED);
    return;
  }
  known = recall (resolver, lookup->name);
  if (known)
    lookup->patience = g_timeout_add (PATIENCE_MS, lose_patience, task);
  resolver->pending++;
  ares_getaddrinfo (resolver->channel, lookup->name, NULL, &hints, on_answer, task);
  arm_timeout (resolver);
}

void
resolver_bootstrap_async (Resolver *resolver, const char *name, GCancellable *cancellable,
                          GAsyncReadyCallback callback, void *user_data)
{
  GTask *task = new_task (resolver, name, cancellable, callback, user_data);

  if (ask_relays (task))
    return;
  give_up (task, ARES_ENOTFOUND);
  g_object_unref (task);
}

GArray *
resolver_lookup_finish (Resolver *resolver, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
resolver_set_relays (Resolver *resolver, GPtrArray *relays)
{
  if (relays)
    g_ptr_array_ref (relays);
  g_clear_pointer (&resolver->relays, g_ptr_array_unref);
  resolver->relays = relays;
}

void
resolver_note_reached (Resolver *resolver, const IpAddr *address)
{
  char text[IP_TEXT_MAX];

  ip_format (address, text);
  g_hash_table_add (resolver->reached, g_strdup (text));
}

bool
resolver_has_reached (const Resolver *resolver, const GArray *addresses)
{
  for (guint i = 0; i < addresses->len; i++) {
    char text[IP_TEXT_MAX];

    ip_format (&g_array_index (addresses, IpAddr, i), text);
    if (g_hash_table_contains (resolver->reached, text))
      return true;
  }
  return false;
}

/* What asks relays would go on asking without us. */
static void
drop_relay_tasks (Resolver *resolver)
{
  g_autoptr (GList) tasks = g_hash_table_get_keys (resolver->by_relays);

  for (GList *at = tasks; at; at = at->next) {
    Lookup *lookup = g_task_get_task_data (at->data);

    g_clear_pointer (&lookup->bootstrap, bootstrap_dns_free);
    g_task_return_new_error (at->data, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the resolver was closed");
    g_object_unref (at->data);
  }
  g_hash_table_unref (resolver->by_relays);
}

void
resolver_link_changed (Resolver *resolver)
{
  resolver->reopen = true;
}

void
resolver_free (Resolver *resolver)
{
  if (!resolver)
    return;
  close_channel (resolver);
  drop_relay_tasks (resolver);
  g_clear_pointer (&resolver->relays, g_ptr_array_unref);
  g_hash_table_unref (resolver->reached);
  g_hash_table_unref (resolver->sources);
  g_key_file_free (resolver->cache);
  g_free (resolver->cache_path);
  g_free (resolver);
  ares_library_cleanup ();
}
