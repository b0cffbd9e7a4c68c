/* What stands between the user and a connection, as one code that every program knows.
 *
 * spec/desktop.md §8.4; app/client holds the table code -> title, meaning, what to do. Main thread.
 */
#pragma once

#include "control/control.h"

#include <glib.h>

typedef enum
{
  PROBLEM_NONE,
  PROBLEM_SERVER_UNREACHABLE,
  PROBLEM_NOT_A_CONTROL_SERVER,
  PROBLEM_TLS_UNTRUSTED,
  PROBLEM_TLS_EXPIRED,
  PROBLEM_SERVER_KEY_CHANGED,
  PROBLEM_VERSION_REFUSED,
  PROBLEM_AUTH_KEY_INVALID,
  PROBLEM_AUTH_KEY_USED,
  PROBLEM_LOGIN_EXPIRED,
  PROBLEM_LOGIN_DENIED,
  PROBLEM_KEY_EXPIRED,
  PROBLEM_NODE_REMOVED,
  PROBLEM_LOCK_UNSUPPORTED,
  PROBLEM_TUN_UNAVAILABLE,
  PROBLEM_NOT_PERMITTED,
  PROBLEM_STATE_UNREADABLE,
  PROBLEM_DISK_FULL,
  PROBLEM_N_CODES,
} ProblemCode;

typedef struct
{
  ProblemCode code;
  char *text;      /* the server's own words, or what was tried; never NULL once set */
  bool retrying;   /* Warren goes on by itself */
  int64_t since_s; /* Unix time; a later problem always has a later one */
  int64_t last_s;  /* since_s of the one before */
} Problem;

/* "server-unreachable"; "" for none. */
const char *problem_code_name (ProblemCode code);

/* The code of what the control session found. */
ProblemCode problem_from_control (ControlProblem problem);

/* True when nothing may enter or leave the tunnel while the problem lasts. */
bool problem_is_fatal (ProblemCode code);

/* Sets or, with PROBLEM_NONE, clears. The time is kept while the code stays. True if changed. */
bool
problem_set (Problem *problem, ProblemCode code, const char *text, bool retrying, int64_t now_s);
void problem_clear (Problem *problem);
