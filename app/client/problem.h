/* The one table from a problem's code to words: what happened, what it means, what to do, and the
 * exit code of the command line. spec/desktop.md §8.4 (Problem).
 *
 * Not the problem itself (session.h carries that), and no policy about when it is shown. Any thread
 * after setlocale. */
#pragma once

#include <glib.h>

/* Exit codes of `warren`; 0, 1 and 2 are those of the official command. */
typedef enum
{
  WARREN_EXIT_OK = 0,
  WARREN_EXIT_FAILED = 1,
  WARREN_EXIT_USAGE = 2,
  WARREN_EXIT_NO_SERVICE = 3,     /* the daemon does not run and cannot be started */
  WARREN_EXIT_SERVER = 4,         /* the coordination server cannot be used */
  WARREN_EXIT_SIGN_IN = 5,        /* signing in is needed or was refused */
  WARREN_EXIT_HOST = 6,           /* this computer lacks something */
  WARREN_EXIT_NOT_AUTHORIZED = 7, /* this user may not do it */
} WarrenExitCode;

typedef struct
{
  const char *code;
  const char *title;   /* header capitalisation */
  const char *meaning; /* a sentence; may contain {server} */
  const char *advice;  /* a sentence that says what to do; may contain {server} */
  WarrenExitCode exit_code;
  gboolean needs_sign_in; /* signing in again is the cure */
} WarrenProblemInfo;

/* The row of CODE with untranslated texts, or NULL for a code that is newer than this program. */
const WarrenProblemInfo *warren_problem_info (const char *code);

/* All rows, ended by one whose code is NULL. */
const WarrenProblemInfo *warren_problem_table (void);

/* Translated texts; SERVER (a host name, may be NULL) goes where the sentence speaks of the server.
 * An unknown CODE gives a general text. Free with g_free. */
char *warren_problem_title (const char *code);
char *warren_problem_meaning (const char *code, const char *server);
char *warren_problem_advice (const char *code, const char *server);
