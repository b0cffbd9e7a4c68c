/* The states of a session and the one table that chooses among them (spec/local-services.md §1.3).
 *
 * Pure. The names on the bus are those of spec/desktop.md §8.4, those of the official Status
 * document come from session_state_official. */
#pragma once

#include <stdbool.h>

typedef enum
{
  SESSION_STOPPED,
  SESSION_STARTING,
  SESSION_NEEDS_LOGIN,
  SESSION_NEEDS_APPROVAL,
  SESSION_RUNNING,
  SESSION_ERROR, /* something of this computer or of the tailnet makes it impossible */
} SessionState;

/* Everything that the next state depends on. */
typedef struct
{
  SessionState previous;
  bool wanted;
  bool logged_out;
  bool have_key;
  bool have_netmap; /* a map with a self node that belongs to this login */
  bool login_stuck; /* the control session waits for a person */
  bool logging_in;  /* a login is on its way and needs nobody now */
  bool expired;     /* own key, by the server's clock */
  bool authorized;  /* own node, by an administrator */
  bool live;        /* a relay or a peer answers */
  bool fatal;       /* problem_is_fatal */
} SessionInputs;

SessionState session_next_state (const SessionInputs *in);

/* "needs-login". */
const char *session_state_name (SessionState state);

/* "NeedsLogin". */
const char *session_state_official (SessionState state);
