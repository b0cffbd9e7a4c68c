/* Addresses of the network's own servers, for clients whose name servers fail: what the relay
 * answers to /bootstrap-dns (spec/derp.md §3.7).
 *
 * A table of few names that is made anew now and then by a thread of its own, so that asking costs
 * nothing and no name of the asker's is ever looked up. */
#pragma once

#include "wire/buffer.h"

typedef struct RelayNames RelayNames;

/* NAMES: copied, ends with NULL; addresses among them need no table and are left out. Begins to
 * look them up. */
RelayNames *relay_names_new (const char *const *names);

/* A look-up under way ends by itself. */
void relay_names_free (RelayNames *names);

/* Appends the table as JSON, an object of names and their addresses. Any thread. NAMES may be NULL:
 * an empty one. */
void relay_names_write (RelayNames *names, Buffer *out);
