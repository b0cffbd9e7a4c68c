#include "window/network-backup.h"

#include "client/error.h"

#include <gio/gunixinputstream.h>
#include <glib/gi18n-lib.h>

typedef struct
{
  GtkWidget *view; /* kept alive */
  WarrenNetwork *network;
  GFile *file;
  GInputStream *source;
} Backup;

static void
free_backup (Backup *backup)
{
  g_clear_object (&backup->view);
  g_clear_object (&backup->network);
  g_clear_object (&backup->file);
  g_clear_object (&backup->source);
  g_free (backup);
}

static void
end (Backup *backup, const GError *error)
{
  g_autofree char *text = NULL;
  g_autofree char *name = NULL;

  if (error == NULL) {
    name = g_file_get_basename (backup->file);
    text = g_strdup_printf (_ ("Backup saved as %s"), name);
  } else if (!warren_error_is_silent (error)) {
    text = warren_error_describe (error, NULL);
  }
  if (text != NULL)
    gtk_widget_activate_action (backup->view, "win.toast", "s", text);
  free_backup (backup);
}

static void
on_copied (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_splice_finish (G_OUTPUT_STREAM (source), result, &error);
  end (user_data, error);
}

static void
on_created (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Backup *backup = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GFileOutputStream) out = g_file_replace_finish (G_FILE (source), result, &error);

  if (out == NULL)
    end (backup, error);
  else
    g_output_stream_splice_async (G_OUTPUT_STREAM (out), backup->source,
                                  G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE
                                      | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
                                  G_PRIORITY_DEFAULT, NULL, on_copied, backup);
}

static void
on_backup (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Backup *backup = user_data;
  g_autoptr (GError) error = NULL;
  int fd = warren_network_backup_finish (WARREN_NETWORK (source), result, &error);

  if (fd < 0) {
    end (backup, error);
    return;
  }
  backup->source = g_unix_input_stream_new (fd, TRUE);
  g_file_replace_async (backup->file, NULL, FALSE,
                        G_FILE_CREATE_PRIVATE | G_FILE_CREATE_REPLACE_DESTINATION,
                        G_PRIORITY_DEFAULT, NULL, on_created, backup);
}

static void
on_chosen (GtkNativeDialog *dialog, int response, gpointer user_data)
{
  Backup *backup = user_data;

  if (response == GTK_RESPONSE_ACCEPT) {
    backup->file = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
    warren_network_backup_async (backup->network, NULL, on_backup, backup);
  } else {
    free_backup (backup);
  }
  g_object_unref (dialog);
}

void
warren_network_backup_save (WarrenNetwork *network, GtkWidget *view)
{
  GtkFileChooserNative *dialog
      = gtk_file_chooser_native_new (_ ("Save a Backup"), GTK_WINDOW (gtk_widget_get_root (view)),
                                     GTK_FILE_CHOOSER_ACTION_SAVE, _ ("_Save"), _ ("_Cancel"));
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *day = g_date_time_format (now, "%F");
  g_autofree char *name
      = g_strdup_printf ("%s-%s.warren-backup", warren_network_get_name (network), day);
  Backup *backup = g_new0 (Backup, 1);

  backup->view = g_object_ref (view);
  backup->network = g_object_ref (network);
  gtk_file_chooser_set_current_name (GTK_FILE_CHOOSER (dialog), name);
  g_signal_connect (dialog, "response", G_CALLBACK (on_chosen), backup);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}
