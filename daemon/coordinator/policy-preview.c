#include "coordinator/policy-preview.h"

#include "coordinator/hujson.h"
#include "coordinator/policy-view.h"
#include "wire/json-reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64 * 1024 * 1024)

enum
{
  EXIT_OK = 0,
  EXIT_REFUSED = 1,
  EXIT_NO_FILE = 2,
};

/* The node list as it is read; users and nodes move while they grow, so nodes name users by index.
 */
typedef struct
{
  Arena *arena;
  PolicyUser *users;
  size_t n_users;
  PolicyNode *nodes;
  size_t n_nodes;
  size_t *node_users; /* by node; n_users: tagged */
} NodeList;

static char *
read_file (const char *path, size_t *size)
{
  FILE *file = strcmp (path, "-") == 0 ? stdin : fopen (path, "re");
  char *data = NULL;
  size_t room = 0;

  *size = 0;
  if (!file) {
    fprintf (stderr, "%s: %s\n", path, strerror (errno));
    return NULL;
  }
  do {
    if (*size == room) {
      room = room ? room * 2 : 65536;
      data = realloc (data, room + 1);
      if (!data)
        abort ();
    }
    *size += fread (data + *size, 1, room - *size, file);
  } while (!feof (file) && !ferror (file) && *size < FILE_MAX);
  data[*size] = '\0';
  if (ferror (file)) {
    fprintf (stderr, "%s: %s\n", path, strerror (errno));
    free (data);
    data = NULL;
  }
  if (file != stdin)
    fclose (file);
  return data;
}

static const char *
copy_string (NodeList *list, JsonReader *r)
{
  JsonString s = json_reader_string (r);

  return arena_strndup (list->arena, s.text ? s.text : "", s.length);
}

static void
read_user (NodeList *list, JsonReader *r)
{
  PolicyUser user = {.id = (int64_t)list->n_users + 1, .login = ""};
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (json_string_equal (name, "login"))
      user.login = copy_string (list, r);
    else if (json_string_equal (name, "role")) {
      if (!policy_role_parse (copy_string (list, r), &user.role))
        json_reader_fail (r, "a role is owner, admin or member");
    } else
      json_reader_skip (r);
  }
  if (!user.login[0])
    json_reader_fail (r, "a user needs a login");
  arena_append (list->arena, list->users, list->n_users, user);
}

static IpPrefix *
read_prefixes (NodeList *list, JsonReader *r, size_t *n)
{
  IpPrefix *prefixes = NULL;

  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    JsonString s = json_reader_string (r);
    IpPrefix prefix;
    if (!ip_prefix_parse (s.text, s.length, &prefix)) {
      json_reader_fail (r, "expected an address or a prefix");
      return NULL;
    }
    arena_append (list->arena, prefixes, *n, ip_prefix_mask (prefix));
  }
  return prefixes;
}

static void
read_addresses (NodeList *list, JsonReader *r, PolicyNode *node)
{
  size_t n = 0;
  IpPrefix *prefixes = read_prefixes (list, r, &n);

  for (size_t i = 0; i < n; i++)
    node->addresses[prefixes[i].addr.family == 4 ? 0 : 1] = prefixes[i].addr;
}

static const char **
read_strings (NodeList *list, JsonReader *r, size_t *n)
{
  const char **strings = NULL;

  json_reader_enter_array (r);
  while (json_reader_next_element (r))
    arena_append (list->arena, strings, *n, copy_string (list, r));
  return strings;
}

static size_t
find_user (const NodeList *list, const char *login)
{
  size_t i = 0;

  while (i < list->n_users && strcmp (list->users[i].login, login) != 0)
    i++;
  return i;
}

static void
read_node (NodeList *list, JsonReader *r)
{
  PolicyNode node = {.id = (int64_t)list->n_nodes + 1, .name = "", .online = true};
  const char *login = "";
  JsonString name;
  size_t n = list->n_nodes;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (json_reader_null (r))
      continue;
    if (json_string_equal (name, "name"))
      node.name = copy_string (list, r);
    else if (json_string_equal (name, "user"))
      login = copy_string (list, r);
    else if (json_string_equal (name, "tags"))
      node.tags = read_strings (list, r, &node.n_tags);
    else if (json_string_equal (name, "addresses"))
      read_addresses (list, r, &node);
    else if (json_string_equal (name, "advertisedRoutes"))
      node.announced = read_prefixes (list, r, &node.n_announced);
    else if (json_string_equal (name, "approvedRoutes"))
      node.approved = read_prefixes (list, r, &node.n_approved);
    else if (json_string_equal (name, "os"))
      node.os = copy_string (list, r);
    else if (json_string_equal (name, "version"))
      node.version = copy_string (list, r);
    else
      json_reader_skip (r);
  }
  size_t user = find_user (list, login);
  if (login[0] && user == list->n_users)
    json_reader_fail (r, "a node belongs to a user that is not listed");
  if (!node.name[0])
    json_reader_fail (r, "a node needs a name");
  for (size_t i = 0; i < list->n_nodes; i++)
    if (strcmp (list->nodes[i].name, node.name) == 0)
      json_reader_fail (r, "another node has this name");
  arena_append (list->arena, list->node_users, n, user);
  arena_append (list->arena, list->nodes, list->n_nodes, node);
}

static void
read_list (NodeList *list, JsonReader *r, const char *section,
           void (*read) (NodeList *list, JsonReader *r))
{
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (!json_string_equal (name, section)) {
      json_reader_skip (r);
      continue;
    }
    json_reader_enter_array (r);
    while (json_reader_next_element (r))
      read (list, r);
  }
}

