#include "client/ui-state.h"

#include "client/problem.h"

#include <glib/gi18n-lib.h>

#define ICON(shape) "org.warrenvpn.Warren-" shape "-symbolic"

G_DEFINE_BOXED_TYPE (WarrenUiState, warren_ui_state, warren_ui_state_copy, warren_ui_state_free)

static const struct
{
  const char *name;
  const char *icon;
  gboolean attention;
} kinds[] = {
    [WARREN_UI_DAEMON_MISSING] = {"daemon-missing", ICON ("off"), FALSE},
    [WARREN_UI_DAEMON_OLD] = {"daemon-old", ICON ("error"), TRUE},
    [WARREN_UI_FIRST_RUN] = {"first-run", ICON ("off"), FALSE},
    [WARREN_UI_IN_USE] = {"in-use", ICON ("off"), FALSE},
    [WARREN_UI_ERROR] = {"error", ICON ("error"), TRUE},
    [WARREN_UI_KEY_EXPIRED] = {"key-expired", ICON ("login"), TRUE},
    [WARREN_UI_WAITING_BROWSER] = {"waiting-browser", ICON ("login"), FALSE},
    [WARREN_UI_NEEDS_LOGIN] = {"needs-login", ICON ("login"), TRUE},
    [WARREN_UI_NEEDS_APPROVAL] = {"needs-approval", ICON ("login"), TRUE},
    [WARREN_UI_STOPPED] = {"stopped", ICON ("off"), FALSE},
    [WARREN_UI_NO_NETWORK] = {"no-network", ICON ("no-network"), FALSE},
    [WARREN_UI_CAPTIVE_PORTAL] = {"captive-portal", ICON ("login"), TRUE},
    [WARREN_UI_CONNECTING] = {"connecting", ICON ("connecting"), FALSE},
    [WARREN_UI_EXIT_UNREACHABLE] = {"exit-unreachable", ICON ("exit-off"), TRUE},
    [WARREN_UI_DEGRADED] = {"degraded", ICON ("warning"), FALSE},
    [WARREN_UI_EXIT_ACTIVE] = {"exit-active", ICON ("exit"), FALSE},
    [WARREN_UI_CONNECTED] = {"connected", ICON ("on"), FALSE},
};

/* Codes of the official health model and our own that say what a row of the table says. */
static const char *const states_as_warnings[] = {
    "captive-portal-detected", "exit-node-offline", "key-expired",       "login-state",
    "network-status",          "not-in-map-poll",   "wantrunning-false",
};

