#include "window/network-policy.h"

#include "window/line-gutter.h"
#include "window/rows.h"

#include <glib/gi18n-lib.h>

#define CHECK_AFTER_MS 300

struct _WarrenNetworkPolicy
{
  GtkWidget parent;

  GtkTextView *editor;
  GtkRevealer *issues_revealer;
  GtkListBox *issue_list;
  GtkLabel *status_label;
  GtkWidget *revert_button;
  GtkWidget *apply_button;

  WarrenNetworkData *data;
  GtkTextBuffer *buffer;
  WarrenLineGutter *gutter;
  char *in_force; /* the text the editor began with */
  guint check_id; /* a check waits for a pause in the typing */
  gboolean checking;
  gboolean checked; /* the last check was of the present text … */
  gboolean right;   /* … and found nothing wrong */
  gboolean applying;
};

G_DEFINE_FINAL_TYPE (WarrenNetworkPolicy, warren_network_policy, GTK_TYPE_WIDGET)

static char *
dup_text (WarrenNetworkPolicy *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (self->buffer, &start, &end);
  return gtk_text_buffer_get_text (self->buffer, &start, &end, TRUE);
}

static gboolean
is_edited (WarrenNetworkPolicy *self)
{
  g_autofree char *text = dup_text (self);

  return self->in_force != NULL && !g_str_equal (text, self->in_force);
}

static void
update (WarrenNetworkPolicy *self)
{
  gboolean edited = is_edited (self);

  gtk_widget_set_sensitive (self->revert_button, edited && !self->applying);
  gtk_widget_set_sensitive (self->apply_button,
                            edited && self->checked && self->right && !self->applying);
  if (self->in_force == NULL)
    gtk_label_set_label (self->status_label, "");
  else if (!edited)
    gtk_label_set_label (self->status_label, _ ("In force"));
  else if (!self->checked || self->checking)
    gtk_label_set_label (self->status_label, _ ("Checking…"));
  else if (self->right)
    gtk_label_set_label (self->status_label, _ ("No faults, not yet applied"));
}

/* --- faults
 * -----------------------------------------------------------------------------------------------
 */

static void
clear_issues (WarrenNetworkPolicy *self)
{
  GtkTextIter start, end;

  gtk_text_buffer_get_bounds (self->buffer, &start, &end);
  gtk_text_buffer_remove_tag_by_name (self->buffer, "wrong", &start, &end);
  gtk_text_buffer_remove_tag_by_name (self->buffer, "doubtful", &start, &end);
  warren_line_gutter_clear_marks (self->gutter);
  warren_list_clear (self->issue_list);
  gtk_revealer_set_reveal_child (self->issues_revealer, FALSE);
}

static void
mark_line (WarrenNetworkPolicy *self, const WarrenPolicyIssue *issue)
{
  GtkTextIter start, end;

  if (issue->line == 0
      || !gtk_text_buffer_get_iter_at_line (self->buffer, &start, (int)issue->line - 1))
    return;
  end = start;
  if (!gtk_text_iter_forward_line (&end))
    gtk_text_buffer_get_end_iter (self->buffer, &end);
  gtk_text_buffer_apply_tag_by_name (self->buffer, issue->warning ? "doubtful" : "wrong", &start,
                                     &end);
  warren_line_gutter_mark (self->gutter, issue->line - 1);
}

static void
add_issue (WarrenNetworkPolicy *self, const WarrenPolicyIssue *issue)
{
  g_autofree char *title = issue->line > 0
                               ? g_strdup_printf (_ ("Line %u: %s"), issue->line, issue->text)
                               : g_strdup (issue->text);
  AdwActionRow *row = warren_row_new (title);

  if (*issue->path != '\0')
    adw_action_row_set_subtitle (row, issue->path);
  adw_action_row_set_title_lines (row, 3);
  adw_action_row_add_prefix (row, warren_icon_new (issue->warning ? "dialog-warning-symbolic"
                                                                  : "dialog-error-symbolic"));
  gtk_list_box_row_set_activatable (GTK_LIST_BOX_ROW (row), issue->line > 0);
  g_object_set_data (G_OBJECT (row), "line", GUINT_TO_POINTER (issue->line));
  g_object_set_data (G_OBJECT (row), "column", GUINT_TO_POINTER (issue->column));
  gtk_list_box_append (self->issue_list, GTK_WIDGET (row));
  mark_line (self, issue);
}

