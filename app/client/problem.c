#include "client/problem.h"

#include <glib/gi18n-lib.h>
#include <string.h>

static const WarrenProblemInfo table[] = {
    {"server-unreachable", N_ ("Server Cannot Be Reached"), N_ ("{server} does not answer."),
     N_ ("Check the Internet connection and the server address. Warren keeps trying."),
     WARREN_EXIT_SERVER, FALSE},
    {"not-a-control-server", N_ ("Not a Coordination Server"),
     N_ ("{server} answers, but not as a coordination server."),
     N_ ("Check the server address for a typing error."), WARREN_EXIT_SERVER, FALSE},
    {"tls-untrusted", N_ ("Server Is Not Trusted"),
     N_ ("This computer does not trust the certificate of {server}."),
     N_ ("Check the server address. If the server has its own certificate authority, install that "
         "on this computer; on a public network, open its sign-in page first."),
     WARREN_EXIT_SERVER, FALSE},
    {"tls-expired", N_ ("Server Certificate Expired"),
     N_ ("The certificate of {server} is not valid today."),
     N_ ("Check the clock of this computer. If it is right, tell the administrator of the server."),
     WARREN_EXIT_SERVER, FALSE},
    {"server-key-changed", N_ ("Server Identity Changed"),
     N_ ("{server} has another key than when this device signed in."),
     N_ ("If the server was set up anew, sign in again to accept it. If not, ask its administrator "
         "before you do."),
     WARREN_EXIT_SERVER, TRUE},
    {"version-refused", N_ ("Server Wants a Newer Version"),
     N_ ("{server} no longer accepts this version of Warren."), N_ ("Update Warren."),
     WARREN_EXIT_SERVER, FALSE},
    {"auth-key-invalid", N_ ("Key Was Not Accepted"),
     N_ ("{server} does not know this key, or it has expired."),
     N_ ("Create a new key on the server and sign in with that, or use the browser."),
     WARREN_EXIT_SIGN_IN, TRUE},
    {"auth-key-used", N_ ("Key Was Already Used"),
     N_ ("This key works only once, and another device has used it."),
     N_ ("Create a new key on the server and sign in with that, or use the browser."),
     WARREN_EXIT_SIGN_IN, TRUE},
    {"login-expired", N_ ("Sign-In Took Too Long"),
     N_ ("The page of {server} was not completed in time."), N_ ("Sign in again for a new page."),
     WARREN_EXIT_SIGN_IN, TRUE},
    {"login-denied", N_ ("Sign-In Was Refused"), N_ ("{server} did not accept this device."),
     N_ ("Sign in with another account, or ask the administrator of the network."),
     WARREN_EXIT_SIGN_IN, TRUE},
    {"key-expired", N_ ("Sign-In Expired"), N_ ("{server} asks you to sign in again."),
     N_ ("Sign in again to reconnect."), WARREN_EXIT_SIGN_IN, TRUE},
    {"node-removed", N_ ("Device Was Removed"),
     N_ ("Somebody removed this device from the network of {server}."),
     N_ ("Sign in again to add it."), WARREN_EXIT_SIGN_IN, TRUE},
    {"lock-unsupported", N_ ("Network Is Locked"),
     N_ ("This network signs its devices (tailnet lock). This version cannot check the signatures, "
         "so it lets no device in."),
     N_ ("Ask the administrator to turn tailnet lock off, or use another network."),
     WARREN_EXIT_HOST, FALSE},
    {"tun-unavailable", N_ ("No Network Device"),
     N_ ("The system does not let the service make its network device."),
     N_ ("Load the driver with “sudo modprobe tun”, then connect again."), WARREN_EXIT_HOST, FALSE},
    {"not-permitted", N_ ("Service Lacks Permission"),
     N_ ("The service may not change the network settings of this computer."),
     N_ ("Start it as installed, with “sudo systemctl restart warrend”."), WARREN_EXIT_HOST, FALSE},
    {"state-unreadable", N_ ("Saved Settings Cannot Be Read"),
     N_ ("A file of the service is damaged or was written by a newer version."),
     N_ ("Update Warren; if that does not help, remove this account and sign in again."),
     WARREN_EXIT_HOST, FALSE},
    {"disk-full", N_ ("Disk Is Full"),
     N_ ("Settings and keys cannot be saved; the connection goes on."),
     N_ ("Free some space on the disk of /var/lib/warren."), WARREN_EXIT_HOST, FALSE},
    {NULL, NULL, NULL, NULL, WARREN_EXIT_FAILED, FALSE},
};

/* A daemon newer than this program may know more codes. */
static const WarrenProblemInfo unknown = {
    "",
    N_ ("Something Is Wrong"),
    N_ ("The service reports a problem that this version does not know."),
    N_ ("Update Warren, or look into the log with “journalctl -u warrend”."),
    WARREN_EXIT_FAILED,
    FALSE,
};

const WarrenProblemInfo *
warren_problem_table (void)
{
  return table;
}

const WarrenProblemInfo *
warren_problem_info (const char *code)
{
  for (gsize i = 0; table[i].code != NULL; i++)
    if (g_strcmp0 (table[i].code, code) == 0)
      return &table[i];
  return NULL;
}

static const WarrenProblemInfo *
info_or_unknown (const char *code)
{
  const WarrenProblemInfo *info = warren_problem_info (code);

  return info != NULL ? info : &unknown;
}

static char *
fill_in (const char *text, const char *server)
{
  g_autoptr (GString) filled = g_string_new (text);
  /* Translators: stands for the host name of a server whose name is not known */
  const char *name = server != NULL && *server != '\0' ? server : _ ("The server");

  g_string_replace (filled, "{server}", name, 0);
  return g_string_free (g_steal_pointer (&filled), FALSE);
}

char *
warren_problem_title (const char *code)
{
  return g_strdup (_ (info_or_unknown (code)->title));
}

char *
warren_problem_meaning (const char *code, const char *server)
{
  return fill_in (_ (info_or_unknown (code)->meaning), server);
}

char *
warren_problem_advice (const char *code, const char *server)
{
  return fill_in (_ (info_or_unknown (code)->advice), server);
}
