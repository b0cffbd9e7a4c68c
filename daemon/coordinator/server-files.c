#include "coordinator/server-files.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "coordinator/relay-certificate.h"
#include "wire/http-url.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REGION   900 /* of the relay that runs here */
#define FILE_MAX 65536

char *
server_read_file (const char *path)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  char *text = mem_new (FILE_MAX);
  ssize_t n = fd >= 0 ? read (fd, text, FILE_MAX - 1) : -1;

  if (fd >= 0)
    close (fd);
  if (n >= 0)
    return text;
  free (text);
  return NULL;
}

bool
server_write_file (const char *dir, const char *path, const char *text)
{
  char temporary[4200];
  size_t size = strlen (text);

  snprintf (temporary, sizeof temporary, "%s.new", path);
  int fd = open (temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && write (fd, text, size) == (ssize_t)size && fsync (fd) == 0;
  if (fd >= 0)
    close (fd);
  ok = ok && rename (temporary, path) == 0;
  fd = ok ? open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd >= 0) {
    fsync (fd);
    close (fd);
  }
  if (!ok)
    fprintf (stderr, "warren-coordinator: %s: %s\n", path, strerror (errno));
  return ok;
}

bool
server_load_key (const char *dir, const char *name, uint8_t key[KEY_SIZE])
{
  char path[4096], text[KEY_TEXT_MAX];

  snprintf (path, sizeof path, "%s/%s", dir, name);
  char *old = server_read_file (path);
  if (old) {
    bool ok = key_parse (KEY_PRIVATE, old, strcspn (old, "\n"), key);
    sodium_memzero (old, strlen (old));
    free (old);
    if (!ok)
      fprintf (stderr, "warren-coordinator: %s is damaged; it is kept as it is\n", path);
    return ok;
  }
  key_generate (random_system (), key);
  key_format (KEY_PRIVATE, key, text);
  bool ok = server_write_file (dir, path, text);
  sodium_memzero (text, sizeof text);
  return ok;
}

static bool
load_certificate (const char *dir, const char *host, RelayCertificate *out)
{
  char certificate_path[4096], key_path[4096];

  snprintf (certificate_path, sizeof certificate_path, "%s/relay.crt", dir);
  snprintf (key_path, sizeof key_path, "%s/relay.key.pem", dir);
  char *certificate = server_read_file (certificate_path), *key = server_read_file (key_path);
  bool ok = certificate && key && relay_certificate_load (certificate, key, out);
  if (key)
    sodium_memzero (key, strlen (key));
  free (certificate);
  free (key);
  if (ok)
    return true;
  return relay_certificate_make (host, out) && server_write_file (dir, key_path, out->key_pem)
         && server_write_file (dir, certificate_path, out->certificate_pem);
}

/* Host and port of "https://HOST[:PORT]". */
static bool
split_url (const char *url, char host[256], unsigned *port)
{
  static const char scheme[] = "https://";
  IpPort ap;

  *port = 443;
  if (strncmp (url, scheme, sizeof scheme - 1) != 0)
    return false;
  url += sizeof scheme - 1;
  size_t length = strcspn (url, "/");
  if (ip_port_parse (url, length, &ap)) {
    *port = ap.port;
    ip_format (&ap.addr, host);
    return true;
  }
  const char *colon = memchr (url, ':', length);
  if (colon)
    *port = (unsigned)strtoul (colon + 1, NULL, 10);
  size_t n = colon ? (size_t)(colon - url) : length;
  if (n == 0 || n > 255 || *port == 0 || *port > 65535)
    return false;
  memcpy (host, url, n);
  host[n] = '\0';
  return true;
}

/* A literal address leaves the other family out for good: official clients would go on looking for
 * it, which holds up their first network check by three seconds. */
