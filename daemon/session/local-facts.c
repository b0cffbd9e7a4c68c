#include "session/local-facts.h"

#include <glib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *
go_arch_of (const char *machine)
{
  static const struct
  {
    const char *machine, *go;
  } table[] = {
      {"x86_64", "amd64"},    {"aarch64", "arm64"}, {"riscv64", "riscv64"},
      {"ppc64le", "ppc64le"}, {"s390x", "s390x"},   {"loongarch64", "loong64"},
      {"i686", "386"},        {"armv7l", "arm"},    {"armv6l", "arm"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (table); i++)
    if (strcmp (machine, table[i].machine) == 0)
      return table[i].go;
  return machine;
}

static char *
os_info (const char *key)
{
  char *value = g_get_os_info (key);
  return value ? value : g_strdup ("");
}

LocalFacts *
local_facts_new (void)
{
  LocalFacts *facts = g_new0 (LocalFacts, 1);
  struct utsname name;
  if (uname (&name) < 0)
    memset (&name, 0, sizeof name);
  facts->client_version = g_strdup (WARREN_VERSION "-warren");
  facts->hostname = g_strndup (name.nodename, strcspn (name.nodename, "."));
  if (*facts->hostname == '\0' || strcmp (facts->hostname, "(none)") == 0) {
    g_free (facts->hostname);
    facts->hostname = g_strdup ("localhost");
  }
  facts->os_version = g_strdup (name.release);
  facts->machine = g_strdup (name.machine);
  facts->go_arch = go_arch_of (facts->machine);
  facts->distro = os_info (G_OS_INFO_KEY_ID);
  facts->distro_version = os_info (G_OS_INFO_KEY_VERSION_ID);
  facts->distro_code_name = os_info (G_OS_INFO_KEY_VERSION_CODENAME);
  facts->container = access ("/run/.containerenv", F_OK) == 0 || access ("/.dockerenv", F_OK) == 0
                     || g_getenv ("container") != NULL;
  return facts;
}

void
local_facts_free (LocalFacts *facts)
{
  if (!facts)
    return;
  g_free (facts->client_version);
  g_free (facts->hostname);
  g_free (facts->os_version);
  g_free (facts->distro);
  g_free (facts->distro_version);
  g_free (facts->distro_code_name);
  g_free (facts->machine);
  g_free (facts);
}
