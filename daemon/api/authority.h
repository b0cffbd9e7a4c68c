/* Asks polkit, on the bus that the daemon serves, whether a caller may do something.
 *
 * Root and the daemon's own user pass without a question; when nobody owns polkit's name everybody
 * else is refused (DESIGN, "The bus"; spec/desktop.md §8.6). Nothing is cached. Main thread. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum
{
  AUTHORITY_YES,
  AUTHORITY_ASK, /* a dialog would decide, and none was allowed */
  AUTHORITY_NO,
  AUTHORITY_DISMISSED, /* the user closed the dialog */
} AuthorityVerdict;

typedef struct Authority Authority;

/* CHANGED is called when rules or actions changed. */
Authority *authority_new (GDBusConnection *bus, void (*changed) (void *user_data), void *user_data);

/* Replies still under way are not made any more. */
void authority_free (Authority *authority);

/* The Unix user of the bus name SENDER. */
typedef void (*AuthorityUid) (bool known, uint32_t uid, void *user_data);
void
authority_caller (Authority *authority, const char *sender, AuthorityUid reply, void *user_data);

/* ACTION is a full action id. With INTERACTIVE a dialog may be shown, which takes as long as it
 * takes; it is withdrawn when SENDER leaves the bus. */
typedef void (*AuthorityReply) (AuthorityVerdict verdict, void *user_data);
void authority_check (Authority *authority, const char *sender, uint32_t uid, const char *action,
                      bool interactive, AuthorityReply reply, void *user_data);
