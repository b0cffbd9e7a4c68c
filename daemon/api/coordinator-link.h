/* The coordinator of this computer's private network, as the daemon reaches it: a command on its
 * socket (wire/command.h), and its process, started by its systemd unit or, where there is none, as
 * a child without capabilities (DESIGN, "The coordinator").
 *
 * Knows nothing of what a network is. Asynchronous; main thread. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#define COORDINATOR_UNIT   "warren-coordinator.service"
#define COORDINATOR_SOCKET "/run/warren-coordinator/control.sock" /* of the unit */

typedef struct CoordinatorLink CoordinatorLink;

/* PROGRAM is warren-coordinator; DIR is where a child keeps its data. */
CoordinatorLink *coordinator_link_new (GDBusConnection *bus, const char *program, const char *dir);

/* Ends a child. Calls under way are answered as cancelled. */
void coordinator_link_free (CoordinatorLink *link);

/* The program is there. */
bool coordinator_link_is_installed (CoordinatorLink *link);

/* A child runs, or has not ended yet. */
bool coordinator_link_has_child (CoordinatorLink *link);

/* CODE is the command's exit code with TEXT (valid UTF-8), or -1 with ERROR when nobody answered:
 * G_IO_ERROR, also CANCELLED. Both are borrowed. */
typedef void (*CoordinatorAnswer) (int code, const char *text, const GError *error,
                                   void *user_data);

/* WORDS is NULL-ended, INPUT may be NULL. */
void coordinator_link_run (CoordinatorLink *link, const char *const *words, const char *input,
                           CoordinatorAnswer answer, void *user_data);

/* The process runs and its socket answers, though perhaps without a network: CODE 0, or -1 with
 * ERROR. */
void coordinator_link_start (CoordinatorLink *link, CoordinatorAnswer answer, void *user_data);

/* Sends WORDS and hands over the rest of the answer: a descriptor that ends with it. */
typedef void (*CoordinatorStream) (int fd, const GError *error, void *user_data);
void coordinator_link_open (CoordinatorLink *link, const char *const *words,
                            CoordinatorStream stream, void *user_data);
