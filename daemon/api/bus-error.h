/* The errors of the bus as a GError domain: org.warrenvpn.Daemon1.Error.* (spec/desktop.md §8.7).
 *
 * Messages are English, for logs; programs make their words from the name. Main thread. */
#pragma once

#include <gio/gio.h>

typedef enum
{
  BUS_ERROR_FAILED,
  BUS_ERROR_INVALID_ARGUMENT,
  BUS_ERROR_NOT_AUTHORIZED,
  BUS_ERROR_AUTH_DISMISSED,
  BUS_ERROR_NOT_FOUND,
  BUS_ERROR_WRONG_STATE,
  BUS_ERROR_LOCKED,
  BUS_ERROR_CONFLICT,
  BUS_ERROR_NEEDS_LOGIN,
  BUS_ERROR_KEY_EXPIRED,
  BUS_ERROR_NO_NETWORK,
  BUS_ERROR_SERVER_UNREACHABLE,
  BUS_ERROR_SERVER_REFUSED,
  BUS_ERROR_PEER_OFFLINE,
  BUS_ERROR_PEER_REFUSED,
  BUS_ERROR_TIMEOUT,
  BUS_ERROR_CANCELLED,
  BUS_ERROR_UNSUPPORTED,
  BUS_ERROR_BUSY,
  BUS_ERROR_LIMIT_EXCEEDED,
} BusError;

#define BUS_ERROR bus_error_quark ()
GQuark bus_error_quark (void);

/* Translates errors of the modules below into this domain; takes ERROR. */
GError *bus_error_from (GError *error);
