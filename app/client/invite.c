#include "client/invite.h"

#include <string.h>

#define PREFIX   "warren://join?"
#define LINK_MAX 4096

char *
warren_invite_format (const char *server, const char *key)
{
  g_autofree char *quoted_server = g_uri_escape_string (server, NULL, FALSE);
  g_autofree char *quoted_key = g_uri_escape_string (key, NULL, FALSE);

  return g_strdup_printf (PREFIX "server=%s&key=%s", quoted_server, quoted_key);
}

/* The server's address is checked by whoever connects to it; here it must only be of the web. */
static gboolean
is_web (const char *server)
{
  return g_str_has_prefix (server, "https://") || g_str_has_prefix (server, "http://");
}

gboolean
warren_invite_parse (const char *link, char **server, char **key)
{
  g_autoptr (GHashTable) parts = NULL;
  const char *where, *what;

  if (strlen (link) > LINK_MAX || g_ascii_strncasecmp (link, PREFIX, strlen (PREFIX)) != 0)
    return FALSE;
  parts = g_uri_parse_params (link + strlen (PREFIX), -1, "&", G_URI_PARAMS_NONE, NULL);
  where = parts != NULL ? g_hash_table_lookup (parts, "server") : NULL;
  if (where == NULL || !is_web (where))
    return FALSE;
  what = g_hash_table_lookup (parts, "key");
  *server = g_strdup (where);
  *key = g_strdup (what != NULL ? what : "");
  return TRUE;
}
