/* One connection of the control session, from a name to plaintext bytes: resolver, TCP race, proxy,
 * TLS (control-protocol.md §4.3-§4.5). Tells what happens as control events. Main thread. */
#pragma once

#include "control/control.h"
#include "wire/proxy.h"
#include "host/resolver.h"
#include "wire/tls.h"

typedef struct Connection Connection;

/* Takes events of the connection; it may free the connection. */
typedef void (*ConnectionEvent) (ControlEvent *event, void *user_data);

/* Carries out ACTION (a CONTROL_ACTION_DIAL). TLS is borrowed and must live longer. */
Connection *connection_new (const ControlAction *action, Resolver *resolver, TlsContext *tls,
                            const ProxySettings *proxies, ConnectionEvent event, void *user_data);

void connection_send (Connection *connection, const uint8_t *data, size_t size);

/* No event comes afterwards. */
void connection_free (Connection *connection);
