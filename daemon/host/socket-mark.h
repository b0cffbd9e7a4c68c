/* Keeps our own sockets out of our own tunnel (spec/linux-host.md §2.4).
 *
 * Every socket towards the outside world gets the bypass mark before connect or bind; sockets
 * towards tailnet addresses must not. Any thread. */
#pragma once

#include <stdbool.h>

/* Marks FD; where marks are not permitted binds it to the default-route device instead. False (with
 * errno) when neither is possible: such a socket must not be used while the tunnel is up. */
bool socket_mark (int fd);
