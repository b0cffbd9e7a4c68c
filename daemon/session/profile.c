#include "session/profile.h"

#include "session/record.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static Profile *
profile_alloc (const char *login_server)
{
  Profile *profile = g_new0 (Profile, 1);
  preferences_init (&profile->preferences, login_server);
  profile->secrets = secret_new (sizeof *profile->secrets);
  memset (profile->secrets, 0, sizeof *profile->secrets);
  profile->user_login = g_strdup ("");
  profile->user_name = g_strdup ("");
  profile->user_picture = g_strdup ("");
  profile->node_id = g_strdup ("");
  profile->tailnet = g_strdup ("");
  return profile;
}

Profile *
profile_new (const char *login_server, uint32_t owner_uid, int64_t now_s, Random *random)
{
  Profile *profile = profile_alloc (login_server);
  uint8_t id[(PROFILE_ID_SIZE - 1) / 2];
  random_fill (random, id, sizeof id);
  hex_encode (id, sizeof id, profile->id);
  profile->owner_uid = owner_uid;
  profile->created_s = now_s;
  return profile;
}

void
profile_free (Profile *profile)
{
  if (!profile)
    return;
  preferences_clear (&profile->preferences);
  secret_free (profile->secrets);
  g_free (profile->pending_url);
  g_free (profile->user_login);
  g_free (profile->user_name);
  g_free (profile->user_picture);
  g_free (profile->node_id);
  g_free (profile->tailnet);
  g_free (profile);
}

void
profile_set_text (char **field, const char *text)
{
  if (!text)
    text = "";
  if (*field && strcmp (*field, text) == 0)
    return;
  g_free (*field);
  *field = g_strndup (text, PROFILE_TEXT_LIMIT);
}

bool
profile_has_key (const Profile *profile)
{
  return !key_zero (&profile->secrets->node);
}

void
profile_wipe (Profile *profile)
{
  sodium_memzero (profile->secrets, sizeof *profile->secrets);
  memset (&profile->old_node_key, 0, sizeof profile->old_node_key);
  g_clear_pointer (&profile->pending_url, g_free);
  profile->pending_since_s = 0;
  profile->user_id = 0;
  profile_set_text (&profile->user_login, "");
  profile_set_text (&profile->user_name, "");
  profile_set_text (&profile->user_picture, "");
  profile_set_text (&profile->node_id, "");
  profile_set_text (&profile->tailnet, "");
  profile->lock_seen = false;
  memset (profile->handshake_time, 0, sizeof profile->handshake_time);
}

bool
profile_id_is_valid (const char *id)
{
  return strlen (id) == PROFILE_ID_SIZE - 1
         && strspn (id, "0123456789abcdef") == PROFILE_ID_SIZE - 1;
}

static void
put_key (ByteWriter *w, const char *name, KeyKind kind, const void *key, size_t size)
{
  if (key_is_zero (key, size))
    return;
  char text[KEY_TEXT_MAX];
  key_format (kind, key, text);
  record_field (w, name, text);
  sodium_memzero (text, sizeof text);
}

static void
put_flag (ByteWriter *w, const char *name, bool value)
{
  record_field (w, name, value ? "yes" : "no");
}

static void
encode_exit_node (const Preferences *prefs, ByteWriter *w)
{
  char address[IP_TEXT_MAX];
  switch (prefs->exit_node_mode) {
    case EXIT_NODE_NONE:
      break;
    case EXIT_NODE_BY_ID:
      record_field (w, "exit-node", prefs->exit_node_id);
      break;
    case EXIT_NODE_BY_ADDRESS:
      ip_format (&prefs->exit_node_addr, address);
      record_field (w, "exit-node-address", address);
      break;
    case EXIT_NODE_AUTO:
      record_field (w, "exit-node-auto", prefs->exit_node_id);
      break;
  }
  put_flag (w, "exit-node-allow-lan", prefs->exit_node_allow_lan);
}

