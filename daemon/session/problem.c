#include "session/problem.h"

#include <string.h>

static const char *const names[PROBLEM_N_CODES] = {
    [PROBLEM_NONE] = "",
    [PROBLEM_SERVER_UNREACHABLE] = "server-unreachable",
    [PROBLEM_NOT_A_CONTROL_SERVER] = "not-a-control-server",
    [PROBLEM_TLS_UNTRUSTED] = "tls-untrusted",
    [PROBLEM_TLS_EXPIRED] = "tls-expired",
    [PROBLEM_SERVER_KEY_CHANGED] = "server-key-changed",
    [PROBLEM_VERSION_REFUSED] = "version-refused",
    [PROBLEM_AUTH_KEY_INVALID] = "auth-key-invalid",
    [PROBLEM_AUTH_KEY_USED] = "auth-key-used",
    [PROBLEM_LOGIN_EXPIRED] = "login-expired",
    [PROBLEM_LOGIN_DENIED] = "login-denied",
    [PROBLEM_KEY_EXPIRED] = "key-expired",
    [PROBLEM_NODE_REMOVED] = "node-removed",
    [PROBLEM_LOCK_UNSUPPORTED] = "lock-unsupported",
    [PROBLEM_TUN_UNAVAILABLE] = "tun-unavailable",
    [PROBLEM_NOT_PERMITTED] = "not-permitted",
    [PROBLEM_STATE_UNREADABLE] = "state-unreadable",
    [PROBLEM_DISK_FULL] = "disk-full",
};

const char *
problem_code_name (ProblemCode code)
{
  return names[code];
}

ProblemCode
problem_from_control (ControlProblem problem)
{
  switch (problem) {
    case CONTROL_PROBLEM_NONE:
      return PROBLEM_NONE;
    case CONTROL_PROBLEM_SERVER_UNREACHABLE:
      return PROBLEM_SERVER_UNREACHABLE;
    case CONTROL_PROBLEM_NOT_A_CONTROL_SERVER:
      return PROBLEM_NOT_A_CONTROL_SERVER;
    case CONTROL_PROBLEM_TLS_UNTRUSTED:
      return PROBLEM_TLS_UNTRUSTED;
    case CONTROL_PROBLEM_TLS_EXPIRED:
      return PROBLEM_TLS_EXPIRED;
    case CONTROL_PROBLEM_SERVER_KEY_CHANGED:
      return PROBLEM_SERVER_KEY_CHANGED;
    case CONTROL_PROBLEM_VERSION_REFUSED:
      return PROBLEM_VERSION_REFUSED;
    case CONTROL_PROBLEM_AUTH_KEY_INVALID:
      return PROBLEM_AUTH_KEY_INVALID;
    case CONTROL_PROBLEM_AUTH_KEY_USED:
      return PROBLEM_AUTH_KEY_USED;
    case CONTROL_PROBLEM_LOGIN_EXPIRED:
      return PROBLEM_LOGIN_EXPIRED;
    case CONTROL_PROBLEM_LOGIN_DENIED:
      return PROBLEM_LOGIN_DENIED;
    case CONTROL_PROBLEM_KEY_EXPIRED:
      return PROBLEM_KEY_EXPIRED;
    case CONTROL_PROBLEM_NODE_REMOVED:
      return PROBLEM_NODE_REMOVED;
    case CONTROL_PROBLEM_LOCK_UNSUPPORTED:
      return PROBLEM_LOCK_UNSUPPORTED;
    case CONTROL_PROBLEM_STATE_UNWRITABLE:
      return PROBLEM_DISK_FULL;
  }
  return PROBLEM_SERVER_UNREACHABLE;
}

bool
problem_is_fatal (ProblemCode code)
{
  return code == PROBLEM_LOCK_UNSUPPORTED || code == PROBLEM_TUN_UNAVAILABLE
         || code == PROBLEM_NOT_PERMITTED || code == PROBLEM_STATE_UNREADABLE;
}

bool
problem_set (Problem *problem, ProblemCode code, const char *text, bool retrying, int64_t now_s)
{
  if (code == PROBLEM_NONE) {
    bool changed = problem->code != PROBLEM_NONE;
    problem_clear (problem);
    return changed;
  }
  text = text ? text : "";
  if (problem->code == code && problem->retrying == retrying && strcmp (problem->text, text) == 0)
    return false;
  if (problem->code != code)
    problem->since_s = now_s > problem->last_s ? now_s : problem->last_s + 1;
  problem->code = code;
  problem->retrying = retrying;
  g_free (problem->text);
  problem->text = g_strdup (text);
  return true;
}

void
problem_clear (Problem *problem)
{
  int64_t last_s = problem->code != PROBLEM_NONE ? problem->since_s : problem->last_s;
  g_free (problem->text);
  memset (problem, 0, sizeof *problem);
  problem->last_s = last_s;
}
