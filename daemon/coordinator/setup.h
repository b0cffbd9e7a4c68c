/* The life of a network around its server: made, waited for, forgotten.
 *
 * A network that was made by a command keeps what was said of it in DIR/coordinator.conf, which
 * `serve --data-dir DIR` reads by itself. Main thread, before and after server_run. */
#pragma once

#include "coordinator/config.h"
#include "wire/buffer.h"

#define SETUP_CONFIG_NAME "coordinator.conf"

/* Makes a network in DIR as WORDS ("--name=home", "--url=…") say; what they leave out is chosen:
 * the address of this computer that leads to others, ports 8080, 8443 and 3478 or the next free
 * ones, and a relay at the same host. What to say about it goes to OUT. An exit code. */
int setup_create (const char *dir, const char *const *words, size_t n, Buffer *out);

/* Answers on the command socket until a network has been made there. 1: it has; 0: it was told to
 * stop; -1 after an error told on stderr. */
int setup_wait (const ServerOptions *options);

/* Removes everything that the network of DIR was. */
void setup_forget (const char *dir);