static void
encode_preferences (const Preferences *prefs, ByteWriter *w)
{
  record_field (w, "server", prefs->login_server);
  put_flag (w, "wanted", prefs->wanted);
  put_flag (w, "logged-out", prefs->logged_out);
  encode_exit_node (prefs, w);
  put_flag (w, "accept-dns", prefs->accept_dns);
  put_flag (w, "accept-routes", prefs->accept_routes);
  put_flag (w, "shields-up", prefs->shields_up);
  put_flag (w, "auto-connect", prefs->auto_connect);
  put_flag (w, "ephemeral", prefs->ephemeral);
  put_flag (w, "advertise-exit-node", prefs->advertise_exit_node);
  put_flag (w, "snat-routes", prefs->snat_routes);
  for (size_t i = 0; i < prefs->n_advertise_routes; i++) {
    char route[IP_PREFIX_TEXT_MAX];
    ip_prefix_format (&prefs->advertise_routes[i], route);
    record_field (w, "advertise-route", route);
  }
  record_field (w, "hostname", prefs->hostname);
  if (prefs->proxy[0] != '\0')
    record_field (w, "proxy", prefs->proxy);
  for (size_t i = 0; i < prefs->n_tags; i++)
    record_field (w, "tag", prefs->tags[i]);
  record_field_i64 (w, "port", prefs->port);
  record_field_i64 (w, "mtu", prefs->mtu);
}

void
profile_encode (const Profile *profile, ByteWriter *w)
{
  record_begin (w, PROFILE_FORMAT);
  record_field (w, "id", profile->id);
  record_field_i64 (w, "owner", profile->owner_uid);
  record_field_i64 (w, "created", profile->created_s);
  encode_preferences (&profile->preferences, w);
  put_key (w, "node-key", KEY_PRIVATE, &profile->secrets->node, KEY_SIZE);
  put_key (w, "pending-key", KEY_PRIVATE, &profile->secrets->pending, KEY_SIZE);
  put_key (w, "lock-key", KEY_LOCK_PRIVATE, &profile->secrets->lock, LOCK_PRIVATE_SIZE);
  put_key (w, "old-node-key", KEY_NODE_PUBLIC, &profile->old_node_key, KEY_SIZE);
  if (profile->pending_url)
    record_field (w, "pending-url", profile->pending_url);
  record_field_i64 (w, "pending-since", profile->pending_since_s);
  put_key (w, "server-key", KEY_MACHINE_PUBLIC, &profile->server_key, KEY_SIZE);
  record_field_i64 (w, "server-key-since", profile->server_key_since_s);
  record_field_i64 (w, "user-id", profile->user_id);
  record_field (w, "user-login", profile->user_login);
  record_field (w, "user-name", profile->user_name);
  record_field (w, "user-picture", profile->user_picture);
  record_field (w, "node-id", profile->node_id);
  record_field (w, "tailnet", profile->tailnet);
  put_flag (w, "lock-seen", profile->lock_seen);
  if (!key_is_zero (profile->handshake_time, sizeof profile->handshake_time)) {
    char hex[2 * PROFILE_HANDSHAKE_TIME_SIZE + 1];
    hex_encode (profile->handshake_time, sizeof profile->handshake_time, hex);
    record_field (w, "handshake-time", hex);
  }
  record_end (w);
}

static bool
get_flag (const RecordReader *r, bool *out)
{
  *out = strcmp (r->value, "yes") == 0;
  return *out || strcmp (r->value, "no") == 0;
}

static bool
get_i64 (const RecordReader *r, int64_t low, int64_t high, int64_t *out)
{
  char *end = NULL;
  errno = 0;
  *out = strtoll (r->value, &end, 10);
  return errno == 0 && r->value_length > 0 && *end == '\0' && *out >= low && *out <= high;
}

static bool
get_text (const RecordReader *r, char *out, size_t size)
{
  if (r->value_length >= size)
    return false;
  memcpy (out, r->value, r->value_length + 1);
  return true;
}

static bool
get_key (const RecordReader *r, KeyKind kind, void *out)
{
  return key_parse (kind, r->value, r->value_length, out);
}

static bool
add_tag (const RecordReader *r, Preferences *prefs)
{
  if (prefs->n_tags >= PREFERENCES_TAGS_LIMIT || r->value_length >= PREFERENCES_TAG_MAX)
    return false;
  prefs->tags = realloc (prefs->tags, (prefs->n_tags + 1) * sizeof *prefs->tags);
  if (!prefs->tags)
    abort ();
  memcpy (prefs->tags[prefs->n_tags++], r->value, r->value_length + 1);
  return true;
}

static bool
add_route (const RecordReader *r, Preferences *prefs)
{
  IpPrefix route;

  return ip_prefix_parse (r->value, r->value_length, &route)
         && preferences_offer_route (prefs, &route);
}

