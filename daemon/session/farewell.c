#include "session/farewell.h"

#include "base/log.h"
#include "session/proxies.h"

#include <sodium.h>

#define LOG_DOMAIN "session"

struct Farewell
{
  ControlIo *control;
  char *id;
  guint done_source;
  FarewellDone done;
  void *user_data;
};

static gboolean
over (void *user_data)
{
  Farewell *f = user_data;
  f->done_source = 0;
  f->done (f, f->user_data);
  return G_SOURCE_REMOVE;
}

static void
acted (ControlAction *action, void *user_data)
{
  Farewell *f = user_data;
  if (action->type == CONTROL_ACTION_SAVE) {
    /* There is no disk behind this identity any more. */
    ControlEvent saved
        = {.type = CONTROL_EVENT_SAVED, .saved = {.serial = action->save.serial, .ok = true}};
    control_io_input (f->control, &saved);
  } else if (action->type == CONTROL_ACTION_LOGGED_OUT && f->done_source == 0) {
    log_info (LOG_DOMAIN, "profile %s: %s", f->id,
              action->logged_out.server_told ? "signed out"
                                             : "the server could not be told of the sign-out");
    /* Not here: the control session is still on the stack. */
    f->done_source = g_idle_add (over, f);
  }
}

static void
feed (Farewell *f, ControlEventType type)
{
  ControlEvent event = {.type = type};
  control_io_input (f->control, &event);
}

static void
begin (Farewell *f, const Session *session, const LocalFacts *facts)
{
  ControlIdentity identity = {0};
  Hostinfo info;
  session_identity (session, &identity);
  ControlEvent start = {.type = CONTROL_EVENT_START, .start = {.identity = &identity}};
  control_io_input (f->control, &start);
  control_identity_clear (&identity);

  hostinfo_init (&info);
  info.hostname = facts->hostname;
  info.os = "linux";
  ControlEvent local = {.type = CONTROL_EVENT_LOCAL_STATE, .local_state = {.hostinfo = &info}};
  control_io_input (f->control, &local);
  feed (f, CONTROL_EVENT_RESUME);
  feed (f, CONTROL_EVENT_LOGOUT);
}

Farewell *
farewell_new (const Session *session, const MachinePrivate *machine_key, const LocalFacts *facts,
              Resolver *resolver, FarewellDone done, void *user_data)
{
  const Profile *profile = session_profile (session);
  const char *problem = NULL;
  ControlConfig config = {.server_url = profile->preferences.login_server,
                          .machine_key = *machine_key,
                          .client_version = facts->client_version};
  Control *control = profile_has_key (profile) && !profile->preferences.logged_out
                         ? control_new (&config, random_system (), &problem)
                         : NULL;
  sodium_memzero (&config, sizeof config);
  if (!control)
    return NULL;
  Farewell *f = g_new0 (Farewell, 1);
  ControlIoCallbacks callbacks = {.action = acted};
  f->id = g_strdup (profile->id);
  f->done = done;
  f->user_data = user_data;
  f->control = control_io_new (control, resolver, &callbacks, f);
  ProxySettings proxies = proxies_for (&profile->preferences);
  control_io_set_proxies (f->control, &proxies);
  begin (f, session, facts);
  return f;
}

void
farewell_free (Farewell *f)
{
  if (!f)
    return;
  g_clear_handle_id (&f->done_source, g_source_remove);
  control_io_free (f->control);
  g_free (f->id);
  g_free (f);
}
