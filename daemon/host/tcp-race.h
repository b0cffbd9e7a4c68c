/* One TCP connection to a host with several addresses: happy eyeballs over marked sockets
 * (control-protocol.md §4.3, §4.4). Main thread. */
#pragma once

#include "base/ip.h"

#include <glib.h>

typedef struct TcpRace TcpRace;

/* Called once, unless the race is freed before: the connected socket (the caller's to close), or -1
 * and the errno of the failure that says most. */
typedef void (*TcpRaceDone) (int fd, int error, void *user_data);

/* ADDRESSES: GArray of IpAddr in the order to try; another one starts when one fails or after
 * 300 ms. DONE may be called before this returns only by way of the main loop, never inside. */
TcpRace *tcp_race_new (const GArray *addresses, uint16_t port, TcpRaceDone done, void *user_data);
void tcp_race_free (TcpRace *race);