static void
show_issues (WarrenNetworkPolicy *self, GPtrArray *issues)
{
  guint errors = 0;
  g_autofree char *text = NULL;

  clear_issues (self);
  for (guint i = 0; i < issues->len; i++) {
    const WarrenPolicyIssue *issue = issues->pdata[i];

    errors += !issue->warning;
    add_issue (self, issue);
  }
  gtk_revealer_set_reveal_child (self->issues_revealer, issues->len > 0);
  self->right = self->right && errors == 0;
  if (errors == 0)
    return;
  text = g_strdup_printf (ngettext ("%u fault", "%u faults", errors), errors);
  gtk_label_set_label (self->status_label, text);
}

static void
on_issue_activated (WarrenNetworkPolicy *self, GtkWidget *row)
{
  guint line = GPOINTER_TO_UINT (g_object_get_data (G_OBJECT (row), "line"));
  guint column = GPOINTER_TO_UINT (g_object_get_data (G_OBJECT (row), "column"));
  GtkTextIter place;

  gtk_text_buffer_get_iter_at_line (self->buffer, &place, (int)line - 1);
  if (column > 1 && (int)column <= gtk_text_iter_get_bytes_in_line (&place))
    gtk_text_iter_set_line_index (&place, (int)column - 1);
  gtk_text_buffer_place_cursor (self->buffer, &place);
  gtk_text_view_scroll_to_iter (self->editor, &place, 0.1, FALSE, 0, 0);
  gtk_widget_grab_focus (GTK_WIDGET (self->editor));
}

/* --- checking
 * --------------------------------------------------------------------------------------------- */

static void start_check (WarrenNetworkPolicy *self);

static gboolean
on_pause (gpointer data)
{
  WarrenNetworkPolicy *self = data;

  self->check_id = 0;
  start_check (self);
  return G_SOURCE_REMOVE;
}

static void
queue_check (WarrenNetworkPolicy *self)
{
  g_clear_handle_id (&self->check_id, g_source_remove);
  self->check_id = g_timeout_add (CHECK_AFTER_MS, on_pause, self);
}

/* The command ends with 1 for a policy with faults, so that only the document tells. */
static void
on_checked (gpointer view, gboolean ok, const char *text)
{
  WarrenNetworkPolicy *self = view;
  g_autoptr (GPtrArray) issues = warren_network_parse_issues (text, NULL);

  self->checking = FALSE;
  if (self->buffer == NULL)
    return;
  if (!self->checked) { /* typed on meanwhile */
    if (self->check_id == 0)
      start_check (self);
    return;
  }
  self->right = ok;
  if (issues != NULL)
    show_issues (self, issues);
  else if (!ok)
    gtk_label_set_label (self->status_label, text);
  update (self);
}

static void
start_check (WarrenNetworkPolicy *self)
{
  const char *words[] = {"policy", "check", "--json", NULL};
  g_autofree char *text = dup_text (self);

  if (self->checking || !is_edited (self))
    return;
  self->checking = TRUE;
  self->checked = TRUE;
  self->right = FALSE;
  warren_network_data_run (self->data, words, text, self, on_checked);
}

static void
on_text_changed (WarrenNetworkPolicy *self)
{
  self->checked = FALSE;
  self->right = FALSE;
  if (!is_edited (self))
    clear_issues (self);
  update (self);
  queue_check (self);
}

/* --- applying
 * --------------------------------------------------------------------------------------------- */

static void
set_text (WarrenNetworkPolicy *self, const char *text)
{
  g_free (self->in_force);
  self->in_force = g_strdup (text);
  gtk_text_buffer_begin_irreversible_action (self->buffer);
  gtk_text_buffer_set_text (self->buffer, text, -1);
  gtk_text_buffer_end_irreversible_action (self->buffer);
  clear_issues (self);
  update (self);
}

static void
on_applied (gpointer view, gboolean ok, const char *text)
{
  WarrenNetworkPolicy *self = view;

  self->applying = FALSE;
  if (self->buffer == NULL)
    return;
  if (ok) {
    g_free (self->in_force);
    self->in_force = dup_text (self);
    gtk_widget_activate_action (GTK_WIDGET (self), "win.toast", "s", _ ("The policy is in force"));
  } else if (*text != '\0') {
    gtk_widget_activate_action (GTK_WIDGET (self), "win.toast", "s", text);
  }
  gtk_text_view_set_editable (self->editor, TRUE);
  update (self);
}

