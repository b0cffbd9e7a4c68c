#include "control/control.h"

#include "base/memory.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void
control_identity_copy (ControlIdentity *to, const ControlIdentity *from)
{
  char *url
      = from->pending_url ? mem_strndup (from->pending_url, strlen (from->pending_url)) : NULL;

  *to = *from;
  to->pending_url = url;
}

void
control_identity_clear (ControlIdentity *identity)
{
  free (identity->pending_url);
  sodium_memzero (identity, sizeof *identity);
}

const char *
control_problem_name (ControlProblem problem)
{
  static const char *const names[] = {
      [CONTROL_PROBLEM_NONE] = "",
      [CONTROL_PROBLEM_SERVER_UNREACHABLE] = "server-unreachable",
      [CONTROL_PROBLEM_NOT_A_CONTROL_SERVER] = "not-a-control-server",
      [CONTROL_PROBLEM_TLS_UNTRUSTED] = "tls-untrusted",
      [CONTROL_PROBLEM_TLS_EXPIRED] = "tls-expired",
      [CONTROL_PROBLEM_SERVER_KEY_CHANGED] = "server-key-changed",
      [CONTROL_PROBLEM_VERSION_REFUSED] = "version-refused",
      [CONTROL_PROBLEM_AUTH_KEY_INVALID] = "auth-key-invalid",
      [CONTROL_PROBLEM_AUTH_KEY_USED] = "auth-key-used",
      [CONTROL_PROBLEM_LOGIN_EXPIRED] = "login-expired",
      [CONTROL_PROBLEM_LOGIN_DENIED] = "login-denied",
      [CONTROL_PROBLEM_KEY_EXPIRED] = "key-expired",
      [CONTROL_PROBLEM_NODE_REMOVED] = "node-removed",
      [CONTROL_PROBLEM_LOCK_UNSUPPORTED] = "lock-unsupported",
      [CONTROL_PROBLEM_STATE_UNWRITABLE] = "disk-full",
  };

  return names[problem];
}
