#include "coordinator/network-settings.h"

#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define POOL4 "100.64.0.0/10"
/* IPv6 addresses end in three bytes of the IPv4 one (spec/control-protocol.md §17.6). */
#define POOL6     "fd7a:115c:a1e0:ab12:4843:cd96:6200::/104"
#define POOL6_ALL "fd7a:115c:a1e0::/48"
#define POOL6_MAX 104
#define POOL4_MAX 29

/* ---- lists ---- */

void
texts_add (Texts *texts, const char *text)
{
  texts->list = mem_grow (texts->list, texts->n, &texts->room, sizeof *texts->list);
  texts->list[texts->n++] = mem_strndup (text, strlen (text));
}

void
texts_clear (Texts *texts)
{
  for (size_t i = 0; i < texts->n; i++)
    free (texts->list[i]);
  free (texts->list);
  *texts = (Texts){0};
}

static void
named_texts_clear (NamedTextsList *list)
{
  for (size_t i = 0; i < list->n; i++) {
    free (list->list[i].name);
    texts_clear (&list->list[i].values);
  }
  free (list->list);
  *list = (NamedTextsList){0};
}

static void
remove_at (NamedTextsList *list, size_t i)
{
  free (list->list[i].name);
  texts_clear (&list->list[i].values);
  memmove (&list->list[i], &list->list[i + 1], (list->n - i - 1) * sizeof *list->list);
  list->n--;
}

bool
named_texts_set (NamedTextsList *list, const char *name, Texts *values)
{
  size_t i = 0;

  while (i < list->n && strcasecmp (list->list[i].name, name) < 0)
    i++;
  if (i < list->n && strcasecmp (list->list[i].name, name) == 0)
    remove_at (list, i);
  if (values->n == 0 || list->n == SETTINGS_LIST_MAX) {
    bool full = values->n > 0;
    texts_clear (values);
    return !full;
  }
  list->list = mem_grow (list->list, list->n, &list->room, sizeof *list->list);
  memmove (&list->list[i + 1], &list->list[i], (list->n - i) * sizeof *list->list);
  list->list[i] = (NamedTexts){mem_strndup (name, strlen (name)), *values};
  list->n++;
  *values = (Texts){0};
  return true;
}

/* ---- settings ---- */

static IpPrefix
prefix_of (const char *text)
{
  IpPrefix prefix = {0};

  ip_prefix_parse (text, strlen (text), &prefix);
  return prefix;
}

void
settings_init (CoSettings *settings)
{
  *settings = (CoSettings){.magic_dns = true, .override_local = true};
  settings->name = mem_strndup ("home", 4);
  settings->domain = mem_strndup ("home.internal", 13);
  settings->pool4 = prefix_of (POOL4);
  settings->pool6 = prefix_of (POOL6);
}

void
settings_clear (CoSettings *settings)
{
  free (settings->name);
  free (settings->domain);
  free (settings->derp_text);
  texts_clear (&settings->nameservers);
  texts_clear (&settings->search);
  named_texts_clear (&settings->split);
  named_texts_clear (&settings->records);
}

bool
settings_pool4_is_valid (const IpPrefix *prefix)
{
  IpPrefix all = prefix_of (POOL4);

  return prefix->addr.family == 4 && prefix->bits <= POOL4_MAX && ip_prefix_covers (&all, prefix);
}

bool
settings_pool6_is_valid (const IpPrefix *prefix)
{
  IpPrefix all = prefix_of (POOL6_ALL);

  return prefix->addr.family == 6 && prefix->bits <= POOL6_MAX && ip_prefix_covers (&all, prefix);
}

bool
settings_domain_is_valid (const char *text)
{
  size_t n = strlen (text), label = 0;

  if (n == 0 || n > SETTINGS_NAME_MAX)
    return false;
  for (size_t i = 0; i <= n; i++) {
    if (text[i] == '.' || text[i] == '\0') {
      if (label == 0 || label > 63)
        return false;
      label = 0;
    } else if (isalnum ((unsigned char)text[i]) || text[i] == '-' || text[i] == '_') {
      label++;
    } else {
      return false;
    }
  }
  return true;
}

/* ---- as JSON ---- */

static void
write_texts (JsonWriter *w, const char *name, const Texts *texts)
{
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < texts->n; i++)
    json_writer_string (w, texts->list[i]);
  json_writer_end_array (w);
}