static DerpMap *
describe (const char *host, unsigned port, const char *pin, uint16_t stun_port)
{
  IpAddr addr = {0};
  bool literal = ip_parse (host, strlen (host), &addr);
  JsonReader r;
  char text[1024];

  snprintf (text, sizeof text,
            "{\"omitDefaultRegions\":true,\"Regions\":{\"%d\":{\"RegionID\":%d,"
            "\"RegionCode\":\"home\",\"RegionName\":\"Home\",\"Nodes\":[{\"Name\":\"%da\","
            "\"RegionID\":%d,\"HostName\":\"%s\",%s%s%s%s%s%s\"DERPPort\":%u,"
            "\"STUNPort\":%d}]}}}",
            REGION, REGION, REGION, REGION, host, pin ? "\"CertName\":\"" : "", pin ? pin : "",
            pin ? "\"," : "",
            !literal           ? ""
            : addr.family == 4 ? "\"IPv6\":\"none\",\"IPv4\":\""
                               : "\"IPv4\":\"none\",\"IPv6\":\"",
            literal ? host : "", literal ? "\"," : "", port, stun_port ? stun_port : -1);
  json_reader_init (&r, text, strlen (text));
  DerpMap *map = derp_map_decode (&r);
  json_reader_clear (&r);
  return map;
}

/* Given files, or those of the data directory. */
static bool
find_certificate (const ServerOptions *options, const char *host, RelayCertificate *out)
{
  if (options->relay_plain)
    return true;
  if (!options->relay_certificate)
    return load_certificate (options->data_dir, host, out);
  out->certificate_pem = server_read_file (options->relay_certificate);
  out->key_pem = options->relay_key ? server_read_file (options->relay_key) : NULL;
  if (out->certificate_pem && out->key_pem)
    return true;
  fprintf (stderr, "warren-coordinator: could not read the relay's certificate %s and key %s\n",
           options->relay_certificate, options->relay_key ? options->relay_key : "(none given)");
  relay_certificate_clear (out);
  return false;
}

TlsContext *
server_load_tls (const CertificateFiles *files, char **error)
{
  TlsContext *context = NULL;
  char *certificate, *key;

  if (!certificate_files_read (files, &certificate, &key, error))
    return NULL;
  context = tls_server_context_new (certificate, key, error);
  certificate_files_clear (certificate, key);
  return context;
}

/* 64 hex digits that the relays of a region share; false after an error was told. */
static bool
load_mesh_key (const char *path, uint8_t key[KEY_SIZE])
{
  char *text = path ? server_read_file (path) : NULL;
  bool ok = !path || (text && hex_decode (text, strcspn (text, "\r\n"), key, KEY_SIZE));

  if (text)
    sodium_memzero (text, strlen (text));
  free (text);
  if (!ok)
    fprintf (stderr, "warren-coordinator: %s does not hold a key of 64 hex digits\n", path);
  return ok;
}

bool
server_open_relay (const ServerOptions *options, Relay **relay, DerpMap **map)
{
  RelayCertificate certificate = {0};
  char host[256], *error = NULL;
  unsigned port;

  *relay = NULL;
  *map = NULL;
  if (!options->relay_url)
    return true;
  if (!split_url (options->relay_url, host, &port)) {
    fprintf (stderr, "warren-coordinator: \"%s\" is not https://HOST:PORT\n", options->relay_url);
    return false;
  }
  uint8_t *key = secret_new (KEY_SIZE), *mesh_key = secret_new (KEY_SIZE);
  HttpUrl url = {0};
  http_url_parse (options->url, &url);
  const char *const names[] = {host, url.host[0] ? url.host : host, NULL};
  bool ok = server_load_key (options->data_dir, "relay.key", key)
            && load_mesh_key (options->relay_mesh_key_file, mesh_key)
            && find_certificate (options, host, &certificate);
  if (ok) {
    RelayOptions relay_options = {
        .listen = options->relay_listen,
        .certificate_pem = certificate.certificate_pem,
        .key_pem = certificate.key_pem,
        .certificate_file = options->relay_certificate,
        .key_file = options->relay_key,
        .private_key = key,
        .mesh_key = options->relay_mesh_key_file ? mesh_key : NULL,
        .peers = options->relay_peers,
        .names = names,
        .stun_port = options->stun_port,
        .open = options->relay_open,
        .rate = options->relay_rate,
    };
    *relay = relay_new (&relay_options, &error);
    bool own = !options->relay_certificate && !options->relay_plain;
    *map = describe (host, port, own ? certificate.pin : NULL, options->stun_port);
    relay_certificate_clear (&certificate);
    ok = *relay && *map;
    if (error)
      fprintf (stderr, "warren-coordinator: %s\n", error);
    free (error);
  }
  secret_free (key);
  secret_free (mesh_key);
  return ok;
}
