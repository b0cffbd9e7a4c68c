/* The official Status document (spec/local-services.md §3.3) as the daemon hands it out, and
 * reading in it. Absent and null fields read as "", 0, FALSE or NULL. */
#pragma once

#include "cli/cli.h"

#include <json-glib/json-glib.h>

typedef struct
{
  JsonParser *parser;
  JsonObject *root; /* owned by the parser */
} StatusDocument;

void status_clear (StatusDocument *doc);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (StatusDocument, status_clear)

/* FALSE after an error line, with *CODE set. */
gboolean status_read (Cli *cli, WarrenSession *session, StatusDocument *doc, WarrenExitCode *code);

/* Copies the document to stdout as it is; SESSION may be NULL. */
WarrenExitCode status_copy (Cli *cli, WarrenSession *session, gboolean peers);

const char *status_string (JsonObject *object, const char *name);
gint64 status_number (JsonObject *object, const char *name);
gboolean status_flag (JsonObject *object, const char *name);
JsonObject *status_object (JsonObject *object, const char *name);
JsonArray *status_array (JsonObject *object, const char *name);

const char *status_first_address (JsonObject *node);

/* The DNS name without the network's suffix, else the host name in parentheses and quotes. */
char *status_base_name (const StatusDocument *doc, JsonObject *node);

/* Borrowed JsonObjects by DNS name, host name, first address, key. */
GPtrArray *status_sorted_peers (const StatusDocument *doc);

/* Self or a peer by address, base name or DNS name; NULL if there is none. */
JsonObject *status_find_node (const StatusDocument *doc, const char *word);
