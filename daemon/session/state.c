#include "session/state.h"

SessionState
session_next_state (const SessionInputs *in)
{
  if (in->logging_in && !in->have_netmap)
    return SESSION_STARTING;
  if (!in->wanted && !in->logged_out && in->have_key && !in->login_stuck)
    return SESSION_STOPPED;
  if (in->fatal && in->wanted)
    return SESSION_ERROR;
  if (!in->have_netmap && (in->login_stuck || in->logged_out || !in->have_key))
    return SESSION_NEEDS_LOGIN;
  if (!in->wanted)
    return SESSION_STOPPED;
  if (!in->have_netmap)
    return SESSION_STARTING;
  if (in->expired)
    return SESSION_NEEDS_LOGIN;
  if (!in->authorized)
    return SESSION_NEEDS_APPROVAL;
  if (in->previous == SESSION_RUNNING)
    return SESSION_RUNNING;
  return in->live && in->previous == SESSION_STARTING ? SESSION_RUNNING : SESSION_STARTING;
}

const char *
session_state_name (SessionState state)
{
  static const char *const names[]
      = {"stopped", "starting", "needs-login", "needs-approval", "running", "error"};
  return names[state];
}

const char *
session_state_official (SessionState state)
{
  static const char *const names[]
      = {"Stopped", "Starting", "NeedsLogin", "NeedsMachineAuth", "Running", "NoState"};
  return names[state];
}
