#include "coordinator/config.h"

#include "base/memory.h"
#include "coordinator/network-settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field)   offsetof (ServerOptions, field)
#define SECTION_MAX 32
#define REASON_MAX  320

static const ConfigKey keys[] = {
    {"server", "data-dir", "data-dir", CONFIG_TEXT, AT (data_dir)},
    {"server", "url", "url", CONFIG_URL, AT (url)},
    {"server", "listen", "listen", CONFIG_ADDRESS, AT (listen)},
    {"server", "socket", "socket", CONFIG_TEXT, AT (socket)},
    {"server", "socket-group", "socket-group", CONFIG_TEXT, AT (socket_group)},
    {"server", "tls-certificate", "tls-certificate", CONFIG_TEXT, AT (tls_certificate)},
    {"server", "tls-key", "tls-key", CONFIG_TEXT, AT (tls_key)},
    {"server", "metrics", "metrics", CONFIG_ADDRESS, AT (metrics)},
    {"network", "name", "name", CONFIG_TEXT, AT (name)},
    {"network", "domain", "domain", CONFIG_DOMAIN, AT (domain)},
    {"network", "prefix4", "prefix4", CONFIG_PREFIX4, AT (prefix4)},
    {"network", "prefix6", "prefix6", CONFIG_PREFIX6, AT (prefix6)},
    {"network", "key-expiry", "key-expiry", CONFIG_DAYS, AT (key_days)},
    {"relay", "url", "relay-url", CONFIG_URL, AT (relay_url)},
    {"relay", "listen", "relay-listen", CONFIG_ADDRESS, AT (relay_listen)},
    {"relay", "stun-port", "stun-port", CONFIG_PORT, AT (stun_port)},
    {"relay", "open", "relay-open", CONFIG_SWITCH, AT (relay_open)},
    {"relay", "mesh-key-file", "relay-mesh-key-file", CONFIG_TEXT, AT (relay_mesh_key_file)},
    {"relay", "plain", "relay-plain", CONFIG_SWITCH, AT (relay_plain)},
    {"relay", "rate", "relay-rate", CONFIG_BYTES, AT (relay_rate)},
    {"relay", "peers", "relay-peers", CONFIG_LIST, AT (relay_peers)},
    {"relay", "certificate", "relay-certificate", CONFIG_TEXT, AT (relay_certificate)},
    {"relay", "key", "relay-key", CONFIG_TEXT, AT (relay_key)},
    {"oidc", "issuer", "oidc-issuer", CONFIG_URL, AT (oidc.issuer)},
    {"oidc", "client-id", "oidc-client-id", CONFIG_TEXT, AT (oidc.client_id)},
    {"oidc", "client-secret-file", "oidc-client-secret-file", CONFIG_TEXT, AT (oidc_secret_file)},
    {"oidc", "scopes", "oidc-scopes", CONFIG_TEXT, AT (oidc.scopes)},
    {"oidc", "allowed-domains", "oidc-allowed-domains", CONFIG_LIST, AT (oidc.allowed_domains)},
    {"oidc", "allowed-emails", "oidc-allowed-emails", CONFIG_LIST, AT (oidc.allowed_emails)},
    {"oidc", "allowed-groups", "oidc-allowed-groups", CONFIG_LIST, AT (oidc.allowed_groups)},
    {"oidc", "expiry", "oidc-expiry", CONFIG_DAYS, AT (oidc.expiry_days)},
};

#define N_KEYS (sizeof keys / sizeof keys[0])

const ConfigKey *
config_keys (size_t *n)
{
  *n = N_KEYS;
  return keys;
}

void
config_init (Config *config)
{
  *config = (Config){.options = {.stun_port = 3478, .key_days = -1}};
}

void
config_clear (Config *config)
{
  for (size_t i = 0; i < config->n_owned; i++)
    free (config->owned[i]);
  free (config->owned);
  *config = (Config){0};
}

static void *
own (Config *config, void *memory)
{
  config->owned
      = mem_grow (config->owned, config->n_owned, &config->owned_room, sizeof *config->owned);
  return config->owned[config->n_owned++] = memory;
}

char *
config_keep (Config *config, char *text)
{
  return own (config, text);
}

/* ---- values ---- */

