/* The settings that `up`, `login`, `set` and `get` share: flag, preference key, type.
 * spec/desktop.md §8.8, spec/local-services.md §4.3. */
#pragma once

#include "cli/cli.h"

/* Flags of the settings, to be put at the head of a command's own table. */
#define SETTING_FLAGS                                                                              \
  {"accept-dns", FLAG_SWITCH, NULL, NULL, N_ ("use the names and DNS servers of the network")},    \
      {"accept-routes", FLAG_SWITCH, NULL, NULL, N_ ("use the subnet routes of other devices")},   \
      {"advertise-exit-node", FLAG_SWITCH, NULL, NULL,                                             \
       N_ ("offer to carry the Internet traffic of other devices")},                               \
      {"advertise-routes", FLAG_TEXT, "SUBNETS", NULL,                                             \
       N_ ("subnets to offer to other devices, separated by commas")},                             \
      {"advertise-tags", FLAG_TEXT, "TAGS", NULL, N_ ("tags to ask for, separated by commas")},    \
      {"exit-node", FLAG_TEXT, "NODE", NULL,                                                       \
       N_ ("send Internet traffic through NODE: a name, an address, auto:any, or empty for "       \
           "none")},                                                                               \
      {"exit-node-allow-lan-access", FLAG_SWITCH, NULL, NULL,                                      \
       N_ ("reach the local network directly while an exit node is used")},                        \
      {"hostname", FLAG_TEXT, "NAME", NULL,                                                        \
       N_ ("name of this device, instead of the computer's")},                                     \
      {"proxy", FLAG_TEXT, "URL", NULL,                                                            \
       N_ ("proxy to the server and to relays: http://, https:// or socks5://, none, or empty "    \
           "for the daemon's environment")},                                                       \
      {"shields-up", FLAG_SWITCH, NULL, NULL, N_ ("let no connection in")},                        \
  {                                                                                                \
    "snat-subnet-routes", FLAG_SWITCH, NULL, NULL,                                                 \
        N_ ("let other devices appear with this one's address in offered subnets (default: on)")   \
  }

typedef struct
{
  const char *flag; /* NULL ends the list */
  const char *key;
  const char *type;
} Setting;

const Setting *cli_settings (void);

/* Puts what FLAGS name into CHANGES, except the exit node, which needs the list of devices.
 * RESET: what is not named goes back to its default. */
void cli_settings_collect (const Flags *flags, gboolean reset, GVariantDict *changes);

/* The value of SETTING as `get` shows it. Free with g_free. */
char *cli_setting_show (WarrenSession *session, const Setting *setting);

/* Resolves --exit-node, if given, and sends CHANGES, if any. */
WarrenExitCode
cli_settings_apply (Cli *cli, WarrenSession *session, const Flags *flags, gboolean reset);
