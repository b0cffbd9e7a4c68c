/* Inside of policy_parse: the walk over the text, with its position and path. */
#pragma once

#include "coordinator/policy.h"
#include "wire/json-reader.h"

#define POLICY_PATH_MAX 512

typedef struct
{
  const char **list;
  size_t n;
} PostureNames;

typedef struct
{
  JsonReader reader;
  const char *text; /* standardised */
  Policy *policy;
  Arena *arena; /* the policy's */
  PolicyIssues *issues;
  char path[POLICY_PATH_MAX];
  struct
  {
    size_t at, start; /* offsets: seen so far; where its line starts */
    unsigned line;
  } seen;
  PostureNames default_postures;
  bool known_only; /* unknown members have been told already */
} PolicyParser;

/* Offset of the next value. */
size_t parser_here (PolicyParser *p);

/* Offset of the next member's name. */
size_t parser_name_here (PolicyParser *p);

unsigned parser_line (PolicyParser *p, size_t at);
void parser_position (PolicyParser *p, size_t at, unsigned *line, unsigned *column);

/* Adds an error or warning at offset AT. */
void parser_error (PolicyParser *p, size_t at, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/* The same about a selector that was read before, or a member (path: the present one and NAME). */
void parser_selector_error (PolicyParser *p, const Selector *selector, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
void parser_warning (PolicyParser *p, size_t at, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* Path of the element or member that is read next; pop restores what push returned. */
size_t parser_push_index (PolicyParser *p, size_t index);
size_t parser_push_name (PolicyParser *p, const char *name);
void parser_pop (PolicyParser *p, size_t mark);

/* True when the next value is of TYPE; else tells what was wanted and steps over the value. A null
 * is stepped over in silence. */
bool parser_want (PolicyParser *p, JsonType type, const char *what);

/* The next string, trimmed and copied; NULL after an error. */
const char *parser_string (PolicyParser *p, size_t *at);

/* An array of strings: appends to the list. */
const char **parser_strings (PolicyParser *p, size_t *n);

/* Gives READ each string of an array, while the path is the string's. */
void parser_each_string (PolicyParser *p,
                         void (*read) (PolicyParser *p, const char *text, size_t at, void *target),
                         void *target);

/* TEXT with its place; the path is the present one. */
PolicyText parser_text (PolicyParser *p, const char *text, size_t at);

/* Objects: the handler of a member is called by name, without regard to case; other names are
 * errors that suggest the nearest. */
typedef struct
{
  const char *name;
  void (*read) (PolicyParser *p, void *target);
} PolicyMember;

void parser_object (PolicyParser *p, const PolicyMember *members, size_t n, void *target);

/* A list of names of "postures". */
PostureNames parser_posture_names (PolicyParser *p);

/* The next value as compact JSON text. */
const char *parser_raw (PolicyParser *p);

/* One selector out of TEXT. ALLOWED is a set of SELECT_BITs; PLACE says where it stands ("source"),
 * for the error. False after an error. */
bool parser_selector (PolicyParser *p, const char *text, size_t at, unsigned allowed,
                      const char *place, Selector *out);
SelectorList parser_selectors (PolicyParser *p, unsigned allowed, const char *place);

/* "80,443", "1000-2000", "*". False after an error. */
bool parser_ports (PolicyParser *p, const char *text, size_t at, IpItem *out);

/* "tcp", "17", "": 0 for the default set. False after an error. */
bool parser_protocol (PolicyParser *p, const char *text, size_t at, uint8_t *out);

/* "target:ports" cut at the last colon, brackets of IPv6 removed. False when there is no port. */
bool parser_split_target (PolicyParser *p, const char *text, char **target, char **ports);

/* Sections: definitions (policy-definitions.c), rules (policy-rules.c), checks (policy-checks.c).
 */
void policy_read_groups (PolicyParser *p, void *unused);
void policy_read_tag_owners (PolicyParser *p, void *unused);
void policy_read_hosts (PolicyParser *p, void *unused);
void policy_read_ipsets (PolicyParser *p, void *unused);
void policy_read_postures (PolicyParser *p, void *unused);
void policy_read_default_postures (PolicyParser *p, void *unused);
void policy_read_auto_approvers (PolicyParser *p, void *unused);
void policy_read_node_attributes (PolicyParser *p, void *unused);
void policy_read_acls (PolicyParser *p, void *unused);
void policy_read_grants (PolicyParser *p, void *unused);
void policy_read_ssh (PolicyParser *p, void *unused);
void policy_read_tests (PolicyParser *p, void *unused);
void policy_read_ssh_tests (PolicyParser *p, void *unused);

/* True when PROTOCOL has ports: TCP, UDP, SCTP and the default set. */
bool policy_protocol_has_ports (uint8_t protocol);
