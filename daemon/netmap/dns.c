#include "netmap/dns.h"

#include "netmap/node-record.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const RecordField record_fields[] = {
    RECORD (NetmapDnsRecord, RECORD_TEXT, name, "Name"),
    RECORD (NetmapDnsRecord, RECORD_TEXT, type, "Type"),
    RECORD (NetmapDnsRecord, RECORD_TEXT, value, "Value"),
};
static const RecordType record_type = RECORD_TYPE (NetmapDnsRecord, record_fields);

static const RecordField route_fields[] = {
    RECORD (NetmapDnsRoute, RECORD_TEXT, suffix, NULL),
    RECORD_N (NetmapDnsRoute, RECORD_STRUCTS, servers, n_servers, NULL, .sub = &dns_server_type),
};
static const RecordType route_type = RECORD_TYPE (NetmapDnsRoute, route_fields);

static bool dns_member (JsonString name, JsonReader *r, Arena *arena, void *out);

static const RecordField dns_fields[] = {
    RECORD_N (NetmapDns, RECORD_STRUCTS, resolvers, n_resolvers, "Resolvers",
              .sub = &dns_server_type),
    RECORD_N (NetmapDns, RECORD_STRUCTS, fallback_resolvers, n_fallback_resolvers,
              "FallbackResolvers", .sub = &dns_server_type),
    RECORD_N (NetmapDns, RECORD_STRUCTS, routes, n_routes, NULL, .sub = &route_type),
    RECORD_N (NetmapDns, RECORD_TEXTS, domains, n_domains, "Domains"),
    RECORD (NetmapDns, RECORD_BOOL, proxied, "Proxied"),
    RECORD_N (NetmapDns, RECORD_TEXTS, cert_domains, n_cert_domains, "CertDomains"),
    RECORD_N (NetmapDns, RECORD_STRUCTS, extra_records, n_extra_records, "ExtraRecords",
              .sub = &record_type),
    RECORD_N (NetmapDns, RECORD_TEXTS, exit_node_filtered, n_exit_node_filtered,
              "ExitNodeFilteredSet"),
};
static const RecordType dns_type = RECORD_TYPE (NetmapDns, dns_fields, .decode_other = dns_member);

static int
compare_routes (const void *a, const void *b)
{
  const NetmapDnsRoute *x = a, *y = b;

  return strcmp (x->suffix, y->suffix);
}

/* A name without dots at the ends, in lower case; texts of the arena are changed in place. */
static const char *
tidy_name (const char *name)
{
  char *text = (char *)name;
  size_t n;

  if (*text == '.')
    text++;
  n = strlen (text);
  if (n > 0 && text[n - 1] == '.')
    text[n - 1] = '\0';
  for (char *c = text; *c; c++)
    if (*c >= 'A' && *c <= 'Z')
      *c = (char)(*c | 0x20);
  return text;
}

static bool
dns_member (JsonString name, JsonReader *r, Arena *arena, void *out)
{
  NetmapDns *dns = out;
  void *routes = NULL;
  size_t n = 0, room = 0;

  if (!json_string_equal (name, "Routes"))
    return false;
  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    void *servers = NULL;
    size_t n_servers = 0, room_servers = 0;
    NetmapDnsRoute *route = record_list_add (arena, &routes, n, &room, sizeof *route);
    route->suffix = tidy_name (arena_strndup (arena, name.text, name.length));
    for (json_reader_enter_array (r); json_reader_next_element (r); n_servers++)
      record_decode (&dns_server_type, r, arena,
                     record_list_add (arena, &servers, n_servers, &room_servers,
                                      sizeof (DnsServer)));
    route->servers = servers;
    route->n_servers = n_servers;
    if (++n > NETMAP_DNS_LIST_MAX) {
      json_reader_fail (r, "too many DNS routes");
      break;
    }
  }
  if (n > 1)
    qsort (routes, n, sizeof (NetmapDnsRoute), compare_routes);
  dns->routes = routes;
  dns->n_routes = n;
  return true;
}

NetmapDns *
netmap_dns_decode (JsonReader *r)
{
  Arena arena = {0};
  NetmapDns draft, *dns = NULL;

  memset (&draft, 0, sizeof draft);
  if (record_decode (&dns_type, r, &arena, &draft)) {
    for (size_t i = 0; i < draft.n_extra_records; i++) {
      NetmapDnsRecord *record = (NetmapDnsRecord *)&draft.extra_records[i];
      if (*record->name)
        record->name = tidy_name (record->name);
    }
    for (size_t i = 0; i < draft.n_domains; i++)
      if (*draft.domains[i])
        ((const char **)draft.domains)[i] = tidy_name (draft.domains[i]);
    dns = record_pack (&dns_type, &draft, NULL);
    atomic_init (&dns->references, 1);
  }
  arena_clear (&arena);
  return dns;
}

void
netmap_dns_encode (const NetmapDns *dns, JsonWriter *w)
{
  json_writer_begin_object (w);
  record_encode_members (&dns_type, dns, w);
  if (dns->n_routes > 0) {
    json_writer_name (w, "Routes");
    json_writer_begin_object (w);
    for (size_t i = 0; i < dns->n_routes; i++) {
      json_writer_name (w, dns->routes[i].suffix);
      json_writer_begin_array (w);
      for (size_t k = 0; k < dns->routes[i].n_servers; k++)
        record_encode (&dns_server_type, &dns->routes[i].servers[k], w);
      json_writer_end_array (w);
    }
    json_writer_end_object (w);
  }
  json_writer_end_object (w);
}

NetmapDns *
netmap_dns_ref (const NetmapDns *dns)
{
  NetmapDns *d = (NetmapDns *)dns;

  if (d)
    atomic_fetch_add_explicit (&d->references, 1, memory_order_relaxed);
  return d;
}

void
netmap_dns_unref (const NetmapDns *dns)
{
  NetmapDns *d = (NetmapDns *)dns;

  if (d && atomic_fetch_sub_explicit (&d->references, 1, memory_order_acq_rel) == 1)
    free (d);
}

bool
netmap_dns_equal (const NetmapDns *a, const NetmapDns *b)
{
  return a == b || (a && b && record_diff (&dns_type, a, b) == 0);
}