static void
write_named (JsonWriter *w, const char *name, const NamedTextsList *list)
{
  json_writer_name (w, name);
  json_writer_begin_object (w);
  for (size_t i = 0; i < list->n; i++)
    write_texts (w, list->list[i].name, &list->list[i].values);
  json_writer_end_object (w);
}

static void
write_dns_members (const CoSettings *settings, JsonWriter *w)
{
  json_writer_name (w, "domain");
  json_writer_string (w, settings->domain);
  json_writer_name (w, "magicDns");
  json_writer_bool (w, settings->magic_dns);
  json_writer_name (w, "overrideLocal");
  json_writer_bool (w, settings->override_local);
  write_texts (w, "nameservers", &settings->nameservers);
  write_texts (w, "searchDomains", &settings->search);
  write_named (w, "splitDns", &settings->split);
  write_named (w, "extraRecords", &settings->records);
}

void
settings_write_dns (const CoSettings *settings, JsonWriter *w)
{
  json_writer_begin_object (w);
  write_dns_members (settings, w);
  json_writer_end_object (w);
}

void
settings_write (const CoSettings *settings, JsonWriter *w)
{
  json_writer_name (w, "name");
  json_writer_string (w, settings->name);
  write_dns_members (settings, w);
  json_writer_name (w, "prefix4");
  json_writer_prefix (w, &settings->pool4);
  json_writer_name (w, "prefix6");
  json_writer_prefix (w, &settings->pool6);
  json_writer_name (w, "keyDays");
  json_writer_i64 (w, settings->key_days);
  json_writer_opt_string (w, "derp", settings->derp_text);
}

static void
read_text (JsonReader *r, char **out)
{
  JsonString s = json_reader_string (r);

  free (*out);
  *out = mem_strndup (s.text ? s.text : "", s.length);
}

static void
read_texts (JsonReader *r, Texts *out)
{
  texts_clear (out);
  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    char *text = NULL;
    read_text (r, &text);
    if (out->n < SETTINGS_LIST_MAX)
      texts_add (out, text);
    free (text);
  }
}

static void
read_named (JsonReader *r, NamedTextsList *out)
{
  JsonString s;

  named_texts_clear (out);
  json_reader_enter_object (r);
  while (json_reader_next_member (r, &s)) {
    char *name = mem_strndup (s.text, s.length);
    Texts values = {0};
    read_texts (r, &values);
    named_texts_set (out, name, &values);
    free (name);
  }
}

static void
read_prefix (JsonReader *r, bool (*is_valid) (const IpPrefix *), IpPrefix *out)
{
  JsonString s = json_reader_string (r);
  IpPrefix prefix;

  if (ip_prefix_parse (s.text, s.length, &prefix) && is_valid (&prefix))
    *out = ip_prefix_mask (prefix);
  else
    json_reader_fail (r, "the prefix of addresses is wrong");
}

bool
settings_read_member (CoSettings *settings, JsonString name, JsonReader *r)
{
  if (json_string_equal (name, "name"))
    read_text (r, &settings->name);
  else if (json_string_equal (name, "domain"))
    read_text (r, &settings->domain);
  else if (json_string_equal (name, "magicDns"))
    settings->magic_dns = json_reader_bool (r);
  else if (json_string_equal (name, "overrideLocal"))
    settings->override_local = json_reader_bool (r);
  else if (json_string_equal (name, "nameservers"))
    read_texts (r, &settings->nameservers);
  else if (json_string_equal (name, "searchDomains"))
    read_texts (r, &settings->search);
  else if (json_string_equal (name, "splitDns"))
    read_named (r, &settings->split);
  else if (json_string_equal (name, "extraRecords"))
    read_named (r, &settings->records);
  else if (json_string_equal (name, "prefix4"))
    read_prefix (r, settings_pool4_is_valid, &settings->pool4);
  else if (json_string_equal (name, "prefix6"))
    read_prefix (r, settings_pool6_is_valid, &settings->pool6);
  else if (json_string_equal (name, "keyDays"))
    settings->key_days = json_reader_i64 (r);
  else if (json_string_equal (name, "derp"))
    read_text (r, &settings->derp_text);
  else
    return false;
  return true;
}

