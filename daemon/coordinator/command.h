/* The commands with which people and programs manage a network: one table for every way in, the
 * socket of the server, the terminal and the bus (spec/desktop.md §8.5, spec/local-services.md
 * §4.1).
 *
 * A command is a row: its words, its options, and a function on the state. Answers are text for a
 * person, or JSON with --json; an exit code says how it went: 0, 1 it failed, 2 it was said
 * wrongly. Reading words from a socket and files from a disk is not done here. State thread; the
 * table itself: any thread. */
#pragma once

#include "coordinator/state-private.h"
#include "wire/buffer.h"

#define COMMAND_OPTIONS_MAX 16
#define COMMAND_TAGS_MAX    32
#define COMMAND_FAILED      1
#define COMMAND_MISUSED     2

typedef struct Command Command;

typedef struct
{
  const char *name;      /* "keys create" */
  const char *alias;     /* shorter words for the same, or NULL */
  const char *arguments; /* "NAME PREFIX…", "" */
  const char *options;   /* "--reusable --tags=TAG,…", ""; --json is every command's */
  const char *summary;   /* one line, small first letter */
  unsigned min, max;     /* words behind the name */
  bool changes;          /* it changes something */
  bool reads; /* it takes a text besides its words: a last word is the file that has it */
  void (*run) (Command *c);
} CommandRow;

const CommandRow *command_table (size_t *n);

/* The row that WORDS begin with; *USED is how many of them are its name. NULL when there is none.
 */
const CommandRow *command_find (const char *const *words, size_t n, size_t *used);

/* A command at work. */
struct Command
{
  State *state;
  const StateEvent *event;
  const CommandRow *row;
  const char **words; /* behind the command's own words, options taken out */
  size_t n_words;
  struct
  {
    const char *name; /* without hyphens, ends at "=" or the end */
    const char *value;
  } options[COMMAND_OPTIONS_MAX];
  size_t n_options;
  bool json;
  bool deferred; /* the answer comes later, by whoever set this */
  Buffer out;
  int code;
};

/* A word, "" when it was not said. */
const char *command_word (const Command *c, size_t i);

/* The value of --NAME=…, "" for a switch, NULL when it was not said. */
const char *command_option (const Command *c, const char *name);

/* Ends the command with a sentence; what was said before is dropped. */
void command_fail (Command *c, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
void command_misused (Command *c, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* Text for a person, nothing with --json. */
void command_say (Command *c, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* The document of --json, with a line end; W is emptied. */
void command_json (Command *c, JsonWriter *w);

/* The end of a change: a sentence, or {"ok":true}. */
void command_done (Command *c, const char *sentence);

/* The node that word I names, by label, FQDN, address or id. NULL after a failure that says which
 * names are near it. */
CoNode *command_node (Command *c, size_t i);

/* The user of --user, else the owner. NULL after a failure. */
const CoUser *command_user (Command *c);

/* "90d", "24h", "30m" in seconds; 0 after a failure. */
int64_t command_duration_s (Command *c, const char *text);

/* "a,b" or "a b" into TAGS (texts inside COPY); fails for a tag that the policy does not define. */
size_t
command_tags (Command *c, const char *text, char copy[1024], const char *tags[COMMAND_TAGS_MAX]);

/* ---- the commands ---- */

void command_commands (Command *c);
void command_elsewhere (Command *c); /* the server's or the program's, not the state's */
void command_status (Command *c);

void command_keys_create (Command *c);
void command_keys_list (Command *c);
void command_keys_revoke (Command *c);

void command_nodes_list (Command *c);
void command_nodes_approve (Command *c);
void command_nodes_deny (Command *c);
void command_nodes_rename (Command *c);
void command_nodes_tag (Command *c);
void command_nodes_move (Command *c);
void command_nodes_expire (Command *c);
void command_nodes_remove (Command *c);
void command_routes_list (Command *c);
void command_routes_approve (Command *c);

void command_users_list (Command *c);
void command_users_create (Command *c);
void command_users_code (Command *c);
void command_users_invite (Command *c);
void command_users_password (Command *c);
void command_users_role (Command *c);
void command_users_remove (Command *c);

void command_policy_get (Command *c);
void command_policy_set (Command *c);
void command_policy_check (Command *c);

void command_dns_get (Command *c);
void command_dns_set (Command *c);
void command_dns_override (Command *c);
void command_dns_magic (Command *c);
void command_dns_domain (Command *c);
void command_dns_search (Command *c);
void command_dns_split (Command *c);
void command_dns_record (Command *c);
void command_derp_get (Command *c);
void command_derp_set (Command *c);