static void
tell_fault (const char *path, const char *text, const JsonReader *r)
{
  unsigned line, column;

  text_position (text, r->pos, &line, &column);
  fprintf (stderr, "%s:%u:%u: %s\n", path, line, column, r->error);
}

/* Users first, wherever they stand: nodes refer to them. */
static bool
read_nodes (NodeList *list, const char *path, const char *text, size_t size)
{
  static const struct
  {
    const char *section;
    void (*read) (NodeList *list, JsonReader *r);
  } passes[] = {{"users", read_user}, {"nodes", read_node}};
  bool ok = true;

  for (size_t i = 0; i < 2 && ok; i++) {
    JsonReader r;
    json_reader_init (&r, text, size);
    read_list (list, &r, passes[i].section, passes[i].read);
    if (json_reader_ok (&r) && !json_reader_end (&r))
      json_reader_fail (&r, "there is text behind the list");
    ok = json_reader_ok (&r);
    if (!ok)
      tell_fault (path, text, &r);
    json_reader_clear (&r);
  }
  for (size_t i = 0; i < list->n_nodes; i++)
    if (list->node_users[i] < list->n_users)
      list->nodes[i].user = &list->users[list->node_users[i]];
  return ok;
}

static void
print_issues (const char *path, const PolicyIssues *issues)
{
  for (size_t i = 0; i < issues->n; i++) {
    const PolicyIssue *issue = &issues->list[i];
    fprintf (stderr, "%s:%u:%u: %s%s%s%s\n", path, issue->line, issue->column,
             issue->warning ? "warning: " : "", issue->path, issue->path[0] ? ": " : "",
             issue->text);
  }
}

static void
write_peers (PolicyView *view, const PolicyTailnet *tailnet, size_t index, JsonWriter *w)
{
  json_writer_begin_object (w);
  for (size_t i = 0; i < tailnet->n_nodes; i++) {
    size_t n;
    if (!policy_view_are_peers (view, index, i))
      continue;
    IpPrefix *allowed = policy_view_allowed_ips (view, index, i, &n);
    json_writer_name (w, tailnet->nodes[i].name);
    json_writer_begin_array (w);
    for (size_t a = 0; a < n; a++)
      json_writer_prefix (w, &allowed[a]);
    json_writer_end_array (w);
  }
  json_writer_end_object (w);
}

static void
write_node (PolicyView *view, const PolicyTailnet *tailnet, size_t index, JsonWriter *w)
{
  PolicyRules filter = policy_view_filter (view, index);

  json_writer_begin_object (w);
  json_writer_name (w, "peers");
  write_peers (view, tailnet, index, w);
  json_writer_name (w, "packetFilter");
  policy_rules_write (&filter, w);
  json_writer_name (w, "sshPolicy");
  if (!policy_view_write_ssh (view, index, w))
    json_writer_null (w);
  json_writer_name (w, "capMap");
  policy_view_write_cap_map (view, index, w);
  json_writer_end_object (w);
}

static void
print_preview (const Policy *policy, const PolicyTailnet *tailnet)
{
  PolicyView *view = policy_view_new (policy, tailnet);
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  for (size_t i = 0; i < tailnet->n_nodes; i++) {
    json_writer_name (&w, tailnet->nodes[i].name);
    write_node (view, tailnet, i, &w);
  }
  json_writer_end_object (&w);
  puts (w.data);
  json_writer_clear (&w);
  policy_view_free (view);
}

static bool
run_tests (const Policy *policy, const PolicyTailnet *tailnet, PolicyIssues *issues)
{
  PolicyView *view = policy_view_new (policy, tailnet);
  bool ok = policy_view_run_tests (view, issues);

  policy_view_free (view);
  return ok;
}

/* Reads both files; NULL path: no nodes. Returns an exit code, 0 with *POLICY set. */
static int
load (const char *policy_path, const char *nodes_path, NodeList *list, PolicyIssues *issues,
      Policy **policy)
{
  size_t size;
  char *text = read_file (policy_path, &size);

  if (!text)
    return EXIT_NO_FILE;
  *policy = policy_parse (text, size, issues);
  free (text);
  if (!*policy)
    return EXIT_REFUSED;
  if (!nodes_path)
    return EXIT_OK;
  text = read_file (nodes_path, &size);
  if (!text)
    return EXIT_NO_FILE;
  bool ok = read_nodes (list, nodes_path, text, size);
  free (text);
  return ok ? EXIT_OK : EXIT_REFUSED;
}

static int
run (const char *policy_path, const char *nodes_path, bool preview)
{
  NodeList list = {.arena = arena_new ()};
  PolicyIssues issues;
  Policy *policy = NULL;

  policy_issues_init (&issues);
  int result = load (policy_path, nodes_path, &list, &issues, &policy);
  PolicyTailnet tailnet = {
      .users = list.users, .n_users = list.n_users, .nodes = list.nodes, .n_nodes = list.n_nodes};
  if (result == EXIT_OK && !preview && !run_tests (policy, &tailnet, &issues))
    result = EXIT_REFUSED;
  if (result == EXIT_OK && preview)
    print_preview (policy, &tailnet);
  print_issues (policy_path, &issues);
  policy_free (policy);
  policy_issues_clear (&issues);
  arena_free (list.arena);
  return result;
}

int
policy_preview (const char *policy_path, const char *nodes_path)
{
  return run (policy_path, nodes_path, true);
}

int
policy_check (const char *policy_path, const char *nodes_path)
{
  return run (policy_path, nodes_path, false);
}
