#include "coordinator/policy-parser.h"

#include "wire/json-writer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
policy_issues_init (PolicyIssues *issues)
{
  *issues = (PolicyIssues){.arena = arena_new ()};
}

void
policy_issues_clear (PolicyIssues *issues)
{
  arena_free (issues->arena);
  *issues = (PolicyIssues){0};
}

size_t
parser_here (PolicyParser *p)
{
  json_reader_peek (&p->reader);
  return p->reader.pos;
}

size_t
parser_name_here (PolicyParser *p)
{
  size_t at = parser_here (p);

  while (at < p->reader.size && (isspace ((unsigned char)p->text[at]) || p->text[at] == ','))
    at++;
  return at;
}

/* Goes on from the place that was asked for last: most questions come in the order of the text. */
void
parser_position (PolicyParser *p, size_t at, unsigned *line, unsigned *column)
{
  if (at < p->seen.at || p->seen.line == 0) {
    p->seen.at = p->seen.start = 0;
    p->seen.line = 1;
  }
  for (; p->seen.at < at; p->seen.at++) {
    if (p->text[p->seen.at] == '\n') {
      p->seen.line++;
      p->seen.start = p->seen.at + 1;
    }
  }
  *line = p->seen.line;
  *column = (unsigned)(at - p->seen.start) + 1;
}

unsigned
parser_line (PolicyParser *p, size_t at)
{
  unsigned line, column;

  parser_position (p, at, &line, &column);
  return line;
}

static void
add_issue (PolicyParser *p, size_t at, bool warning, const char *format, va_list args)
{
  PolicyIssue issue = {.warning = warning};
  char text[1024];

  if (p->issues->n >= POLICY_ISSUES_MAX)
    return;
  vsnprintf (text, sizeof text, format, args);
  parser_position (p, at, &issue.line, &issue.column);
  issue.path = arena_strdup (p->issues->arena, p->path);
  issue.text = arena_strdup (p->issues->arena, text);
  arena_append (p->issues->arena, p->issues->list, p->issues->n, issue);
  p->issues->n_errors += !warning;
}

void
parser_error (PolicyParser *p, size_t at, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  add_issue (p, at, false, format, args);
  va_end (args);
}

void
parser_selector_error (PolicyParser *p, const Selector *selector, const char *format, ...)
{
  char path[POLICY_PATH_MAX];
  va_list args;

  memcpy (path, p->path, sizeof path);
  snprintf (p->path, sizeof p->path, "%s", selector->path);
  va_start (args, format);
  add_issue (p, selector->at, false, format, args);
  va_end (args);
  memcpy (p->path, path, sizeof path);
}

void
parser_warning (PolicyParser *p, size_t at, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  add_issue (p, at, true, format, args);
  va_end (args);
}

size_t
parser_push_index (PolicyParser *p, size_t index)
{
  size_t mark = strlen (p->path);

  snprintf (p->path + mark, sizeof p->path - mark, "[%zu]", index);
  return mark;
}

size_t
parser_push_name (PolicyParser *p, const char *name)
{
  size_t mark = strlen (p->path);

  snprintf (p->path + mark, sizeof p->path - mark, "%s%s", mark > 0 ? "." : "", name);
  return mark;
}

void
parser_pop (PolicyParser *p, size_t mark)
{
  p->path[mark] = '\0';
}

bool
parser_want (PolicyParser *p, JsonType type, const char *what)
{
  size_t at = parser_here (p);
  JsonType found = json_reader_peek (&p->reader);

  if (found == type)
    return true;
  if (found == JSON_NONE || json_reader_null (&p->reader))
    return false;
  parser_error (p, at, "expected %s here", what);
  json_reader_skip (&p->reader);
  return false;
}

