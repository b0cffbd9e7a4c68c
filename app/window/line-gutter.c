#include "window/line-gutter.h"

#define MARGIN     8 /* pixels at each side of the numbers */
#define DIGITS_MIN 2

struct _WarrenLineGutter
{
  GtkWidget parent;

  GtkTextView *view; /* owns this */
  GHashTable *marks; /* lines */
};

G_DEFINE_FINAL_TYPE (WarrenLineGutter, warren_line_gutter, GTK_TYPE_WIDGET)

static PangoLayout *
new_layout (WarrenLineGutter *self, guint number)
{
  g_autofree char *text = g_strdup_printf ("%u", number);
  PangoLayout *layout = gtk_widget_create_pango_layout (GTK_WIDGET (self), text);

  return layout;
}

static void
warren_line_gutter_measure (GtkWidget *widget, GtkOrientation orientation, int for_size,
                            int *minimum, int *natural, int *minimum_baseline,
                            int *natural_baseline)
{
  WarrenLineGutter *self = WARREN_LINE_GUTTER (widget);
  guint lines = (guint)gtk_text_buffer_get_line_count (gtk_text_view_get_buffer (self->view));
  guint digits = DIGITS_MIN;
  guint widest = 88;
  g_autoptr (PangoLayout) layout = NULL;
  int width = 0;

  *minimum = *natural = 0;
  if (orientation == GTK_ORIENTATION_VERTICAL)
    return;
  for (guint n = lines; n >= 100; n /= 10, digits++)
    widest = widest * 10 + 8;
  layout = new_layout (self, widest);
  pango_layout_get_pixel_size (layout, &width, NULL);
  *minimum = *natural = width + 2 * MARGIN;
}

static void
draw_line (WarrenLineGutter *self, GtkSnapshot *snapshot, const GtkTextIter *iter, int right)
{
  GtkStyleContext *style = gtk_widget_get_style_context (GTK_WIDGET (self));
  guint line = (guint)gtk_text_iter_get_line (iter);
  g_autoptr (PangoLayout) layout = new_layout (self, line + 1);
  gboolean marked = g_hash_table_contains (self->marks, GUINT_TO_POINTER (line));
  int y, height, window_y, width;

  gtk_text_view_get_line_yrange (self->view, iter, &y, &height);
  gtk_text_view_buffer_to_window_coords (self->view, GTK_TEXT_WINDOW_LEFT, 0, y, NULL, &window_y);
  pango_layout_get_pixel_size (layout, &width, NULL);
  if (marked) {
    gtk_style_context_save (style);
    gtk_style_context_add_class (style, "marked");
  }
  gtk_snapshot_render_layout (snapshot, style, right - width, window_y, layout);
  if (marked)
    gtk_style_context_restore (style);
}

static void
warren_line_gutter_snapshot (GtkWidget *widget, GtkSnapshot *snapshot)
{
  WarrenLineGutter *self = WARREN_LINE_GUTTER (widget);
  GdkRectangle visible;
  GtkTextIter iter;

  gtk_text_view_get_visible_rect (self->view, &visible);
  gtk_text_view_get_line_at_y (self->view, &iter, visible.y, NULL);
  for (;;) {
    int y;

    gtk_text_view_get_line_yrange (self->view, &iter, &y, NULL);
    if (y > visible.y + visible.height)
      return;
    draw_line (self, snapshot, &iter, gtk_widget_get_width (widget) - MARGIN);
    if (!gtk_text_iter_forward_line (&iter)) {
      /* The empty line at the end of a text is one, too. */
      if (gtk_text_iter_starts_line (&iter) && gtk_text_iter_get_line (&iter) > 0)
        draw_line (self, snapshot, &iter, gtk_widget_get_width (widget) - MARGIN);
      return;
    }
  }
}

void
warren_line_gutter_mark (WarrenLineGutter *self, guint line)
{
  g_hash_table_add (self->marks, GUINT_TO_POINTER (line));
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
warren_line_gutter_clear_marks (WarrenLineGutter *self)
{
  g_hash_table_remove_all (self->marks);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

static void
follow_scrolling (WarrenLineGutter *self)
{
  GtkAdjustment *adjustment = gtk_scrollable_get_vadjustment (GTK_SCROLLABLE (self->view));

  if (adjustment != NULL)
    g_signal_connect_object (adjustment, "value-changed", G_CALLBACK (gtk_widget_queue_draw), self,
                             G_CONNECT_SWAPPED);
}

WarrenLineGutter *
warren_line_gutter_new (GtkTextView *view)
{
  WarrenLineGutter *self = g_object_new (WARREN_TYPE_LINE_GUTTER, "accessible-role",
                                         GTK_ACCESSIBLE_ROLE_PRESENTATION, NULL);

  self->view = view;
  g_signal_connect_object (gtk_text_view_get_buffer (view), "changed",
                           G_CALLBACK (gtk_widget_queue_resize), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (view, "notify::vadjustment", G_CALLBACK (follow_scrolling), self,
                           G_CONNECT_SWAPPED);
  follow_scrolling (self);
  gtk_text_view_set_gutter (view, GTK_TEXT_WINDOW_LEFT, GTK_WIDGET (self));
  return self;
}

static void
warren_line_gutter_finalize (GObject *object)
{
  g_hash_table_unref (WARREN_LINE_GUTTER (object)->marks);
  G_OBJECT_CLASS (warren_line_gutter_parent_class)->finalize (object);
}

static void
warren_line_gutter_class_init (WarrenLineGutterClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = warren_line_gutter_finalize;
  widget_class->measure = warren_line_gutter_measure;
  widget_class->snapshot = warren_line_gutter_snapshot;
  gtk_widget_class_set_css_name (widget_class, "linegutter");
}

static void
warren_line_gutter_init (WarrenLineGutter *self)
{
  self->marks = g_hash_table_new (NULL, NULL);
  gtk_widget_add_css_class (GTK_WIDGET (self), "monospace");
}
