/* Saving a copy of everything that a private network is, into a file that the user chooses and that
 * only the user may read. Main thread; the copying itself does not block. */
#pragma once

#include "client/network.h"

#include <gtk/gtk.h>

/* Asks for a file; VIEW's window carries the dialog, and its "win.toast" says how it went. */
void warren_network_backup_save (WarrenNetwork *network, GtkWidget *view);