gboolean
warren_warning_is_a_state (const char *warning_code)
{
  for (gsize i = 0; i < G_N_ELEMENTS (states_as_warnings); i++)
    if (g_strcmp0 (warning_code, states_as_warnings[i]) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
has_text (const char *text)
{
  return text != NULL && *text != '\0';
}

static gboolean
has_problem (const WarrenFacts *f)
{
  return has_text (f->problem_code);
}

static gboolean
state_is (const WarrenFacts *f, const char *state)
{
  return g_strcmp0 (f->state, state) == 0;
}

static gboolean
key_is_expired (const WarrenFacts *f)
{
  return f->key_expiry > 0 && f->key_expiry <= f->now;
}

/* A sign-in that still holds and is being renewed needs no page of its own. */
static gboolean
waits_for_browser (const WarrenFacts *f)
{
  return f->login_pending && (!state_is (f, "running") || key_is_expired (f));
}

/* Nothing goes on by itself until the user does something. */
static gboolean
is_error (const WarrenFacts *f)
{
  return state_is (f, "error")
         || (f->warning.severity == WARREN_SEVERITY_HIGH
             && !warren_warning_is_a_state (f->warning.code));
}

static WarrenUiKind
derive_connected (const WarrenFacts *f)
{
  gboolean impaired = f->warning.severity != WARREN_SEVERITY_NONE && f->warning.impacts_connectivity
                      && !warren_warning_is_a_state (f->warning.code);

  if (f->exit_set && !f->exit_online)
    return WARREN_UI_EXIT_UNREACHABLE;
  if (impaired || has_problem (f))
    return WARREN_UI_DEGRADED;
  return f->exit_set ? WARREN_UI_EXIT_ACTIVE : WARREN_UI_CONNECTED;
}

static WarrenUiKind
derive_kind (const WarrenFacts *f)
{
  gboolean wanted = f->wanted || state_is (f, "running");

  if (!f->daemon_present)
    return WARREN_UI_DAEMON_MISSING;
  if (f->api_version < WARREN_API_VERSION_MIN)
    return WARREN_UI_DAEMON_OLD;
  if (!f->has_session)
    return WARREN_UI_FIRST_RUN;
  if (f->foreign)
    return WARREN_UI_IN_USE;
  /* A page that already waits says more than the reason why it is needed. */
  if (waits_for_browser (f))
    return WARREN_UI_WAITING_BROWSER;
  if (g_strcmp0 (f->problem_code, "key-expired") == 0)
    return WARREN_UI_KEY_EXPIRED;
  if (is_error (f))
    return WARREN_UI_ERROR;
  if (key_is_expired (f))
    return WARREN_UI_KEY_EXPIRED;
  if (state_is (f, "needs-login"))
    return WARREN_UI_NEEDS_LOGIN;
  if (state_is (f, "needs-approval"))
    return WARREN_UI_NEEDS_APPROVAL;
  if (!wanted)
    return WARREN_UI_STOPPED;
  if (!f->network_up)
    return WARREN_UI_NO_NETWORK;
  if (f->captive_portal)
    return WARREN_UI_CAPTIVE_PORTAL;
  return state_is (f, "running") ? derive_connected (f) : WARREN_UI_CONNECTING;
}

static const char *
network_or (const WarrenFacts *f, const char *otherwise)
{
  return has_text (f->network_name) ? f->network_name : otherwise;
}

static char *
connected_detail (const WarrenFacts *f)
{
  if (has_text (f->network_name) && has_text (f->address))
    return g_strdup_printf ("%s · %s", f->network_name, f->address);
  return g_strdup (has_text (f->address) ? f->address : network_or (f, ""));
}

static const char *
waiting_detail (const WarrenFacts *f)
{
  if (g_strcmp0 (f->waiting, "relay") == 0)
    return _ ("Waiting for a relay");
  if (g_strcmp0 (f->waiting, "netmap") == 0)
    return _ ("Waiting for the device list");
  return g_strcmp0 (f->waiting, "server") == 0 ? _ ("Waiting for the server") : "";
}

static void
set_texts (WarrenUiState *s, const char *headline, const char *detail)
{
  s->headline = g_strdup (headline);
  s->detail = g_strdup (detail);
}

static void
take_detail (WarrenUiState *s, const char *headline, char *detail)
{
  s->headline = g_strdup (headline);
  s->detail = detail;
}

static void
say_error (WarrenUiState *s, const WarrenFacts *f)
{
  if (has_problem (f) || !has_text (f->warning.title)) {
    s->headline = warren_problem_title (f->problem_code);
    s->detail = warren_problem_meaning (f->problem_code, f->server_host);
    return;
  }
  set_texts (s, f->warning.title, has_text (f->warning.text) ? f->warning.text : "");
}

static void
say_needs_login (WarrenUiState *s, const WarrenFacts *f)
{
  if (has_problem (f))
    take_detail (s, _ ("Sign In to Continue"),
                 warren_problem_meaning (f->problem_code, f->server_host));
  else
    set_texts (s, _ ("Sign In to Continue"), has_text (f->server_host) ? f->server_host : "");
}

static void
say_exit_active (WarrenUiState *s, const WarrenFacts *f)
{
  s->headline = g_strdup_printf (_ ("Connected via %s"),
                                 has_text (f->exit_name) ? f->exit_name : _ ("an Exit Node"));
  s->detail = connected_detail (f);
}

static void
say_before_session (WarrenUiState *s, const WarrenFacts *f)
{
  if (s->kind == WARREN_UI_DAEMON_MISSING)
    set_texts (s, _ ("Warren Service Is Not Running"),
               _ ("It will reconnect by itself when the service starts."));
  else if (s->kind == WARREN_UI_DAEMON_OLD)
    set_texts (s, _ ("Service Is Older Than This App"), _ ("Restart it to finish the update."));
  else if (s->kind == WARREN_UI_FIRST_RUN)
    set_texts (s, _ ("Welcome to Warren"), _ ("Connect your devices privately."));
  else
    take_detail (s, _ ("In Use by Another User"),
                 g_strdup_printf (_ ("%s is connected on this computer."),
                                  has_text (f->owner_name) ? f->owner_name : _ ("Somebody else")));
}

static void
say (WarrenUiState *s, const WarrenFacts *f)
{
  const char *network = network_or (f, _ ("The network"));

  switch (s->kind) {
    case WARREN_UI_DAEMON_MISSING:
    case WARREN_UI_DAEMON_OLD:
    case WARREN_UI_FIRST_RUN:
    case WARREN_UI_IN_USE:
      say_before_session (s, f);
      return;
    case WARREN_UI_ERROR:
      say_error (s, f);
      return;
    case WARREN_UI_KEY_EXPIRED:
      take_detail (s, _ ("Sign-In Expired"),
                   g_strdup_printf (_ ("%s asks you to sign in again."), network));
      return;
    case WARREN_UI_WAITING_BROWSER:
      set_texts (s, _ ("Waiting for Your Browser"), _ ("Finish signing in there."));
      return;
    case WARREN_UI_NEEDS_LOGIN:
      say_needs_login (s, f);
      return;
    case WARREN_UI_NEEDS_APPROVAL:
      take_detail (s, _ ("Waiting for Approval"),
                   g_strdup_printf (_ ("An administrator of %s must approve this device."),
                                    network_or (f, _ ("the network"))));
      return;
    case WARREN_UI_STOPPED:
      set_texts (s, _ ("Not Connected"), has_text (f->account) ? f->account : "");
      return;
    case WARREN_UI_NO_NETWORK:
      set_texts (s, _ ("No Network"), _ ("Warren connects when the network is back."));
      return;
    case WARREN_UI_CAPTIVE_PORTAL:
      set_texts (s, _ ("Network Sign-In Needed"),
                 _ ("This Wi-Fi wants you to open its page first."));
      return;
    case WARREN_UI_CONNECTING:
      if (has_problem (f))
        take_detail (s, _ ("Connecting…"),
                     warren_problem_meaning (f->problem_code, f->server_host));
      else
        set_texts (s, _ ("Connecting…"), waiting_detail (f));
      return;
    case WARREN_UI_EXIT_UNREACHABLE:
      set_texts (s, _ ("Exit Node Offline"),
                 _ ("Internet traffic is blocked so that nothing leaks."));
      return;
    case WARREN_UI_DEGRADED:
      if (has_problem (f))
        take_detail (s, _ ("Connected With Problems"), warren_problem_title (f->problem_code));
      else
        set_texts (s, _ ("Connected With Problems"),
                   has_text (f->warning.title) ? f->warning.title : "");
      return;
    case WARREN_UI_EXIT_ACTIVE:
      say_exit_active (s, f);
      return;
    case WARREN_UI_CONNECTED:
      take_detail (s, _ ("Connected"), connected_detail (f));
      return;
    default:
      g_assert_not_reached ();
  }
}

/* What the banner says: the problem in full, else the most severe warning. */
static void
say_notice (WarrenUiState *s, const WarrenFacts *f)
{
  if (s->kind < WARREN_UI_ERROR)
    return;
  if (has_problem (f)) {
    g_autofree char *meaning = warren_problem_meaning (f->problem_code, f->server_host);
    g_autofree char *advice = warren_problem_advice (f->problem_code, f->server_host);

    if (has_text (f->problem_text))
      s->notice = g_strdup_printf ("%s (“%s”) %s", meaning, f->problem_text, advice);
    else
      s->notice = g_strdup_printf ("%s %s", meaning, advice);
    return;
  }
  if (f->warning.severity < WARREN_SEVERITY_MEDIUM || !has_text (f->warning.title)
      || warren_warning_is_a_state (f->warning.code))
    return;
  if (has_text (f->warning.text))
    s->notice = g_strdup_printf ("%s. %s", f->warning.title, f->warning.text);
  else
    s->notice = g_strdup (f->warning.title);
  if (has_text (f->warning.action_url) && g_str_has_prefix (f->warning.action_url, "https:")) {
    s->notice_url = g_strdup (f->warning.action_url);
    s->notice_label = g_strdup (has_text (f->warning.action_label) ? f->warning.action_label
                                                                   : _ ("Learn More"));
  }
}

static WarrenUiAction
error_action (const WarrenFacts *f)
{
  const WarrenProblemInfo *info = warren_problem_info (f->problem_code);

  if (info != NULL && info->needs_sign_in)
    return WARREN_ACTION_SIGN_IN;
  if (!has_problem (f) && has_text (f->warning.action_url)
      && g_str_has_prefix (f->warning.action_url, "https:"))
    return WARREN_ACTION_OPEN_URL;
  return WARREN_ACTION_CONNECT;
}

static void
offer (WarrenUiState *s, const WarrenFacts *f)
{
  static const struct
  {
    WarrenUiAction primary, secondary;
  } offers[] = {
      [WARREN_UI_DAEMON_MISSING] = {WARREN_ACTION_START_SERVICE, WARREN_ACTION_NONE},
      [WARREN_UI_DAEMON_OLD] = {WARREN_ACTION_RESTART_SERVICE, WARREN_ACTION_NONE},
      [WARREN_UI_FIRST_RUN] = {WARREN_ACTION_SET_UP, WARREN_ACTION_NONE},
      [WARREN_UI_IN_USE] = {WARREN_ACTION_SWITCH_ACCOUNT, WARREN_ACTION_NONE},
      [WARREN_UI_ERROR] = {WARREN_ACTION_NONE, WARREN_ACTION_NONE},
      [WARREN_UI_KEY_EXPIRED] = {WARREN_ACTION_SIGN_IN, WARREN_ACTION_NONE},
      [WARREN_UI_WAITING_BROWSER] = {WARREN_ACTION_OPEN_LOGIN_PAGE, WARREN_ACTION_CANCEL_LOGIN},
      [WARREN_UI_NEEDS_LOGIN] = {WARREN_ACTION_SIGN_IN, WARREN_ACTION_NONE},
      [WARREN_UI_NEEDS_APPROVAL] = {WARREN_ACTION_NONE, WARREN_ACTION_NONE},
      [WARREN_UI_STOPPED] = {WARREN_ACTION_CONNECT, WARREN_ACTION_NONE},
      [WARREN_UI_NO_NETWORK] = {WARREN_ACTION_DISCONNECT, WARREN_ACTION_NONE},
      [WARREN_UI_CAPTIVE_PORTAL] = {WARREN_ACTION_OPEN_PORTAL, WARREN_ACTION_NONE},
      [WARREN_UI_CONNECTING] = {WARREN_ACTION_CANCEL, WARREN_ACTION_NONE},
      [WARREN_UI_EXIT_UNREACHABLE] = {WARREN_ACTION_CHOOSE_EXIT_NODE, WARREN_ACTION_STOP_EXIT_NODE},
      [WARREN_UI_DEGRADED] = {WARREN_ACTION_SHOW_DETAILS, WARREN_ACTION_NONE},
      [WARREN_UI_EXIT_ACTIVE] = {WARREN_ACTION_DISCONNECT, WARREN_ACTION_NONE},
      [WARREN_UI_CONNECTED] = {WARREN_ACTION_DISCONNECT, WARREN_ACTION_NONE},
  };

  s->primary = offers[s->kind].primary;
  s->secondary = offers[s->kind].secondary;
  if (s->kind == WARREN_UI_ERROR)
    s->primary = error_action (f);
  else if (s->kind == WARREN_UI_NEEDS_APPROVAL && has_text (f->approval_url))
    s->primary = WARREN_ACTION_OPEN_APPROVAL_PAGE;
}

WarrenUiState *
warren_ui_state_derive (const WarrenFacts *facts)
{
  WarrenUiState *s = g_new0 (WarrenUiState, 1);

  s->kind = derive_kind (facts);
  s->icon = kinds[s->kind].icon;
  s->attention = kinds[s->kind].attention;
  say (s, facts);
  say_notice (s, facts);
  offer (s, facts);
  return s;
}

WarrenUiState *
warren_ui_state_copy (const WarrenUiState *state)
{
  WarrenUiState *copy = g_memdup2 (state, sizeof *state);

  copy->headline = g_strdup (state->headline);
  copy->detail = g_strdup (state->detail);
  copy->notice = g_strdup (state->notice);
  copy->notice_label = g_strdup (state->notice_label);
  copy->notice_url = g_strdup (state->notice_url);
  return copy;
}

void
warren_ui_state_free (WarrenUiState *state)
{
  g_free (state->headline);
  g_free (state->detail);
  g_free (state->notice);
  g_free (state->notice_label);
  g_free (state->notice_url);
  g_free (state);
}

gboolean
warren_ui_state_equal (const WarrenUiState *a, const WarrenUiState *b)
{
  return a->kind == b->kind && a->primary == b->primary && a->secondary == b->secondary
         && g_str_equal (a->headline, b->headline) && g_str_equal (a->detail, b->detail)
         && g_strcmp0 (a->notice, b->notice) == 0
         && g_strcmp0 (a->notice_label, b->notice_label) == 0
         && g_strcmp0 (a->notice_url, b->notice_url) == 0;
}

gboolean
warren_ui_kind_is_connected (WarrenUiKind kind)
{
  return kind >= WARREN_UI_EXIT_UNREACHABLE;
}

gboolean
warren_ui_kind_needs_sign_in (WarrenUiKind kind)
{
  return kind >= WARREN_UI_KEY_EXPIRED && kind <= WARREN_UI_NEEDS_LOGIN;
}

const char *
warren_ui_kind_to_string (WarrenUiKind kind)
{
  return kinds[kind].name;
}

const char *
warren_ui_action_label (WarrenUiAction action)
{
  static const char *const labels[] = {
      [WARREN_ACTION_NONE] = "",
      [WARREN_ACTION_CONNECT] = N_ ("Connect"),
      [WARREN_ACTION_DISCONNECT] = N_ ("Disconnect"),
      [WARREN_ACTION_CANCEL] = N_ ("Cancel"),
      [WARREN_ACTION_SIGN_IN] = N_ ("Sign In…"),
      [WARREN_ACTION_OPEN_LOGIN_PAGE] = N_ ("Open Page Again"),
      [WARREN_ACTION_COPY_LOGIN_LINK] = N_ ("Copy Link"),
      [WARREN_ACTION_CANCEL_LOGIN] = N_ ("Cancel Sign-In"),
      [WARREN_ACTION_OPEN_APPROVAL_PAGE] = N_ ("Open Admin Page"),
      [WARREN_ACTION_SET_UP] = N_ ("Set Up…"),
      [WARREN_ACTION_START_SERVICE] = N_ ("Start Service"),
      [WARREN_ACTION_RESTART_SERVICE] = N_ ("Restart Service"),
      [WARREN_ACTION_SWITCH_ACCOUNT] = N_ ("Switch Account…"),
      [WARREN_ACTION_OPEN_PORTAL] = N_ ("Open Network Page"),
      [WARREN_ACTION_CHOOSE_EXIT_NODE] = N_ ("Choose Another…"),
      [WARREN_ACTION_STOP_EXIT_NODE] = N_ ("Stop Using Exit Node"),
      [WARREN_ACTION_SHOW_DETAILS] = N_ ("Show Details"),
      [WARREN_ACTION_OPEN_URL] = N_ ("Learn More"),
      [WARREN_ACTION_REVIEW_DEVICES] = N_ ("Review Devices…"),
  };

  return action == WARREN_ACTION_NONE ? "" : _ (labels[action]);
}