/* ---- as nodes are told ---- */

static void
write_servers (JsonWriter *w, const char *name, const Texts *servers)
{
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < servers->n; i++) {
    json_writer_begin_object (w);
    json_writer_name (w, "Addr");
    json_writer_string (w, servers->list[i]);
    json_writer_end_object (w);
  }
  json_writer_end_array (w);
}

static void
write_records (JsonWriter *w, const NamedTextsList *records)
{
  json_writer_name (w, "ExtraRecords");
  json_writer_begin_array (w);
  for (size_t i = 0; i < records->n; i++)
    for (size_t j = 0; j < records->list[i].values.n; j++) {
      json_writer_begin_object (w);
      json_writer_name (w, "Name");
      json_writer_string (w, records->list[i].name);
      json_writer_name (w, "Value");
      json_writer_string (w, records->list[i].values.list[j]);
      json_writer_end_object (w);
    }
  json_writer_end_array (w);
}

static void
write_wire (const CoSettings *settings, JsonWriter *w)
{
  static const Texts ours = {0};

  json_writer_begin_object (w);
  json_writer_name (w, "Proxied");
  json_writer_bool (w, settings->magic_dns);
  json_writer_name (w, "Domains");
  json_writer_begin_array (w);
  json_writer_string (w, settings->domain);
  for (size_t i = 0; i < settings->search.n; i++)
    json_writer_string (w, settings->search.list[i]);
  json_writer_end_array (w);
  json_writer_name (w, "Routes");
  json_writer_begin_object (w);
  if (settings->magic_dns)
    write_servers (w, settings->domain, &ours); /* none: each device answers by itself */
  for (size_t i = 0; i < settings->split.n; i++)
    write_servers (w, settings->split.list[i].name, &settings->split.list[i].values);
  json_writer_end_object (w);
  if (settings->nameservers.n > 0)
    write_servers (w, settings->override_local ? "Resolvers" : "FallbackResolvers",
                   &settings->nameservers);
  if (settings->records.n > 0)
    write_records (w, &settings->records);
  json_writer_end_object (w);
}

NetmapDns *
settings_dns (const CoSettings *settings)
{
  JsonWriter w;
  JsonReader r;

  json_writer_init (&w);
  write_wire (settings, &w);
  json_reader_init (&r, w.data, w.size);
  NetmapDns *dns = netmap_dns_decode (&r);
  json_reader_clear (&r);
  json_writer_clear (&w);
  return dns;
}

/* The members of "Regions" that EXCEPT has not. */
static void
copy_regions (const char *text, size_t size, const DerpMap *except, JsonWriter *w)
{
  JsonReader r;
  JsonString name;

  json_reader_init (&r, text, size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (!json_string_equal (name, "Regions")) {
      json_reader_skip (&r);
      continue;
    }
    json_reader_enter_object (&r);
    while (json_reader_next_member (&r, &name)) {
      int64_t id = 0;
      json_string_i64 (name, &id);
      if (id > 0 && id <= DERP_REGION_MAX && !(except && derp_map_region (except, (unsigned)id))) {
        json_writer_name_i64 (w, id);
        json_writer_copy (w, &r);
      } else {
        json_reader_skip (&r);
      }
    }
  }
  json_reader_clear (&r);
}

DerpMap *
settings_derp_map (const CoSettings *settings, const DerpMap *own)
{
  JsonWriter ours, all;
  JsonReader r;

  if (!settings->derp_text)
    return own ? derp_map_ref (own) : NULL;
  json_writer_init (&ours);
  json_writer_init (&all);
  json_writer_begin_object (&all);
  json_writer_name (&all, "omitDefaultRegions");
  json_writer_bool (&all, true);
  json_writer_name (&all, "Regions");
  json_writer_begin_object (&all);
  if (own) {
    derp_map_encode (own, &ours);
    copy_regions (ours.data, ours.size, NULL, &all);
  }
  copy_regions (settings->derp_text, strlen (settings->derp_text), own, &all);
  json_writer_end_object (&all);
  json_writer_end_object (&all);
  json_reader_init (&r, all.data, all.size);
  DerpMap *map = derp_map_decode (&r);
  json_reader_clear (&r);
  json_writer_clear (&ours);
  json_writer_clear (&all);
  return map;
}