static bool
read_prefix (const char *text, bool (*is_valid) (const IpPrefix *), IpPrefix *out)
{
  IpPrefix prefix;

  if (!ip_prefix_parse (text, strlen (text), &prefix) || !is_valid (&prefix))
    return false;
  *out = ip_prefix_mask (prefix);
  return true;
}

static bool
read_number (const char *text, unsigned long max, const char *unit, unsigned long *out)
{
  char *rest;

  if (*text < '0' || *text > '9')
    return false;
  *out = strtoul (text, &rest, 10);
  return *out <= max && (*rest == '\0' || strcmp (rest, unit) == 0);
}

/* "a; b;c" as a NULL-ended list. */
static char **
read_list (Config *config, const char *text)
{
  char **list = own (config, mem_new ((CONFIG_LIST_MAX + 1) * sizeof *list));
  char *copy = own (config, mem_strndup (text, strlen (text))), *rest;
  size_t n = 0;

  for (char *item = strtok_r (copy, ";", &rest); item && n < CONFIG_LIST_MAX;
       item = strtok_r (NULL, ";", &rest)) {
    item += strspn (item, " \t");
    for (size_t length = strlen (item); length > 0 && strchr (" \t", item[length - 1]); length--)
      item[length - 1] = '\0';
    if (*item)
      list[n++] = item;
  }
  return list;
}

static bool
is_address (const char *text)
{
  IpPort ap;

  return ip_port_parse (text, strlen (text), &ap);
}

static bool
is_url (const char *text)
{
  return strncmp (text, "https://", 8) == 0 || strncmp (text, "http://", 7) == 0;
}

static bool
is_text_fit (ConfigKind kind, const char *text)
{
  switch (kind) {
    case CONFIG_ADDRESS:
      return is_address (text);
    case CONFIG_URL:
      return is_url (text);
    case CONFIG_DOMAIN:
      return settings_domain_is_valid (text);
    default:
      return true;
  }
}

static const char *
expected (ConfigKind kind)
{
  static const char *const words[] = {
      [CONFIG_TEXT] = "a text",
      [CONFIG_URL] = "http://… or https://…",
      [CONFIG_ADDRESS] = "ADDRESS:PORT",
      [CONFIG_PORT] = "a port",
      [CONFIG_BYTES] = "a number of bytes",
      [CONFIG_SWITCH] = "true or false",
      [CONFIG_DOMAIN] = "a domain name",
      [CONFIG_PREFIX4] = "a part of 100.64.0.0/10",
      [CONFIG_PREFIX6] = "a part of fd7a:115c:a1e0::/48",
      [CONFIG_DAYS] = "days, like 180d",
      [CONFIG_LIST] = "a list",
  };

  return words[kind];
}

static bool
set_value (Config *config, const ConfigKey *key, const char *value)
{
  char *place = (char *)&config->options + key->offset;
  unsigned long number;

  switch (key->kind) {
    case CONFIG_PORT:
      if (!read_number (value, UINT16_MAX, "", &number))
        return false;
      *(uint16_t *)place = (uint16_t)number;
      return true;
    case CONFIG_BYTES:
      if (!read_number (value, UINT32_MAX, "", &number))
        return false;
      *(uint64_t *)place = number;
      return true;
    case CONFIG_DAYS:
      if (!read_number (value, 36500, "d", &number))
        return false;
      *(int64_t *)place = (int64_t)number;
      return true;
    case CONFIG_SWITCH:
      *(bool *)place = strcmp (value, "true") == 0;
      return *(bool *)place || strcmp (value, "false") == 0;
    case CONFIG_PREFIX4:
      return read_prefix (value, settings_pool4_is_valid, (IpPrefix *)place);
    case CONFIG_PREFIX6:
      return read_prefix (value, settings_pool6_is_valid, (IpPrefix *)place);
    case CONFIG_LIST:
      *(char ***)place = read_list (config, value);
      return true;
    case CONFIG_TEXT:
    case CONFIG_URL:
    case CONFIG_ADDRESS:
    case CONFIG_DOMAIN:
      if (*value == '\0' || !is_text_fit (key->kind, value))
        return false;
      *(const char **)place = own (config, mem_strndup (value, strlen (value)));
      return true;
  }
  return false;
}

