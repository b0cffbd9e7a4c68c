/* A QR code as a picture: black modules on white, sharp at every size. Main thread. */
#pragma once

#include <gtk/gtk.h>

#define WARREN_TYPE_QR_PAINTABLE (warren_qr_paintable_get_type ())
G_DECLARE_FINAL_TYPE (WarrenQrPaintable, warren_qr_paintable, WARREN, QR_PAINTABLE, GObject)

/* NULL if TEXT is too long for a QR code. */
GdkPaintable *warren_qr_paintable_new (const char *text);
