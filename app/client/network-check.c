#include "client/network-check.h"

#include <arpa/inet.h>
#include <glib/gi18n-lib.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#define LABEL_MAX      63
#define CGNAT          0x64400000u /* 100.64.0.0/10 */
#define CGNAT_LENGTH   10
#define SHORTEST_RANGE 28

const char *
warren_check_label (const char *text)
{
  gsize length = strlen (text);

  if (length == 0)
    return _ ("A name is needed.");
  if (length > LABEL_MAX)
    return _ ("The name is too long.");
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (text[i]) && text[i] != '-')
      return _ ("A name has only letters, digits and hyphens.");
  if (text[0] == '-' || text[length - 1] == '-')
    return _ ("A name begins and ends with a letter or digit.");
  return NULL;
}

static gboolean
parse_number (const char *text, guint64 max, guint64 *number)
{
  return g_ascii_string_to_unsigned (text, 10, 0, max, number, NULL);
}

const char *
warren_check_prefix4 (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  struct in_addr address;
  guint64 length;
  guint32 bits;

  if (g_strv_length (parts) != 2 || inet_pton (AF_INET, parts[0], &address) != 1
      || !parse_number (parts[1], 32, &length))
    return _ ("An address range looks like 100.64.0.0/16.");
  bits = ntohl (address.s_addr);
  if (length < CGNAT_LENGTH || bits >> (32 - CGNAT_LENGTH) != CGNAT >> (32 - CGNAT_LENGTH))
    return _ ("The range must be a part of 100.64.0.0/10, which no other network uses.");
  if (length > SHORTEST_RANGE)
    return _ ("There is no room for devices in this range.");
  if ((bits & (guint32)(G_MAXUINT32 >> length)) != 0)
    return _ ("The address has bits behind its prefix.");
  return NULL;
}

const char *
warren_check_listen (const char *text)
{
  g_autoptr (GSocketConnectable) address = g_network_address_parse (text, 0, NULL);
  const char *host
      = address != NULL ? g_network_address_get_hostname (G_NETWORK_ADDRESS (address)) : NULL;

  if (host == NULL || !g_hostname_is_ip_address (host)
      || g_network_address_get_port (G_NETWORK_ADDRESS (address)) == 0)
    return _ ("An address and a port are needed, such as 192.168.1.5:8080.");
  return NULL;
}

const char *
warren_check_url (const char *text)
{
  g_autoptr (GUri) uri = g_uri_parse (text, G_URI_FLAGS_NONE, NULL);
  const char *scheme = uri != NULL ? g_uri_get_scheme (uri) : NULL;

  if (uri == NULL || (g_strcmp0 (scheme, "http") != 0 && g_strcmp0 (scheme, "https") != 0)
      || g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0')
    return _ ("A web address is needed, such as http://192.168.1.5:8080.");
  if ((*g_uri_get_path (uri) != '\0' && !g_str_equal (g_uri_get_path (uri), "/"))
      || g_uri_get_query (uri) != NULL || g_uri_get_userinfo (uri) != NULL)
    return _ ("The web address may have no path.");
  return NULL;
}

char **
warren_check_split (const char *text)
{
  g_auto (GStrv) parts = g_strsplit_set (text, ", ", -1);
  GStrvBuilder *builder = g_strv_builder_new ();
  char **result;

  for (gsize i = 0; parts[i] != NULL; i++)
    if (*parts[i] != '\0')
      g_strv_builder_add (builder, parts[i]);
  result = g_strv_builder_end (builder);
  g_strv_builder_unref (builder);
  return result;
}

const char *
warren_check_servers (const char *text)
{
  g_auto (GStrv) servers = warren_check_split (text);

  for (gsize i = 0; servers[i] != NULL; i++)
    if (!g_hostname_is_ip_address (servers[i]))
      return _ ("A name server is given by its address, such as 192.168.1.1.");
  return NULL;
}

char *
warren_check_tags (const char *text)
{
  g_auto (GStrv) tags = warren_check_split (text);

  for (gsize i = 0; tags[i] != NULL; i++)
    if (!g_str_has_prefix (tags[i], "tag:")) {
      char *tag = g_strconcat ("tag:", tags[i], NULL);

      g_free (tags[i]);
      tags[i] = tag;
    }
  return g_strjoinv (",", tags);
}

char *
warren_local_address (void)
{
  struct ifaddrs *list, *entry;
  char text[INET_ADDRSTRLEN];
  char *found = NULL;

  if (getifaddrs (&list) != 0)
    return NULL;
  for (entry = list; entry != NULL && found == NULL; entry = entry->ifa_next) {
    const struct sockaddr_in *address = (const struct sockaddr_in *)entry->ifa_addr;

    if (entry->ifa_addr == NULL || entry->ifa_addr->sa_family != AF_INET
        || (entry->ifa_flags & IFF_UP) == 0
        || (entry->ifa_flags & (IFF_LOOPBACK | IFF_POINTOPOINT)) != 0)
      continue;
    found = g_strdup (inet_ntop (AF_INET, &address->sin_addr, text, sizeof text));
  }
  freeifaddrs (list);
  return found;
}