bool
config_set_option (Config *config, const char *option, const char *value, char **error)
{
  for (size_t i = 0; i < N_KEYS; i++) {
    if (strcmp (keys[i].option, option) != 0)
      continue;
    if (set_value (config, &keys[i], value))
      return true;
    if (asprintf (error, "--%s: \"%s\" is not %s", option, value, expected (keys[i].kind)) < 0)
      *error = NULL;
    return false;
  }
  if (asprintf (error, "there is no option --%s", option) < 0)
    *error = NULL;
  return false;
}

/* ---- the file ---- */

static const ConfigKey *
find_key (const char *section, const char *key)
{
  for (size_t i = 0; i < N_KEYS; i++)
    if (strcmp (keys[i].section, section) == 0 && strcmp (keys[i].key, key) == 0)
      return &keys[i];
  return NULL;
}

static bool
is_section (const char *name)
{
  for (size_t i = 0; i < N_KEYS; i++)
    if (strcmp (keys[i].section, name) == 0)
      return true;
  return false;
}

/* Cuts white space from both ends, in place. */
static char *
trim (char *text)
{
  text += strspn (text, " \t\r");
  for (size_t n = strlen (text); n > 0 && strchr (" \t\r", text[n - 1]); n--)
    text[n - 1] = '\0';
  return text;
}

static bool
enter_section (char *line, char section[SECTION_MAX], char reason[REASON_MAX])
{
  size_t n = strlen (line);

  if (line[n - 1] != ']' || n - 2 >= SECTION_MAX) {
    snprintf (reason, REASON_MAX, "\"%.100s\" is not a section", line);
    return false;
  }
  line[n - 1] = '\0';
  snprintf (section, SECTION_MAX, "%s", line + 1);
  if (is_section (section))
    return true;
  snprintf (reason, REASON_MAX, "there is no section [%s]", section);
  return false;
}

/* One trimmed line into the config. */
static bool
read_line (Config *config, char *line, char section[SECTION_MAX], char reason[REASON_MAX])
{
  if (*line == '\0' || *line == '#' || *line == ';')
    return true;
  if (*line == '[')
    return enter_section (line, section, reason);
  char *equals = strchr (line, '=');
  if (!equals) {
    snprintf (reason, REASON_MAX, "\"%.100s\" is neither [SECTION] nor KEY = VALUE", line);
    return false;
  }
  *equals = '\0';
  char *value = trim (equals + 1), *name = trim (line);
  const ConfigKey *key = find_key (section, name);
  if (key && set_value (config, key, value))
    return true;
  if (key)
    snprintf (reason, REASON_MAX, "%s: \"%.100s\" is not %s", name, value, expected (key->kind));
  else
    snprintf (reason, REASON_MAX, "there is no key \"%.100s\" in section [%s]", name, section);
  return false;
}

bool
config_read (Config *config, const char *text, size_t size, char **error)
{
  char section[SECTION_MAX] = "", reason[REASON_MAX];
  unsigned number = 0;

  *error = NULL;
  if (size > CONFIG_SIZE_MAX || memchr (text, '\0', size)) {
    *error = mem_strndup ("this is not a configuration file", 32);
    return false;
  }
  while (size > 0 && !*error) {
    const char *end = memchr (text, '\n', size);
    size_t length = end ? (size_t)(end - text) : size, step = length + (end != NULL);
    char *line = mem_strndup (text, length);
    number++;
    if (!read_line (config, trim (line), section, reason)
        && asprintf (error, "line %u: %s", number, reason) < 0)
      abort ();
    free (line);
    text += step;
    size -= step;
  }
  return !*error;
}

const char *
config_check (const Config *config)
{
  const ServerOptions *options = &config->options;

  if (!options->data_dir)
    return "a data directory is needed (--data-dir)";
  if (!options->url || !options->listen)
    return "an address is needed (--url and --listen)";
  if ((options->relay_url != NULL) != (options->relay_listen != NULL))
    return "a relay needs both --relay-url and --relay-listen";
  if (options->relay_url && strncmp (options->relay_url, "https://", 8) != 0)
    return "the relay's URL begins with https://";
  if (options->oidc.issuer && !options->oidc.client_id)
    return "sign-in by an identity provider needs --oidc-client-id";
  if ((options->tls_certificate != NULL) != (options->tls_key != NULL))
    return "TLS needs both --tls-certificate and --tls-key";
  if (options->tls_certificate && strncmp (options->url, "https://", 8) != 0)
    return "with --tls-certificate the URL begins with https://";
  return NULL;
}
