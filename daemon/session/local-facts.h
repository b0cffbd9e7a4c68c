/* What this computer is, as far as it is announced to servers (spec/control-protocol.md §11).
 *
 * Read once at start from uname, os-release and the environment; no serial numbers, no
 * fingerprints. Main thread. */
#pragma once

#include <stdbool.h>

#define WARREN_CLIENT_NAME "Warren"

typedef struct
{
  char *client_version; /* "0.1.0-warren" */
  char *hostname;       /* first label of the computer's name */
  char *os_version;     /* kernel release */
  char *distro;         /* "debian", or "" */
  char *distro_version;
  char *distro_code_name;
  char *machine;       /* "x86_64" */
  const char *go_arch; /* the same in the words of servers: "amd64" */
  bool container;
} LocalFacts;

LocalFacts *local_facts_new (void);
void local_facts_free (LocalFacts *facts);
