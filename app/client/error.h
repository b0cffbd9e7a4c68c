/* Errors of the daemon as a GError domain, and their words for a person. spec/desktop.md §8.7.
 *
 * Not the daemon's Problem (problem.h): an error answers one call, a problem lasts. */
#pragma once

#include <gio/gio.h>

typedef enum
{
  WARREN_ERROR_FAILED,
  WARREN_ERROR_INVALID_ARGUMENT,
  WARREN_ERROR_NOT_AUTHORIZED,
  WARREN_ERROR_AUTH_DISMISSED,
  WARREN_ERROR_NOT_FOUND,
  WARREN_ERROR_WRONG_STATE,
  WARREN_ERROR_LOCKED,
  WARREN_ERROR_CONFLICT,
  WARREN_ERROR_NEEDS_LOGIN,
  WARREN_ERROR_KEY_EXPIRED,
  WARREN_ERROR_NO_NETWORK,
  WARREN_ERROR_SERVER_UNREACHABLE,
  WARREN_ERROR_SERVER_REFUSED,
  WARREN_ERROR_PEER_OFFLINE,
  WARREN_ERROR_PEER_REFUSED,
  WARREN_ERROR_TIMEOUT,
  WARREN_ERROR_CANCELLED,
  WARREN_ERROR_UNSUPPORTED,
  WARREN_ERROR_BUSY,
  WARREN_ERROR_LIMIT_EXCEEDED,
} WarrenError;

#define WARREN_ERROR (warren_error_quark ())
GQuark warren_error_quark (void);

/* The daemon is not there: no owner of its name, or the bus could not start it. */
gboolean warren_error_is_no_service (const GError *error);

/* The user closed the password dialog or the call was cancelled: nothing is to be shown. */
gboolean warren_error_is_silent (const GError *error);

/* One translated sentence for a toast or a terminal; the server's own text where there is one.
 * ACTION is a translated noun phrase such as "to connect", or NULL. Free with g_free. */
char *warren_error_describe (const GError *error, const char *action);
