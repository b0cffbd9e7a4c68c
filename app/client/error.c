#include "client/error.h"

#include <glib/gi18n-lib.h>

#define PREFIX "org.warrenvpn.Daemon1.Error."

static const GDBusErrorEntry entries[] = {
    {WARREN_ERROR_FAILED, PREFIX "Failed"},
    {WARREN_ERROR_INVALID_ARGUMENT, PREFIX "InvalidArgument"},
    {WARREN_ERROR_NOT_AUTHORIZED, PREFIX "NotAuthorized"},
    {WARREN_ERROR_AUTH_DISMISSED, PREFIX "AuthDismissed"},
    {WARREN_ERROR_NOT_FOUND, PREFIX "NotFound"},
    {WARREN_ERROR_WRONG_STATE, PREFIX "WrongState"},
    {WARREN_ERROR_LOCKED, PREFIX "Locked"},
    {WARREN_ERROR_CONFLICT, PREFIX "Conflict"},
    {WARREN_ERROR_NEEDS_LOGIN, PREFIX "NeedsLogin"},
    {WARREN_ERROR_KEY_EXPIRED, PREFIX "KeyExpired"},
    {WARREN_ERROR_NO_NETWORK, PREFIX "NoNetwork"},
    {WARREN_ERROR_SERVER_UNREACHABLE, PREFIX "ServerUnreachable"},
    {WARREN_ERROR_SERVER_REFUSED, PREFIX "ServerRefused"},
    {WARREN_ERROR_PEER_OFFLINE, PREFIX "PeerOffline"},
    {WARREN_ERROR_PEER_REFUSED, PREFIX "PeerRefused"},
    {WARREN_ERROR_TIMEOUT, PREFIX "Timeout"},
    {WARREN_ERROR_CANCELLED, PREFIX "Cancelled"},
    {WARREN_ERROR_UNSUPPORTED, PREFIX "Unsupported"},
    {WARREN_ERROR_BUSY, PREFIX "Busy"},
    {WARREN_ERROR_LIMIT_EXCEEDED, PREFIX "LimitExceeded"},
};

GQuark
warren_error_quark (void)
{
  static gsize quark;

  g_dbus_error_register_error_domain ("warren-error-quark", &quark, entries,
                                      G_N_ELEMENTS (entries));
  return (GQuark)quark;
}

gboolean
warren_error_is_no_service (const GError *error)
{
  return g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY)
         || (error != NULL && error->domain == G_DBUS_ERROR
             && error->code >= G_DBUS_ERROR_SPAWN_EXEC_FAILED
             && error->code <= G_DBUS_ERROR_SPAWN_NO_MEMORY)
         || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

gboolean
warren_error_is_silent (const GError *error)
{
  return g_error_matches (error, WARREN_ERROR, WARREN_ERROR_AUTH_DISMISSED)
         || g_error_matches (error, WARREN_ERROR, WARREN_ERROR_CANCELLED)
         || g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static const char *
describe_own (int code)
{
  switch ((WarrenError)code) {
    case WARREN_ERROR_AUTH_DISMISSED:
      return _ ("The password dialog was closed.");
    case WARREN_ERROR_WRONG_STATE:
      return _ ("That is not possible now.");
    case WARREN_ERROR_LOCKED:
      return _ ("Your organisation has set this; it cannot be changed here.");
    case WARREN_ERROR_NEEDS_LOGIN:
      return _ ("Sign in first.");
    case WARREN_ERROR_KEY_EXPIRED:
      return _ ("The sign-in of this device has expired.");
    case WARREN_ERROR_NO_NETWORK:
      return _ ("This computer has no network.");
    case WARREN_ERROR_SERVER_UNREACHABLE:
      return _ ("The server cannot be reached.");
    case WARREN_ERROR_PEER_OFFLINE:
      return _ ("The device is offline.");
    case WARREN_ERROR_TIMEOUT:
      return _ ("No answer came in time.");
    case WARREN_ERROR_BUSY:
      return _ ("The service is busy; try again.");
    case WARREN_ERROR_UNSUPPORTED:
      return _ ("This service cannot do that.");
    case WARREN_ERROR_FAILED:
    case WARREN_ERROR_INVALID_ARGUMENT:
    case WARREN_ERROR_NOT_AUTHORIZED:
    case WARREN_ERROR_NOT_FOUND:
    case WARREN_ERROR_CONFLICT:
    case WARREN_ERROR_SERVER_REFUSED:
    case WARREN_ERROR_PEER_REFUSED:
    case WARREN_ERROR_CANCELLED:
    case WARREN_ERROR_LIMIT_EXCEEDED:
    default:
      return NULL; /* the daemon's own text says more */
  }
}

char *
warren_error_describe (const GError *error, const char *action)
{
  g_autoptr (GError) plain = g_error_copy (error);
  const char *own;

  if (warren_error_is_no_service (error))
    return g_strdup (_ ("The Warren service is not running."));
  if (g_error_matches (error, WARREN_ERROR, WARREN_ERROR_NOT_AUTHORIZED)) {
    if (action == NULL)
      return g_strdup (_ ("You may not do that. Members of the group “warren” may."));
    /* Translators: %s is a phrase such as "to connect" */
    return g_strdup_printf (_ ("You may not do that (%s). Members of the group “warren” may."),
                            action);
  }
  own = error->domain == WARREN_ERROR ? describe_own (error->code) : NULL;
  if (own != NULL)
    return g_strdup (own);
  g_dbus_error_strip_remote_error (plain);
  return g_strdup (plain->message);
}
