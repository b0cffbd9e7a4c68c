#include "tray/x11-selection.h"

#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <xcb/xcb.h>

enum
{
  ATOM_CLIPBOARD,
  ATOM_TARGETS,
  ATOM_UTF8_STRING,
  ATOM_TEXT_PLAIN_UTF8,
  ATOM_TEXT_PLAIN,
  N_ATOMS,
};

static const char *const atom_names[N_ATOMS]
    = {"CLIPBOARD", "TARGETS", "UTF8_STRING", "text/plain;charset=utf-8", "text/plain"};

struct _X11Selection
{
  xcb_connection_t *connection;
  xcb_window_t window;
  xcb_atom_t atoms[N_ATOMS];
  guint source;
  char *text;
};

static void
write_property (X11Selection *s, const xcb_selection_request_event_t *request, xcb_atom_t property)
{
  if (request->target == s->atoms[ATOM_TARGETS])
    xcb_change_property (s->connection, XCB_PROP_MODE_REPLACE, request->requestor, property,
                         XCB_ATOM_ATOM, 32, N_ATOMS - ATOM_TARGETS, &s->atoms[ATOM_TARGETS]);
  else
    xcb_change_property (s->connection, XCB_PROP_MODE_REPLACE, request->requestor, property,
                         request->target, 8, strlen (s->text), s->text);
}

static gboolean
is_offered (X11Selection *s, xcb_atom_t target)
{
  for (guint i = ATOM_TARGETS; i < N_ATOMS; i++)
    if (target == s->atoms[i])
      return s->text != NULL;
  return FALSE;
}

static void
answer (X11Selection *s, const xcb_selection_request_event_t *request)
{
  /* The event that is sent is always 32 bytes long. */
  union
  {
    xcb_selection_notify_event_t notify;
    char bytes[32];
  } event = {.notify = {.response_type = XCB_SELECTION_NOTIFY,
                        .time = request->time,
                        .requestor = request->requestor,
                        .selection = request->selection,
                        .target = request->target,
                        .property = XCB_ATOM_NONE}};

  if (is_offered (s, request->target)) {
    event.notify.property
        = request->property != XCB_ATOM_NONE ? request->property : request->target;
    write_property (s, request, event.notify.property);
  }
  xcb_send_event (s->connection, FALSE, request->requestor, XCB_EVENT_MASK_NO_EVENT, event.bytes);
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer data)
{
  X11Selection *s = data;
  xcb_generic_event_t *event;

  while ((event = xcb_poll_for_event (s->connection)) != NULL) {
    int type = event->response_type & 0x7f;

    if (type == XCB_SELECTION_REQUEST)
      answer (s, (const xcb_selection_request_event_t *)event);
    else if (type == XCB_SELECTION_CLEAR)
      g_clear_pointer (&s->text, g_free);
    free (event);
  }
  xcb_flush (s->connection);
  if (xcb_connection_has_error (s->connection) == 0)
    return G_SOURCE_CONTINUE;
  s->source = 0;
  return G_SOURCE_REMOVE;
}

static void
intern_atoms (X11Selection *s)
{
  xcb_intern_atom_cookie_t cookies[N_ATOMS];

  for (guint i = 0; i < N_ATOMS; i++)
    cookies[i] = xcb_intern_atom (s->connection, FALSE, strlen (atom_names[i]), atom_names[i]);
  for (guint i = 0; i < N_ATOMS; i++) {
    xcb_intern_atom_reply_t *reply = xcb_intern_atom_reply (s->connection, cookies[i], NULL);

    s->atoms[i] = reply != NULL ? reply->atom : XCB_ATOM_NONE;
    free (reply);
  }
}

X11Selection *
x11_selection_new (void)
{
  int number;
  xcb_connection_t *connection;
  const xcb_screen_t *screen;
  X11Selection *s;

  if (g_getenv ("DISPLAY") == NULL)
    return NULL;
  connection = xcb_connect (NULL, &number);
  if (xcb_connection_has_error (connection)) {
    xcb_disconnect (connection);
    return NULL;
  }
  screen = xcb_setup_roots_iterator (xcb_get_setup (connection)).data;
  s = g_new0 (X11Selection, 1);
  s->connection = connection;
  s->window = xcb_generate_id (connection);
  xcb_create_window (connection, XCB_COPY_FROM_PARENT, s->window, screen->root, -1, -1, 1, 1, 0,
                     XCB_WINDOW_CLASS_INPUT_ONLY, XCB_COPY_FROM_PARENT, 0, NULL);
  intern_atoms (s);
  xcb_flush (connection);
  s->source
      = g_unix_fd_add (xcb_get_file_descriptor (connection), G_IO_IN | G_IO_HUP, on_readable, s);
  return s;
}

void
x11_selection_free (X11Selection *s)
{
  g_clear_handle_id (&s->source, g_source_remove);
  xcb_disconnect (s->connection);
  g_free (s->text);
  g_free (s);
}

gboolean
x11_selection_set_text (X11Selection *s, const char *text)
{
  if (xcb_connection_has_error (s->connection))
    return FALSE;
  g_free (s->text);
  s->text = g_strdup (text);
  xcb_set_selection_owner (s->connection, s->window, s->atoms[ATOM_CLIPBOARD], XCB_CURRENT_TIME);
  xcb_flush (s->connection);
  return xcb_connection_has_error (s->connection) == 0;
}
