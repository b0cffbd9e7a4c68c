#include "api/call.h"

#include "api/network-object.h"

#include "base/log.h"

#include <gio/gunixfdlist.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  BusService *service;
  SessionObject *object;
  const AccessRow *access;
  CallHandler run;
} CallSite;

static void
call_free (Call *call)
{
  g_hash_table_remove (call->service->calls, call);
  g_free (call);
}

/* What a call changed is announced before its answer, so that a client that waited for the answer
 * has seen it. */
static void
announce_first (Call *call)
{
  g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (call->service->manager));
  network_object_flush (call->service->network);
  GHashTableIter iter;
  SessionObject *object;
  g_hash_table_iter_init (&iter, call->service->sessions);
  while (g_hash_table_iter_next (&iter, NULL, (void **)&object))
    g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (object->bus_session));
}

void
call_return (Call *call, GVariant *value)
{
  announce_first (call);
  g_dbus_method_invocation_return_value (call->invocation, value);
  call_free (call);
}

void
call_return_fd (Call *call, int fd)
{
  g_autoptr (GUnixFDList) fds = g_unix_fd_list_new_from_array (&fd, 1);
  g_dbus_method_invocation_return_value_with_unix_fd_list (call->invocation,
                                                           g_variant_new ("(h)", 0), fds);
  call_free (call);
}

void
call_fail_error (Call *call, GError *error)
{
  announce_first (call);
  g_dbus_method_invocation_take_error (call->invocation, bus_error_from (error));
  call_free (call);
}

void
call_fail (Call *call, BusError code, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  GError *error = g_error_new_valist (BUS_ERROR, (int)code, format, args);
  va_end (args);
  call_fail_error (call, error);
}

SessionObject *
call_session_at (BusService *service, const char *path)
{
  if (!g_str_has_prefix (path, OBJECT_PATH_SESSION))
    return NULL;
  Session *session = engine_session (service->engine, path + strlen (OBJECT_PATH_SESSION));
  return session ? g_hash_table_lookup (service->sessions, session) : NULL;
}

SessionObject *
call_subject (Call *call)
{
  if (call->on_object)
    return call->object;
  Session *active = engine_active_session (call->service->engine);
  return active ? g_hash_table_lookup (call->service->sessions, active) : NULL;
}

void
calls_forget_object (BusService *service, SessionObject *object)
{
  GHashTableIter iter;
  Call *call;
  g_hash_table_iter_init (&iter, service->calls);
  while (g_hash_table_iter_next (&iter, (void **)&call, NULL))
    if (call->object == object)
      call->object = NULL;
}

void
calls_drop_all (BusService *service)
{
  GHashTableIter iter;
  Call *call;
  g_hash_table_iter_init (&iter, service->calls);
  while (g_hash_table_iter_next (&iter, (void **)&call, NULL)) {
    g_hash_table_iter_steal (&iter);
    g_dbus_method_invocation_return_error_literal (call->invocation, BUS_ERROR, BUS_ERROR_CANCELLED,
                                                   "Warren stops");
    g_free (call);
  }
}

/* --- Authorisation --------------------------------------------------------------------------- */

static void
run (Call *call)
{
  if (call->on_object && !call->object)
    call_fail (call, BUS_ERROR_NOT_FOUND, "the session has been removed");
  else
    call->run (call);
}

static void
authorised (AuthorityVerdict verdict, void *user_data)
{
  Call *call = user_data;
  switch (verdict) {
    case AUTHORITY_YES:
      run (call);
      return;
    case AUTHORITY_DISMISSED:
      call_fail (call, BUS_ERROR_AUTH_DISMISSED, "the authentication dialog was dismissed");
      return;
    case AUTHORITY_ASK:
    case AUTHORITY_NO:
      call_fail (call, BUS_ERROR_NOT_AUTHORIZED, "%s is not allowed to this user",
                 call->access->method);
      return;
  }
}

/* The owner of what the call changes. Making or taking up a session also puts the active one
 * away, so that one's owner counts where it is another user. */
static uint32_t
owner_of (Call *call)
{
  if (!call->access->on_session)
    return 0;
  if (call->object)
    return session_profile (call->object->session)->owner_uid;
  Session *active = engine_active_session (call->service->engine);
  uint32_t owner = active ? session_profile (active)->owner_uid : 0;
  if (owner != 0 && owner != call->uid && strcmp (call->access->method, "RemoveSession") != 0)
    return owner;
  if (!g_variant_is_of_type (call->params, G_VARIANT_TYPE ("(o)")))
    return 0;
  const char *path;
  g_variant_get (call->params, "(&o)", &path);
  SessionObject *object = call_session_at (call->service, path);
  return object ? session_profile (object->session)->owner_uid : 0;
}