const char *
parser_string (PolicyParser *p, size_t *at)
{
  *at = parser_here (p);
  if (!parser_want (p, JSON_STRING, "a text in quotes"))
    return NULL;
  JsonString s = json_reader_string (&p->reader);
  if (!json_reader_ok (&p->reader))
    return NULL;
  while (s.length > 0 && isspace ((unsigned char)s.text[0])) {
    s.text++;
    s.length--;
  }
  while (s.length > 0 && isspace ((unsigned char)s.text[s.length - 1]))
    s.length--;
  return arena_strndup (p->arena, s.text, s.length);
}

void
parser_each_string (PolicyParser *p,
                    void (*read) (PolicyParser *p, const char *text, size_t at, void *target),
                    void *target)
{
  size_t at;

  if (!parser_want (p, JSON_ARRAY, "a list"))
    return;
  json_reader_enter_array (&p->reader);
  for (size_t i = 0; json_reader_next_element (&p->reader); i++) {
    size_t mark = parser_push_index (p, i);
    const char *text = parser_string (p, &at);
    if (text)
      read (p, text, at, target);
    parser_pop (p, mark);
  }
}

typedef struct
{
  const char **list;
  size_t n;
} TextList;

static void
keep_string (PolicyParser *p, const char *text, size_t at, void *target)
{
  TextList *list = target;

  arena_append (p->arena, list->list, list->n, text);
}

const char **
parser_strings (PolicyParser *p, size_t *n)
{
  TextList list = {0};

  parser_each_string (p, keep_string, &list);
  *n = list.n;
  return list.list;
}

PolicyText
parser_text (PolicyParser *p, const char *text, size_t at)
{
  PolicyText out = {.text = text, .path = arena_strdup (p->arena, p->path)};

  parser_position (p, at, &out.line, &out.column);
  return out;
}

/* How many edits lead from A to B, for suggestions. Both are short. */
static unsigned
distance (const char *a, const char *b)
{
  size_t n = strlen (b);
  unsigned row[64];

  if (n >= 63)
    return 99;
  for (size_t j = 0; j <= n; j++)
    row[j] = (unsigned)j;
  for (size_t i = 1; a[i - 1]; i++) {
    unsigned diagonal = row[0];
    row[0] = (unsigned)i;
    for (size_t j = 1; j <= n; j++) {
      unsigned above = row[j];
      unsigned change
          = diagonal + (tolower ((unsigned char)a[i - 1]) != tolower ((unsigned char)b[j - 1]));
      unsigned best = above < row[j - 1] ? above + 1 : row[j - 1] + 1;
      row[j] = change < best ? change : best;
      diagonal = above;
    }
  }
  return row[n];
}

static void
unknown_member (PolicyParser *p, size_t at, const char *name, const PolicyMember *members, size_t n)
{
  const char *nearest = NULL;
  unsigned best = 4;

  for (size_t i = 0; i < n; i++) {
    unsigned d = distance (name, members[i].name);
    if (d < best) {
      best = d;
      nearest = members[i].name;
    }
  }
  if (nearest)
    parser_error (p, at, "\"%s\" is not a known setting here – did you mean \"%s\"?", name,
                  nearest);
  else
    parser_error (p, at, "\"%s\" is not a known setting here", name);
}

void
parser_object (PolicyParser *p, const PolicyMember *members, size_t n, void *target)
{
  JsonString name;
  uint64_t seen = 0;

  if (!parser_want (p, JSON_OBJECT, "an object in { }"))
    return;
  json_reader_enter_object (&p->reader);
  for (;;) {
    size_t at = parser_name_here (p);
    if (!json_reader_next_member (&p->reader, &name))
      return;
    char *copy = arena_strndup (p->arena, name.text, name.length);
    size_t i = 0;
    while (i < n && strcasecmp (copy, members[i].name) != 0)
      i++;
    if (i == n) {
      if (!p->known_only || p->path[0] != '\0')
        unknown_member (p, at, copy, members, n);
      json_reader_skip (&p->reader);
      continue;
    }
    size_t mark = parser_push_name (p, members[i].name);
    bool told = p->known_only && mark == 0;
    if (seen >> i & 1 && !told)
      parser_error (p, at, "\"%s\" stands here twice", copy);
    seen |= UINT64_C (1) << i;
    members[i].read (p, target);
    parser_pop (p, mark);
  }
}

