#include "coordinator/command.h"

#include <string.h>

#define MANY 250

static const CommandRow table[] = {
    {"create", NULL, "",
     "--name=NAME --domain=SUFFIX --url=URL --listen=ADDRESS:PORT --prefix4=PREFIX "
     "--prefix6=PREFIX --key-expiry=DAYS --relay-url=URL --relay-listen=ADDRESS:PORT "
     "--stun-port=PORT",
     "make a network; what is left out is chosen", 0, 0, true, false, command_elsewhere},
    {"stop", NULL, "", "", "end the server; the network stays", 0, 0, true, false,
     command_elsewhere},
    {"delete", NULL, "", "--yes", "end the network for all of its devices", 0, 0, true, false,
     command_elsewhere},
    {"backup", NULL, "FILE", "", "copy everything that the network is, while it goes on", 1, 1,
     false, false, command_elsewhere},
    {"restore", NULL, "FILE", "", "become what a backup was; the server is stopped", 1, 1, true,
     false, command_elsewhere},
    {"status", NULL, "", "--wait=REVISION", "what the network is, and how many devices there are",
     0, 0, false, false, command_status},
    {"keys create", NULL, "", "--reusable --ephemeral --tags=TAG,… --expires=TIME --user=LOGIN",
     "make a key that lets devices join, shown this once", 0, 0, true, false, command_keys_create},
    {"keys list", "keys", "", "", "the keys", 0, 0, false, false, command_keys_list},
    {"keys revoke", NULL, "ID", "", "end a key; devices that joined by it stay", 1, 1, true, false,
     command_keys_revoke},
    {"nodes list", "nodes", "", "", "the devices, and those that wait for approval", 0, 0, false,
     false, command_nodes_list},
    {"nodes approve", "approve", "[NAME]", "--user=LOGIN",
     "let a device in that waits, or show a one-time code for its page", 0, 1, true, false,
     command_nodes_approve},
    {"nodes deny", "deny", "NAME", "", "refuse a device that waits", 1, 1, true, false,
     command_nodes_deny},
    {"nodes rename", "rename", "NAME NEW", "", "give a device another name", 2, 2, true, false,
     command_nodes_rename},
    {"nodes tag", "tag", "NAME [TAG,…]", "", "give a device tags instead of its user, or none", 1,
     2, true, false, command_nodes_tag},
    {"nodes move", "move", "NAME LOGIN", "", "give a device to another user", 2, 2, true, false,
     command_nodes_move},
    {"nodes expire", "expire", "NAME", "--in=TIME --never",
     "make a device sign in again, now or later", 1, 1, true, false, command_nodes_expire},
    {"nodes remove", "remove", "NAME", "", "take a device out of the network", 1, 1, true, false,
     command_nodes_remove},
    {"routes list", "routes", "[NAME]", "", "the subnets that devices offer", 0, 1, false, false,
     command_routes_list},
    {"routes approve", NULL, "NAME [PREFIX…]", "--all",
     "accept these subnets from a device, and no others", 1, MANY, true, false,
     command_routes_approve},
    {"users list", "users", "", "", "the users", 0, 0, false, false, command_users_list},
    {"users create", NULL, "LOGIN", "--role=ROLE", "add a user", 1, 1, true, false,
     command_users_create},
    {"users invite", NULL, "LOGIN", "--role=ROLE", "a link by which somebody sets a password", 1, 1,
     true, false, command_users_invite},
    {"users code", NULL, "[LOGIN]", "", "a one-time code for the sign-in page", 0, 1, true, false,
     command_users_code},
    {"users password", NULL, "LOGIN", "", "set a password, read from standard input", 1, 1, true,
     true, command_users_password},
    {"users role", NULL, "LOGIN ROLE", "", "make somebody owner, admin or member", 2, 2, true,
     false, command_users_role},
    {"users remove", NULL, "LOGIN", "", "remove a user without devices", 1, 1, true, false,
     command_users_remove},
    {"policy get", NULL, "", "", "the policy as it was written", 0, 0, false, false,
     command_policy_get},
    {"policy set", NULL, "FILE", "", "replace the policy; a bad one changes nothing", 0, 1, true,
     true, command_policy_set},
    {"policy check", NULL, "FILE", "", "try a policy with the devices that are here", 0, 1, false,
     true, command_policy_check},
    {"dns get", "dns", "", "", "how names are answered", 0, 0, false, false, command_dns_get},
    {"dns set", NULL, "[ADDRESS…]", "", "name servers for all devices", 0, MANY, true, false,
     command_dns_set},
    {"dns override", NULL, "on|off", "", "name servers stand before those of a device's place", 1,
     1, true, false, command_dns_override},
    {"dns magic", NULL, "on|off", "", "devices are found by their names", 1, 1, true, false,
     command_dns_magic},
    {"dns domain", NULL, "SUFFIX", "", "what stands behind the names of devices", 1, 1, true, false,
     command_dns_domain},
    {"dns search", NULL, "[DOMAIN…]", "", "domains in which short names are looked up, too", 0,
     MANY, true, false, command_dns_search},
    {"dns split", NULL, "SUFFIX [ADDRESS…]", "", "name servers for one domain, or none of its own",
     1, MANY, true, false, command_dns_split},
    {"dns record", NULL, "NAME [ADDRESS…]", "", "addresses of a name of your own, or none", 1, MANY,
     true, false, command_dns_record},
    {"derp get", "relay", "", "", "the relays that devices use", 0, 0, false, false,
     command_derp_get},
    {"derp set", NULL, "FILE", "", "relays of others (a DERP map), besides our own", 0, 1, true,
     true, command_derp_set},
    {"commands", NULL, "", "", "this table", 0, 0, false, false, command_commands},
};

const CommandRow *
command_table (size_t *n)
{
  *n = sizeof table / sizeof table[0];
  return table;
}

/* How many of WORDS are NAME, which has blanks between its words; 0: it is another name. */
static size_t
match (const char *name, const char *const *words, size_t n)
{
  size_t used = 0;

  while (*name) {
    size_t length = strcspn (name, " ");
    if (used == n || strlen (words[used]) != length || strncmp (words[used], name, length) != 0)
      return 0;
    used++;
    name += length;
    name += *name == ' ';
  }
  return used;
}

const CommandRow *
command_find (const char *const *words, size_t n, size_t *used)
{
  const CommandRow *found = NULL;

  *used = 0;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    size_t count = match (table[i].name, words, n);
    if (count == 0 && table[i].alias)
      count = match (table[i].alias, words, n);
    if (count > *used) {
      *used = count;
      found = &table[i];
    }
  }
  return found;
}
