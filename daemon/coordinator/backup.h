/* A network as one file: a copy of the database while it is in use, with the keys and the
 * configuration that stand beside it as records of kind "file"; and back.
 *
 * Reads the database by a connection of its own, so that the server goes on meanwhile. A copy holds
 * secrets. Any thread. */
#pragma once

#include <stdbool.h>

/* Writes a copy of the network in DIR to the descriptor FD. False and *ERROR (malloc'd). */
bool backup_write (const char *dir, int fd, char **error);

/* Answers a command by a copy, on a thread of its own: FD (which becomes its) gets the exit code
 * and then the copy, or the reason. */
void backup_serve (const char *dir, int fd);

/* DIR becomes what FILE was; no server may run there. What was there before is kept in the folder
 * *ASIDE (malloc'd, NULL when there was nothing). A file that is damaged, of a newer version or no
 * copy changes nothing: false and *ERROR (malloc'd). */
bool backup_restore (const char *dir, const char *file, char **aside, char **error);
