#include "window/qr-paintable.h"

#include <qrencode.h>

#define QUIET_MODULES 4 /* of white on each side, as the standard asks */
#define MODULE_PIXELS 5 /* natural size */

struct _WarrenQrPaintable
{
  GObject parent;
  QRcode *code;
};

static void
warren_qr_paintable_snapshot (GdkPaintable *paintable, GdkSnapshot *snapshot, double width,
                              double height)
{
  static const GdkRGBA white = {1, 1, 1, 1};
  static const GdkRGBA black = {0, 0, 0, 1};
  const QRcode *code = WARREN_QR_PAINTABLE (paintable)->code;
  int modules = code->width + 2 * QUIET_MODULES;
  /* Whole pixels, or there are seams between the modules. */
  double module = MAX (1, (int)(MIN (width, height) / modules));
  double left = (int)((width - module * code->width) / 2);
  double top = (int)((height - module * code->width) / 2);

  gtk_snapshot_append_color (snapshot, &white, &GRAPHENE_RECT_INIT (0, 0, width, height));
  for (int y = 0; y < code->width; y++)
    for (int x = 0; x < code->width; x++)
      if (code->data[y * code->width + x] & 1)
        gtk_snapshot_append_color (snapshot, &black,
                                   &GRAPHENE_RECT_INIT (left + x * module, top + y * module, module,
                                                        module));
}

static int
natural_size (GdkPaintable *paintable)
{
  return (WARREN_QR_PAINTABLE (paintable)->code->width + 2 * QUIET_MODULES) * MODULE_PIXELS;
}

static void
paintable_init (GdkPaintableInterface *iface)
{
  iface->snapshot = warren_qr_paintable_snapshot;
  iface->get_intrinsic_width = natural_size;
  iface->get_intrinsic_height = natural_size;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (WarrenQrPaintable, warren_qr_paintable, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (GDK_TYPE_PAINTABLE, paintable_init))

static void
warren_qr_paintable_finalize (GObject *object)
{
  g_clear_pointer (&WARREN_QR_PAINTABLE (object)->code, QRcode_free);
  G_OBJECT_CLASS (warren_qr_paintable_parent_class)->finalize (object);
}

static void
warren_qr_paintable_class_init (WarrenQrPaintableClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_qr_paintable_finalize;
}

static void
warren_qr_paintable_init (WarrenQrPaintable *self)
{
}

GdkPaintable *
warren_qr_paintable_new (const char *text)
{
  QRcode *code = QRcode_encodeString8bit (text, 0, QR_ECLEVEL_M);
  WarrenQrPaintable *self;

  if (code == NULL)
    return NULL;
  self = g_object_new (WARREN_TYPE_QR_PAINTABLE, NULL);
  self->code = code;
  return GDK_PAINTABLE (self);
}