static bool
get_exit_node (const RecordReader *r, Preferences *prefs)
{
  if (strcmp (r->name, "exit-node-address") == 0) {
    prefs->exit_node_mode = EXIT_NODE_BY_ADDRESS;
    return ip_parse (r->value, r->value_length, &prefs->exit_node_addr);
  }
  bool automatic = strcmp (r->name, "exit-node-auto") == 0;
  prefs->exit_node_mode = automatic ? EXIT_NODE_AUTO : EXIT_NODE_BY_ID;
  return get_text (r, prefs->exit_node_id, sizeof prefs->exit_node_id)
         && (automatic || r->value_length > 0);
}

/* 1: taken, 0: not a preference, -1: damaged. */
static int
decode_preference (const RecordReader *r, Preferences *prefs)
{
  const struct
  {
    const char *name;
    bool *value;
  } flags[] = {
      {"wanted", &prefs->wanted},
      {"logged-out", &prefs->logged_out},
      {"exit-node-allow-lan", &prefs->exit_node_allow_lan},
      {"accept-dns", &prefs->accept_dns},
      {"accept-routes", &prefs->accept_routes},
      {"shields-up", &prefs->shields_up},
      {"auto-connect", &prefs->auto_connect},
      {"ephemeral", &prefs->ephemeral},
      {"advertise-exit-node", &prefs->advertise_exit_node},
      {"snat-routes", &prefs->snat_routes},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (flags); i++)
    if (strcmp (r->name, flags[i].name) == 0)
      return get_flag (r, flags[i].value) ? 1 : -1;

  int64_t number = 0;
  bool ok;
  if (strcmp (r->name, "server") == 0)
    ok = r->value_length > 0 && get_text (r, prefs->login_server, sizeof prefs->login_server);
  else if (strcmp (r->name, "exit-node") == 0 || strcmp (r->name, "exit-node-address") == 0
           || strcmp (r->name, "exit-node-auto") == 0)
    ok = get_exit_node (r, prefs);
  else if (strcmp (r->name, "hostname") == 0)
    ok = get_text (r, prefs->hostname, sizeof prefs->hostname);
  else if (strcmp (r->name, "proxy") == 0)
    ok = get_text (r, prefs->proxy, sizeof prefs->proxy);
  else if (strcmp (r->name, "tag") == 0)
    ok = add_tag (r, prefs);
  else if (strcmp (r->name, "advertise-route") == 0)
    ok = add_route (r, prefs);
  else if (strcmp (r->name, "port") == 0)
    ok = get_i64 (r, 0, UINT16_MAX, &number) && ((prefs->port = (uint16_t)number), true);
  else if (strcmp (r->name, "mtu") == 0)
    ok = get_i64 (r, 0, PREFERENCES_MTU_MAX, &number) && ((prefs->mtu = (uint32_t)number), true);
  else
    return 0;
  return ok ? 1 : -1;
}

