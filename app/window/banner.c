#include "window/banner.h"

struct _WarrenBanner
{
  GtkWidget parent;

  GtkRevealer *revealer;
  GtkLabel *label;
  GtkButton *button;
};

enum
{
  SIGNAL_ACTIVATED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenBanner, warren_banner, GTK_TYPE_WIDGET)

static void
on_clicked (WarrenBanner *self)
{
  g_signal_emit (self, signals[SIGNAL_ACTIVATED], 0);
}

/* A hidden text keeps its place while the line slides away. */
void
warren_banner_set (WarrenBanner *self, const char *text, const char *button)
{
  if (text != NULL)
    gtk_label_set_label (self->label, text);
  gtk_widget_set_visible (GTK_WIDGET (self->button), button != NULL);
  if (button != NULL)
    gtk_button_set_label (self->button, button);
  gtk_revealer_set_reveal_child (self->revealer, text != NULL);
}

static void
warren_banner_dispose (GObject *object)
{
  gtk_widget_dispose_template (GTK_WIDGET (object), WARREN_TYPE_BANNER);
  G_OBJECT_CLASS (warren_banner_parent_class)->dispose (object);
}

static void
warren_banner_class_init (WarrenBannerClass *klass)
{
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = warren_banner_dispose;
  signals[SIGNAL_ACTIVATED] = g_signal_new ("activated", WARREN_TYPE_BANNER, G_SIGNAL_RUN_LAST, 0,
                                            NULL, NULL, NULL, G_TYPE_NONE, 0);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/warrenvpn/Warren/ui/banner.ui");
  gtk_widget_class_bind_template_child (widget_class, WarrenBanner, revealer);
  gtk_widget_class_bind_template_child (widget_class, WarrenBanner, label);
  gtk_widget_class_bind_template_child (widget_class, WarrenBanner, button);
  gtk_widget_class_bind_template_callback (widget_class, on_clicked);
}

static void
warren_banner_init (WarrenBanner *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
