/* Rows that several pages show: a value to copy, a fact, a button at the end of a row.
 *
 * Texts are shown as they are, never as markup. Main thread. */
#pragma once

#include <adwaita.h>

/* An empty row with TITLE. */
AdwActionRow *warren_row_new (const char *title);

/* A value that people copy: it is the title itself, KIND says what it is. */
AdwActionRow *warren_copy_row_new (const char *value, const char *kind);
/* The button alone, at the end of ROW: copies VALUE. */
void warren_row_add_copy_button (AdwActionRow *row, const char *value);

/* "System: Linux", with the value at the end. */
AdwActionRow *warren_fact_row_new (const char *title, const char *value);

/* An icon that only decorates. */
GtkWidget *warren_icon_new (const char *name);

/* A button with TEXT at the end of ROW; NAME is what a screen reader says. */
GtkButton *warren_row_add_button (AdwActionRow *row, const char *text, const char *name);

/* Removes all rows of LIST. */
void warren_list_clear (GtkListBox *list);

/* Moves a switch without telling those who connected with DATA. */
void warren_switch_show (GtkSwitch *toggle, gboolean on, gpointer data);

/* What is true, unless the user is typing something else into ROW. */
void warren_entry_show (AdwEntryRow *row, const char *text);

/* Marks ROW as wrong or right, for the eye and for screen readers. */
void warren_entry_mark (AdwEntryRow *row, gboolean right);

/* A question before something that cannot be undone: ANSWER gets the response "yes" or "no". */
void warren_confirm (GtkWidget *view, const char *title, const char *text, const char *yes,
                     GCallback answer);