static void
caller_known (bool known, uint32_t uid, void *user_data)
{
  Call *call = user_data;
  if (!known) {
    call_fail (call, BUS_ERROR_NOT_AUTHORIZED, "the caller is unknown");
    return;
  }
  call->uid = uid;
  const char *action = access_decide (call->access, uid, owner_of (call), call->params);
  if (!action) {
    run (call);
    return;
  }
  g_autofree char *full = g_strconcat (ACCESS_ACTION_PREFIX, action, NULL);
  authority_check (call->service->authority, call->sender, uid, full, call->interactive, authorised,
                   call);
}

/* --- Arrival --------------------------------------------------------------------------------- */

static unsigned
calls_of (BusService *service, const char *sender)
{
  unsigned n = 0;
  GHashTableIter iter;
  Call *call;
  g_hash_table_iter_init (&iter, service->calls);
  while (g_hash_table_iter_next (&iter, (void **)&call, NULL))
    n += strcmp (call->sender, sender) == 0;
  return n;
}

static void
arrived (CallSite *site, GDBusMethodInvocation *invocation)
{
  const char *sender = g_dbus_method_invocation_get_sender (invocation);
  GVariant *params = g_dbus_method_invocation_get_parameters (invocation);
  if (!sender || g_variant_get_size (params) > CALL_PARAMS_MAX) {
    g_dbus_method_invocation_return_error_literal (invocation, BUS_ERROR, BUS_ERROR_LIMIT_EXCEEDED,
                                                   "the arguments are too large");
    return;
  }
  if (calls_of (site->service, sender) >= CALLS_PER_CLIENT) {
    g_dbus_method_invocation_return_error_literal (invocation, BUS_ERROR, BUS_ERROR_BUSY,
                                                   "too many calls are under way");
    return;
  }
  GDBusMessage *message = g_dbus_method_invocation_get_message (invocation);
  Call *call = g_new0 (Call, 1);
  call->service = site->service;
  call->object = site->object;
  call->on_object = site->object != NULL;
  call->invocation = invocation;
  call->params = params;
  call->sender = sender;
  call->interactive
      = g_dbus_message_get_flags (message) & G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION;
  call->access = site->access;
  call->run = site->run;
  g_hash_table_add (site->service->calls, call);
  log_debug ("api", "%s.%s from %s", site->access->interface, site->access->method, sender);
  authority_caller (site->service->authority, sender, caller_known, call);
}

/* Every "handle-…" signal has the skeleton and the invocation first, so one marshaller does for
 * all. */
static void
marshal (GClosure *closure, GValue *result, guint n_values, const GValue *values, void *hint,
         void *data)
{
  arrived (closure->data, g_value_get_object (&values[1]));
  g_value_set_boolean (result, TRUE);
}

static void
site_free (void *data, GClosure *closure)
{
  g_free (data);
}

/* "GetLoginUrl" -> "handle-get-login-url" */
static char *
signal_name (const char *method)
{
  GString *name = g_string_new ("handle");
  for (const char *c = method; *c; c++) {
    bool starts_word = g_ascii_isupper (*c) && (c == method || !g_ascii_isupper (c[-1]));
    if (starts_word)
      g_string_append_c (name, '-');
    g_string_append_c (name, g_ascii_tolower (*c));
  }
  return g_string_free (name, FALSE);
}

void
call_connect (BusService *service, SessionObject *object, GDBusInterfaceSkeleton *skeleton,
              const char *interface, const CallRow *rows, size_t n_rows)
{
  for (size_t i = 0; i < n_rows; i++) {
    CallSite *site = g_new0 (CallSite, 1);
    site->service = service;
    site->object = object;
    site->access = access_find (interface, rows[i].method);
    site->run = rows[i].run;
    g_assert (site->access);
    GClosure *closure = g_closure_new_simple (sizeof *closure, site);
    g_closure_add_finalize_notifier (closure, site, site_free);
    g_closure_set_marshal (closure, marshal);
    g_autofree char *name = signal_name (rows[i].method);
    gulong id = g_signal_connect_closure (skeleton, name, closure, FALSE);
    g_assert (id != 0);
  }
}
