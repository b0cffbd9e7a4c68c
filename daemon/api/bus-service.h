/* The engine on the bus: org.warrenvpn.Daemon1 and the objects below it (spec/desktop.md §8).
 *
 * One object per interface; each method call is authorised (api/access, api/authority) before its
 * handler runs. Main thread. */
#pragma once

#include "session/engine.h"

#include <gio/gio.h>

#define BUS_NAME "org.warrenvpn.Daemon1"
#define BUS_PATH "/org/warrenvpn/Daemon1"

typedef struct BusService BusService;

typedef struct
{
  const char *state_dir;
  const char *coordinator; /* the program that runs private networks */
} BusServiceOptions;

/* Exports everything on BUS; the caller owns the name afterwards, so that nobody sees half of it.
 */
BusService *
bus_service_new (Engine *engine, GDBusConnection *bus, const BusServiceOptions *options);
void bus_service_free (BusService *service);