const char *
parser_raw (PolicyParser *p)
{
  JsonWriter w;

  json_writer_init (&w);
  json_writer_copy (&w, &p->reader);
  const char *copy = arena_strndup (p->arena, w.data ? w.data : "null", w.data ? w.size : 4);
  json_writer_clear (&w);
  return copy;
}

bool
policy_protocol_has_ports (uint8_t protocol)
{
  return protocol == 0 || protocol == 6 || protocol == 17 || protocol == 132;
}

bool
parser_protocol (PolicyParser *p, const char *text, size_t at, uint8_t *out)
{
  static const struct
  {
    const char *name;
    uint8_t number;
  } names[] = {{"", 0},     {"icmp", 1}, {"igmp", 2},       {"ipv4", 4},   {"ip-in-ip", 4},
               {"tcp", 6},  {"egp", 8},  {"igp", 9},        {"udp", 17},   {"gre", 47},
               {"esp", 50}, {"ah", 51},  {"ipv6-icmp", 58}, {"sctp", 132}, {"fc", 133}};
  char *end;

  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcasecmp (text, names[i].name) == 0) {
      *out = names[i].number;
      return true;
    }
  }
  long number = strtol (text, &end, 10);
  if (isdigit ((unsigned char)text[0]) && text[0] != '0' && *end == '\0' && number <= 255) {
    *out = (uint8_t)number;
    return true;
  }
  parser_error (p, at, "\"%s\" is not a protocol; leave it out for TCP+UDP+ICMP", text);
  return false;
}

static bool
parse_port (const char **text, uint16_t *out)
{
  unsigned value = 0;
  int digits = 0;

  for (; isdigit ((unsigned char)**text) && digits < 6; (*text)++, digits++)
    value = value * 10 + (unsigned)(**text - '0');
  *out = (uint16_t)value;
  return digits > 0 && value >= 1 && value <= 65535;
}

bool
parser_ports (PolicyParser *p, const char *text, size_t at, IpItem *out)
{
  const char *c = text;

  out->ports = NULL;
  out->n_ports = 0;
  if (strcmp (text, "*") == 0) {
    arena_append (p->arena, out->ports, out->n_ports, ((PortRange){0, 65535}));
    return true;
  }
  for (;;) {
    PortRange range;
    while (*c == ' ')
      c++;
    bool ok = parse_port (&c, &range.first);
    range.last = range.first;
    if (ok && *c == '-') {
      c++;
      ok = parse_port (&c, &range.last) && range.first <= range.last;
    }
    while (*c == ' ')
      c++;
    if (!ok || (*c != '\0' && *c != ',')) {
      parser_error (p, at, "\"%s\" is not a port (1–65535), a range like 80-90, or *", text);
      return false;
    }
    arena_append (p->arena, out->ports, out->n_ports, range);
    if (*c++ == '\0')
      return true;
  }
}

bool
parser_split_target (PolicyParser *p, const char *text, char **target, char **ports)
{
  const char *colon = strrchr (text, ':');

  if (!colon || colon == text || colon[1] == '\0')
    return false;
  size_t length = (size_t)(colon - text);
  *ports = arena_strdup (p->arena, colon + 1);
  *target = arena_strndup (p->arena, text, length);
  if (text[0] == '[') {
    /* "[addr]" or "[addr]/64" */
    char *close = strchr (*target, ']');
    if (!close || !memchr (*target, ':', (size_t)(close - *target)))
      return true;
    *target = arena_printf (p->arena, "%.*s%s", (int)(close - *target - 1), *target + 1, close + 1);
    return true;
  }
  /* A bare IPv6 address without ports has colons of its own. */
  IpPrefix prefix;
  return !(ip_prefix_parse (text, strlen (text), &prefix) && prefix.addr.family == 6);
}
