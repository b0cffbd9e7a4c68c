#include "cli/qr-text.h"

#include <glib.h>
#include <qrencode.h>

#define QUIET 2 /* modules of white around the code */

static gboolean
is_dark (const QRcode *code, int x, int y)
{
  if (x < 0 || y < 0 || x >= code->width || y >= code->width)
    return FALSE;
  return code->data[y * code->width + x] & 1;
}

/* Dark modules are left out of a white ground, so that it works on dark and light terminals. */
char *
qr_text (const char *text)
{
  QRcode *code = QRcode_encodeString8bit (text, 0, QR_ECLEVEL_L);
  GString *out = g_string_new (NULL);

  if (code == NULL)
    return g_string_free (out, FALSE);
  for (int y = -QUIET; y < code->width + QUIET; y += 2) {
    g_string_append (out, "\033[97;40m");
    for (int x = -QUIET; x < code->width + QUIET; x++) {
      gboolean upper = is_dark (code, x, y);
      gboolean lower = is_dark (code, x, y + 1);

      g_string_append (out, upper ? (lower ? " " : "▄") : (lower ? "▀" : "█"));
    }
    g_string_append (out, "\033[0m\n");
  }
  QRcode_free (code);
  return g_string_free (out, FALSE);
}
