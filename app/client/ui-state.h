/* The one pure function from what the daemon says to what a person sees: tray, window,
 * notifications and the terminal all show its result. spec/desktop.md §5.2.
 *
 * Not the place that knows the bus (client.h fills the facts) and not a view. Main thread. */
#pragma once

#include <gio/gio.h>

/* In the order of the table in §5.2: the first one that fits wins. */
typedef enum
{
  WARREN_UI_DAEMON_MISSING,
  WARREN_UI_DAEMON_OLD,
  WARREN_UI_FIRST_RUN,
  WARREN_UI_IN_USE,
  WARREN_UI_ERROR,
  WARREN_UI_KEY_EXPIRED,
  WARREN_UI_WAITING_BROWSER,
  WARREN_UI_NEEDS_LOGIN,
  WARREN_UI_NEEDS_APPROVAL,
  WARREN_UI_STOPPED,
  WARREN_UI_NO_NETWORK,
  WARREN_UI_CAPTIVE_PORTAL,
  WARREN_UI_CONNECTING,
  WARREN_UI_EXIT_UNREACHABLE,
  WARREN_UI_DEGRADED,
  WARREN_UI_EXIT_ACTIVE,
  WARREN_UI_CONNECTED,
} WarrenUiKind;

/* What a click may do; the view knows how. */
typedef enum
{
  WARREN_ACTION_NONE,
  WARREN_ACTION_CONNECT,
  WARREN_ACTION_DISCONNECT,
  WARREN_ACTION_CANCEL, /* stop connecting: the same call as DISCONNECT */
  WARREN_ACTION_SIGN_IN,
  WARREN_ACTION_OPEN_LOGIN_PAGE,
  WARREN_ACTION_COPY_LOGIN_LINK,
  WARREN_ACTION_CANCEL_LOGIN,
  WARREN_ACTION_OPEN_APPROVAL_PAGE,
  WARREN_ACTION_SET_UP,
  WARREN_ACTION_START_SERVICE,
  WARREN_ACTION_RESTART_SERVICE,
  WARREN_ACTION_SWITCH_ACCOUNT,
  WARREN_ACTION_OPEN_PORTAL,
  WARREN_ACTION_CHOOSE_EXIT_NODE,
  WARREN_ACTION_STOP_EXIT_NODE,
  WARREN_ACTION_SHOW_DETAILS,
  WARREN_ACTION_OPEN_URL,       /* of the warning */
  WARREN_ACTION_REVIEW_DEVICES, /* that wait to join this computer's network */
} WarrenUiAction;

typedef enum
{
  WARREN_SEVERITY_NONE,
  WARREN_SEVERITY_LOW,
  WARREN_SEVERITY_MEDIUM,
  WARREN_SEVERITY_HIGH,
} WarrenSeverity;

/* The most severe warning that is not a row of the table by itself. */
typedef struct
{
  WarrenSeverity severity; /* NONE: there is no warning */
  gboolean impacts_connectivity;
  const char *code;
  const char *title;
  const char *text;
  const char *action_label; /* or NULL */
  const char *action_url;   /* https, or NULL */
} WarrenWarning;

/* Everything the function may look at; strings are borrowed and may be NULL. */
typedef struct
{
  gboolean daemon_present;
  guint api_version;
  gboolean has_session;
  gboolean foreign;       /* belongs to another user, and the caller has no right to it */
  const char *owner_name; /* of that user */
  const char *state;      /* §8.4 */
  const char *waiting;    /* "server", "relay", "netmap" or "" */
  gboolean wanted;
  gboolean login_pending;
  gint64 key_expiry; /* Unix seconds, 0 = none */
  gint64 now;        /* Unix seconds */
  gboolean network_up;
  gboolean captive_portal;
  const char *network_name; /* tailnet, else the server's host name */
  const char *server_host;
  const char *account; /* login name, else label */
  const char *address; /* own first address */
  const char *approval_url;
  const char *problem_code;
  const char *problem_text; /* the server's own words */
  WarrenWarning warning;
  gboolean exit_set;
  gboolean exit_online;
  const char *exit_name; /* what a person calls it: place, else name */
} WarrenFacts;

typedef struct
{
  WarrenUiKind kind;
  const char *icon;   /* full icon name, static */
  gboolean attention; /* SNI NeedsAttention */
  char *headline;     /* translated */
  char *detail;       /* translated second line, "" if there is none */
  char *notice;       /* what is wrong and what to do, one or two sentences, or NULL */
  char *notice_label; /* button text for notice_url, or NULL */
  char *notice_url;   /* https, or NULL */
  WarrenUiAction primary;
  WarrenUiAction secondary;
} WarrenUiState;

#define WARREN_TYPE_UI_STATE (warren_ui_state_get_type ())
GType warren_ui_state_get_type (void);

/* Lowest ApiVersion of the daemon that this program works with. */
#define WARREN_API_VERSION_MIN 1

/* A new state; free with warren_ui_state_free. */
WarrenUiState *warren_ui_state_derive (const WarrenFacts *facts);
WarrenUiState *warren_ui_state_copy (const WarrenUiState *state);
void warren_ui_state_free (WarrenUiState *state);
gboolean warren_ui_state_equal (const WarrenUiState *a, const WarrenUiState *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (WarrenUiState, warren_ui_state_free)

/* States 14 to 17: traffic of the network flows. */
gboolean warren_ui_kind_is_connected (WarrenUiKind kind);

/* Nothing but signing in (again) helps: states 6 to 8. */
gboolean warren_ui_kind_needs_sign_in (WarrenUiKind kind);

/* A stable word such as "waiting-browser", for tests and logs. */
const char *warren_ui_kind_to_string (WarrenUiKind kind);

/* The translated label of ACTION in header capitalisation. Static. */
const char *warren_ui_action_label (WarrenUiAction action);

/* Whether WARNING_CODE says the same as a row of the table, which then needs no second voice. */
gboolean warren_warning_is_a_state (const char *warning_code);
