/* One daemon per network namespace: the abstract socket @warrend, which such a namespace has once.
 */
#pragma once

#include <stdbool.h>

/* Takes the lock for the life of the process. False when another process has it; *PID is its id
 * then (0 unknown), or -1 when the socket could not be made at all (errno). */
bool instance_lock (int *pid);
