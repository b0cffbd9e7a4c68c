/* A QR code for terminals, two modules a character. Not the picture of the window. */
#pragma once

/* TEXT as lines of block characters on white, or "" if it is too long. Free with g_free. */
char *qr_text (const char *text);
