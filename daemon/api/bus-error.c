#include "api/bus-error.h"

#include "session/engine.h"

#define NAME(suffix) "org.warrenvpn.Daemon1.Error." suffix

static const GDBusErrorEntry entries[] = {
    {BUS_ERROR_FAILED, NAME ("Failed")},
    {BUS_ERROR_INVALID_ARGUMENT, NAME ("InvalidArgument")},
    {BUS_ERROR_NOT_AUTHORIZED, NAME ("NotAuthorized")},
    {BUS_ERROR_AUTH_DISMISSED, NAME ("AuthDismissed")},
    {BUS_ERROR_NOT_FOUND, NAME ("NotFound")},
    {BUS_ERROR_WRONG_STATE, NAME ("WrongState")},
    {BUS_ERROR_LOCKED, NAME ("Locked")},
    {BUS_ERROR_CONFLICT, NAME ("Conflict")},
    {BUS_ERROR_NEEDS_LOGIN, NAME ("NeedsLogin")},
    {BUS_ERROR_KEY_EXPIRED, NAME ("KeyExpired")},
    {BUS_ERROR_NO_NETWORK, NAME ("NoNetwork")},
    {BUS_ERROR_SERVER_UNREACHABLE, NAME ("ServerUnreachable")},
    {BUS_ERROR_SERVER_REFUSED, NAME ("ServerRefused")},
    {BUS_ERROR_PEER_OFFLINE, NAME ("PeerOffline")},
    {BUS_ERROR_PEER_REFUSED, NAME ("PeerRefused")},
    {BUS_ERROR_TIMEOUT, NAME ("Timeout")},
    {BUS_ERROR_CANCELLED, NAME ("Cancelled")},
    {BUS_ERROR_UNSUPPORTED, NAME ("Unsupported")},
    {BUS_ERROR_BUSY, NAME ("Busy")},
    {BUS_ERROR_LIMIT_EXCEEDED, NAME ("LimitExceeded")},
};

GQuark
bus_error_quark (void)
{
  static gsize quark;
  g_dbus_error_register_error_domain ("warren-bus-error-quark", &quark, entries,
                                      G_N_ELEMENTS (entries));
  return (GQuark)quark;
}

GError *
bus_error_from (GError *error)
{
  if (error->domain == BUS_ERROR)
    return error;
  int code = BUS_ERROR_FAILED;
  if (error->domain == ENGINE_ERROR) {
    static const int codes[] = {[ENGINE_ERROR_FAILED] = BUS_ERROR_FAILED,
                                [ENGINE_ERROR_WRONG_STATE] = BUS_ERROR_WRONG_STATE,
                                [ENGINE_ERROR_TIMEOUT] = BUS_ERROR_TIMEOUT,
                                [ENGINE_ERROR_BUSY] = BUS_ERROR_BUSY,
                                [ENGINE_ERROR_LIMIT] = BUS_ERROR_LIMIT_EXCEEDED};
    code = codes[error->code];
  } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT)) {
    code = BUS_ERROR_INVALID_ARGUMENT;
  }
  GError *out = g_error_new_literal (BUS_ERROR, code, error->message);
  g_error_free (error);
  return out;
}