static void
on_apply (WarrenNetworkPolicy *self)
{
  const char *words[] = {"policy", "set", NULL};
  g_autofree char *text = dup_text (self);

  self->applying = TRUE;
  gtk_text_view_set_editable (self->editor, FALSE);
  update (self);
  warren_network_data_run (self->data, words, text, self, on_applied);
}

static void
on_revert (WarrenNetworkPolicy *self)
{
  const char *now = warren_network_data_get_policy (self->data);
  g_autofree char *text = g_strdup (now != NULL ? now : self->in_force);

  set_text (self, text);
}

/* What somebody else put in force shows at once, unless it would overwrite what is typed here. */
static void
on_data_changed (WarrenNetworkPolicy *self, guint lists)
{
  const char *text = warren_network_data_get_policy (self->data);

  if ((lists & WARREN_NETWORK_POLICY) == 0 || text == NULL || is_edited (self)
      || g_strcmp0 (text, self->in_force) == 0)
    return;
  set_text (self, text);
}

void
warren_network_policy_set_data (WarrenNetworkPolicy *self, WarrenNetworkData *data)
{
  self->data = g_object_ref (data);
  g_signal_connect_object (data, "changed", G_CALLBACK (on_data_changed), self, G_CONNECT_SWAPPED);
}

/* --- widget
 * -----------------------------------------------------------------------------------------------
 */

static void
warren_network_policy_map (GtkWidget *widget)
{
  GTK_WIDGET_CLASS (warren_network_policy_parent_class)->map (widget);
  warren_network_data_want (WARREN_NETWORK_POLICY_VIEW (widget)->data, WARREN_NETWORK_POLICY);
}

static void
warren_network_policy_unmap (GtkWidget *widget)
{
  warren_network_data_drop (WARREN_NETWORK_POLICY_VIEW (widget)->data, WARREN_NETWORK_POLICY);
  GTK_WIDGET_CLASS (warren_network_policy_parent_class)->unmap (widget);
}

static void
warren_network_policy_dispose (GObject *object)
{
  WarrenNetworkPolicy *self = WARREN_NETWORK_POLICY_VIEW (object);

  g_clear_handle_id (&self->check_id, g_source_remove);
  self->buffer = NULL;
  gtk_widget_dispose_template (GTK_WIDGET (self), WARREN_TYPE_NETWORK_POLICY);
  g_clear_object (&self->data);
  g_clear_pointer (&self->in_force, g_free);
  G_OBJECT_CLASS (warren_network_policy_parent_class)->dispose (object);
}

static void
warren_network_policy_class_init (WarrenNetworkPolicyClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_network_policy_dispose;
  widget_class->map = warren_network_policy_map;
  widget_class->unmap = warren_network_policy_unmap;
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/warrenvpn/Warren/ui/network-policy.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPolicy, editor);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPolicy, issues_revealer);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPolicy, issue_list);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPolicy, status_label);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPolicy, revert_button);
  gtk_widget_class_bind_template_child (widget_class, WarrenNetworkPolicy, apply_button);
  gtk_widget_class_bind_template_callback (widget_class, on_issue_activated);
  gtk_widget_class_bind_template_callback (widget_class, on_revert);
  gtk_widget_class_bind_template_callback (widget_class, on_apply);
}

static void
warren_network_policy_init (WarrenNetworkPolicy *self)
{
  static const GdkRGBA red = {0.88, 0.11, 0.14, 0.22};
  static const GdkRGBA yellow = {0.96, 0.76, 0.07, 0.22};

  gtk_widget_init_template (GTK_WIDGET (self));
  self->buffer = gtk_text_view_get_buffer (self->editor);
  gtk_text_buffer_create_tag (self->buffer, "doubtful", "paragraph-background-rgba", &yellow, NULL);
  gtk_text_buffer_create_tag (self->buffer, "wrong", "paragraph-background-rgba", &red, NULL);
  self->gutter = warren_line_gutter_new (self->editor);
  g_signal_connect_object (self->buffer, "changed", G_CALLBACK (on_text_changed), self,
                           G_CONNECT_SWAPPED);
  update (self);
}