/* Same results. */
static int
decode_key (const RecordReader *r, Profile *profile)
{
  const struct
  {
    const char *name;
    KeyKind kind;
    void *key;
  } keys[] = {
      {"node-key", KEY_PRIVATE, &profile->secrets->node},
      {"pending-key", KEY_PRIVATE, &profile->secrets->pending},
      {"lock-key", KEY_LOCK_PRIVATE, &profile->secrets->lock},
      {"old-node-key", KEY_NODE_PUBLIC, &profile->old_node_key},
      {"server-key", KEY_MACHINE_PUBLIC, &profile->server_key},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    if (strcmp (r->name, keys[i].name) == 0)
      return get_key (r, keys[i].kind, keys[i].key) ? 1 : -1;
  return 0;
}

/* Fields that are texts of the server, numbers and the id. Unknown ones are ignored. */
static bool
decode_fact (const RecordReader *r, Profile *profile)
{
  const struct
  {
    const char *name;
    char **text;
  } texts[] = {
      {"pending-url", &profile->pending_url}, {"user-login", &profile->user_login},
      {"user-name", &profile->user_name},     {"user-picture", &profile->user_picture},
      {"node-id", &profile->node_id},         {"tailnet", &profile->tailnet},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (texts); i++)
    if (strcmp (r->name, texts[i].name) == 0) {
      profile_set_text (texts[i].text, r->value);
      return true;
    }

  const struct
  {
    const char *name;
    int64_t *number;
  } numbers[] = {
      {"created", &profile->created_s},
      {"pending-since", &profile->pending_since_s},
      {"server-key-since", &profile->server_key_since_s},
      {"user-id", &profile->user_id},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (numbers); i++)
    if (strcmp (r->name, numbers[i].name) == 0)
      return get_i64 (r, INT64_MIN, INT64_MAX, numbers[i].number);

  if (strcmp (r->name, "id") == 0)
    return profile_id_is_valid (r->value) && get_text (r, profile->id, sizeof profile->id);
  if (strcmp (r->name, "lock-seen") == 0)
    return get_flag (r, &profile->lock_seen);
  if (strcmp (r->name, "handshake-time") == 0)
    return hex_decode (r->value, r->value_length, profile->handshake_time,
                       sizeof profile->handshake_time);
  int64_t uid = 0;
  if (strcmp (r->name, "owner") == 0 && !get_i64 (r, 0, UINT32_MAX - 1, &uid))
    return false;
  if (strcmp (r->name, "owner") == 0)
    profile->owner_uid = (uint32_t)uid;
  return true;
}

static bool
decode_field (const RecordReader *r, Profile *profile)
{
  int taken = decode_preference (r, &profile->preferences);
  if (taken == 0)
    taken = decode_key (r, profile);
  return taken != 0 ? taken > 0 : decode_fact (r, profile);
}

Profile *
profile_decode (const void *data, size_t size, ProfileResult *result)
{
  g_autoptr (Profile) profile = profile_alloc ("");
  RecordReader *r = secret_new (sizeof *r);
  record_reader_init (r, data, size, PROFILE_FORMAT);
  RecordResult step;
  while ((step = record_reader_next (r)) == RECORD_FIELD)
    if (!decode_field (r, profile)) {
      step = RECORD_DAMAGED;
      break;
    }
  secret_free (r);

  if (step == RECORD_END
      && (profile->id[0] == '\0' || profile->preferences.login_server[0] == '\0'))
    step = RECORD_DAMAGED;
  *result = step == RECORD_END              ? PROFILE_OK
            : step == RECORD_UNKNOWN_FORMAT ? PROFILE_UNKNOWN_FORMAT
                                            : PROFILE_DAMAGED;
  return step == RECORD_END ? g_steal_pointer (&profile) : NULL;
}

static bool
host_is_plausible (const char *host)
{
  if (!host || !*host || strlen (host) > 253)
    return false;
  for (const char *c = host; *c; c++)
    if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr ("/?#@\\\"'<>%", *c))
      return false;
  return !strchr (host, ':') || g_hostname_is_ip_address (host);
}

/* The path becomes part of the head of a request. GLib's parser lets one begin with a semicolon. */
static bool
path_is_plausible (const char *path)
{
  if (*path && *path != '/')
    return false;
  for (const char *c = path; *c; c++)
    if ((unsigned char)*c <= ' ' || *c == 0x7f)
      return false;
  return true;
}

char *
login_server_normalise (const char *url, GError **error)
{
  g_autofree char *text = g_strstrip (g_strdup (url));
  if (*text == '\0')
    return g_strdup (LOGIN_SERVER_DEFAULT);
  g_autofree char *full
      = strstr (text, "://") ? g_strdup (text) : g_strconcat ("https://", text, NULL);
  g_autofree char *scheme = NULL, *user = NULL, *host = NULL, *path = NULL, *query = NULL,
                  *fragment = NULL;
  int port = -1;
  if (!g_uri_split (full, G_URI_FLAGS_PARSE_RELAXED | G_URI_FLAGS_ENCODED_PATH, &scheme, &user,
                    &host, &port, &path, &query, &fragment, NULL)
      || !scheme || !host_is_plausible (host) || !path_is_plausible (path) || user || query
      || fragment
      || (g_ascii_strcasecmp (scheme, "https") != 0 && g_ascii_strcasecmp (scheme, "http") != 0)) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                 "“%s” is not the address of a coordination server", text);
    return NULL;
  }
  g_autofree char *low_scheme = g_ascii_strdown (scheme, -1);
  g_autofree char *low_host = g_ascii_strdown (host, -1);
  bool secure = strcmp (low_scheme, "https") == 0;
  g_autoptr (GString) out = g_string_new (low_scheme);
  g_string_append_printf (out, strchr (low_host, ':') ? "://[%s]" : "://%s", low_host);
  if (port > 0 && port != (secure ? 443 : 80))
    g_string_append_printf (out, ":%d", port);
  size_t path_length = strlen (path);
  while (path_length > 0 && path[path_length - 1] == '/')
    path_length--;
  g_string_append_len (out, path, (gssize)path_length);
  if (out->len >= PREFERENCES_URL_MAX) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                         "the address of the coordination server is too long");
    return NULL;
  }
  if (secure && strcmp (low_host, "login.tailscale.com") == 0 && port <= 0)
    return g_strdup (LOGIN_SERVER_DEFAULT);
  return g_string_free (g_steal_pointer (&out), FALSE);
}
