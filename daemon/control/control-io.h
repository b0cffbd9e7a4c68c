/* The shell around the control session: names, TCP, proxies, TLS and the clock for control.h.
 *
 * Decides nothing: it carries out the dials, sends and closes that the core asks for, hands every
 * other action to its owner, and wakes the core when its deadline has come. Sockets are marked, so
 * that they bypass our own tunnel (control-protocol.md §4.3-§4.5). Main thread. */
#pragma once

#include "control/control.h"
#include "host/resolver.h"
#include "wire/proxy.h"

typedef struct ControlIo ControlIo;

typedef struct
{
  /* One action meant for session, borrowed during the call. May call control_io_input. */
  void (*action) (ControlAction *action, void *user_data);
} ControlIoCallbacks;

/* Takes CONTROL over; RESOLVER stays the caller's and must live longer. */
ControlIo *control_io_new (Control *control, Resolver *resolver,
                           const ControlIoCallbacks *callbacks, void *user_data);

/* Feeds the core and carries out what follows; sets event->wall. */
void control_io_input (ControlIo *io, ControlEvent *event);

/* The proxies from now on, copied; until then there are none. True when they are others than
 * before: what is connected goes another way. */
bool control_io_set_proxies (ControlIo *io, const ProxySettings *proxies);

/* The core, to be asked and not to be fed. */
const Control *control_io_core (const ControlIo *io);

void control_io_free (ControlIo *io);
