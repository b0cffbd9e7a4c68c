#include "session/store.h"

#include "base/log.h"
#include "session/record.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_DOMAIN      "session"
#define KEY_FILE_FORMAT 1
#define ACTIVE_FORMAT   1

struct Store
{
  char *directory;
  StoreFiles *files;
};

GQuark
store_error_quark (void)
{
  return g_quark_from_static_string ("warren-store-error");
}

static bool
fail (GError **error, int code, const char *what, const char *path)
{
  int kind = code == ENOSPC || code == EDQUOT ? STORE_ERROR_FULL : STORE_ERROR_FAILED;
  g_set_error (error, STORE_ERROR, kind, "could not %s “%s”: %s", what, path, g_strerror (code));
  return false;
}

Store *
store_open (const char *directory, StoreFiles *files, GError **error)
{
  g_autofree char *profiles = g_build_filename (directory, "profiles", NULL);
  int code = files->make_directory (files, directory);
  if (code == 0)
    code = files->make_directory (files, profiles);
  struct stat st;
  if (code == 0 && stat (directory, &st) < 0)
    code = errno;
  if (code != 0) {
    fail (error, code, "use the state directory", directory);
    return NULL;
  }
  if ((st.st_mode & 077) != 0 && chmod (directory, 0700) < 0)
    log_warning (LOG_DOMAIN, "the state directory %s can be entered by other users", directory);
  Store *store = g_new0 (Store, 1);
  store->directory = g_strdup (directory);
  store->files = files;
  return store;
}

void
store_close (Store *store)
{
  if (!store)
    return;
  g_free (store->directory);
  g_free (store);
}

static char *
profile_directory (Store *store, const char *id)
{
  return g_build_filename (store->directory, "profiles", id, NULL);
}

/* Brings SIZE bytes to DIRECTORY/NAME so that at every instant the old or the new file is there. */
static bool
replace_file (Store *store, const char *directory, const char *name, const void *data, size_t size,
              GError **error)
{
  StoreFiles *files = store->files;
  g_autofree char *path = g_build_filename (directory, name, NULL);
  g_autofree char *temporary = g_strconcat (path, ".new", NULL);
  int code = files->unlink (files, temporary);
  if (code == 0)
    code = files->create (files, temporary);
  if (code == 0)
    code = files->write (files, temporary, data, size);
  if (code == 0)
    code = files->sync (files, temporary);
  if (code == 0)
    code = files->rename (files, temporary, path);
  if (code == 0)
    code = files->sync_directory (files, directory);
  if (code == 0)
    return true;
  files->unlink (files, temporary);
  return fail (error, code, "write", path);
}

/* Reads PATH into locked memory. NULL with *MISSING when there is no such file. */
static uint8_t *
read_secret_file (const char *path, size_t *size, bool *missing, GError **error)
{
  *missing = false;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    *missing = errno == ENOENT;
    fail (error, errno, "read", path);
    return NULL;
  }
  uint8_t *data = secret_new (RECORD_FILE_MAX + 1);
  size_t total = 0;
  ssize_t n = 0;
  do {
    n = read (fd, data + total, RECORD_FILE_MAX + 1 - total);
    if (n > 0)
      total += (size_t)n;
  } while (n > 0 || (n < 0 && errno == EINTR));
  int code = n < 0 ? errno : 0;
  close (fd);
  if (code != 0) {
    secret_free (data);
    fail (error, code, "read", path);
    return NULL;
  }
  *size = total;
  return data;
}

/* A key in a file of its own: NAME is the file and the field. */
static bool
save_key (Store *store, const char *name, const uint8_t key[KEY_SIZE], GError **error)
{
  uint8_t *data = secret_new (KEY_TEXT_MAX + 64);
  ByteWriter w = byte_writer (data, KEY_TEXT_MAX + 64);
  char text[KEY_TEXT_MAX];
  key_format (KEY_PRIVATE, key, text);
  record_begin (&w, KEY_FILE_FORMAT);
  record_field (&w, name, text);
  record_end (&w);
  sodium_memzero (text, sizeof text);
  bool saved = replace_file (store, store->directory, name, data, w.pos, error);
  secret_free (data);
  return saved;
}

static bool
parse_key (const char *name, const uint8_t *data, size_t size, uint8_t out[KEY_SIZE])
{
  bool found = false;
  RecordReader *r = secret_new (sizeof *r);
  record_reader_init (r, data, size, KEY_FILE_FORMAT);
  RecordResult step;
  while ((step = record_reader_next (r)) == RECORD_FIELD)
    if (strcmp (r->name, name) == 0)
      found = key_parse (KEY_PRIVATE, r->value, r->value_length, out);
  secret_free (r);
  return step == RECORD_END && found && !key_is_zero (out, KEY_SIZE);
}

/* *MISSING: there is no such file, and so no error. */
static bool
load_key (Store *store, const char *name, uint8_t out[KEY_SIZE], bool *missing, GError **error)
{
  g_autofree char *path = g_build_filename (store->directory, name, NULL);
  g_autoptr (GError) local = NULL;
  size_t size = 0;
  uint8_t *data = read_secret_file (path, &size, missing, &local);
  if (!data) {
    if (!*missing)
      g_propagate_error (error, g_steal_pointer (&local));
    return false;
  }
  bool parsed = parse_key (name, data, size, out);
  secret_free (data);
  if (!parsed)
    g_set_error (error, STORE_ERROR, STORE_ERROR_UNREADABLE,
                 "“%s” is damaged or was written by another version", path);
  return parsed;
}

bool
store_machine_key (Store *store, Random *random, MachinePrivate *out, GError **error)
{
  bool missing = false;
  if (load_key (store, "machine-key", out->bytes, &missing, error))
    return true;
  if (!missing)
    return false;
  key_generate (random, out->bytes);
  return save_key (store, "machine-key", out->bytes, error);
}

void
store_disco_key (Store *store, Random *random, DiscoPrivate *out)
{
  bool missing = false;
  g_autoptr (GError) error = NULL;
  if (load_key (store, "disco-key", out->bytes, &missing, &error))
    return;
  if (!missing)
    log_warning (LOG_DOMAIN, "%s", error->message);
  g_clear_error (&error);
  key_generate (random, out->bytes);
  if (!save_key (store, "disco-key", out->bytes, &error))
    log_warning (LOG_DOMAIN, "%s", error->message);
}

static void
refusal_free (void *data)
{
  StoreRefusal *refusal = data;
  g_free (refusal->path);
  g_free (refusal->reason);
  g_free (refusal);
}

static void
refuse (GPtrArray *refusals, const char *id, const char *path, const char *reason)
{
  log_error (LOG_DOMAIN, "%s: %s; it is kept as it is", path, reason);
  StoreRefusal *refusal = g_new0 (StoreRefusal, 1);
  g_strlcpy (refusal->id, id, sizeof refusal->id);
  refusal->path = g_strdup (path);
  refusal->reason = g_strdup (reason);
  g_ptr_array_add (refusals, refusal);
}

static Profile *
load_profile (const char *path, const char *id, GPtrArray *refusals)
{
  size_t size = 0;
  bool missing = false;
  g_autoptr (GError) error = NULL;
  uint8_t *data = read_secret_file (path, &size, &missing, &error);
  if (!data) {
    /* A directory without an identity is what a killed first save leaves behind. */
    if (!missing)
      refuse (refusals, id, path, error->message);
    return NULL;
  }
  ProfileResult result;
  Profile *profile = profile_decode (data, size, &result);
  secret_free (data);
  if (result == PROFILE_UNKNOWN_FORMAT)
    refuse (refusals, id, path, "written by another version of Warren");
  else if (result == PROFILE_DAMAGED || strcmp (profile->id, id) != 0)
    refuse (refusals, id, path, "damaged");
  else
    return profile;
  profile_free (profile);
  return NULL;
}

static int
by_creation (const void *a, const void *b)
{
  const Profile *x = *(Profile *const *)a, *y = *(Profile *const *)b;
  if (x->created_s != y->created_s)
    return x->created_s < y->created_s ? -1 : 1;
  return strcmp (x->id, y->id);
}

GPtrArray *
store_load_profiles (Store *store, GPtrArray **refusals)
{
  GPtrArray *profiles = g_ptr_array_new_with_free_func ((GDestroyNotify)profile_free);
  *refusals = g_ptr_array_new_with_free_func (refusal_free);
  g_autofree char *path = g_build_filename (store->directory, "profiles", NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir && (name = g_dir_read_name (dir))) {
    if (!profile_id_is_valid (name))
      continue;
    g_autofree char *file = g_build_filename (path, name, "identity", NULL);
    Profile *profile = load_profile (file, name, *refusals);
    if (profile)
      g_ptr_array_add (profiles, profile);
  }
  g_ptr_array_sort (profiles, by_creation);
  return profiles;
}

bool
store_save_profile (Store *store, const Profile *profile, GError **error)
{
  g_autofree char *directory = profile_directory (store, profile->id);
  g_autofree char *parent = g_build_filename (store->directory, "profiles", NULL);
  bool is_new = !g_file_test (directory, G_FILE_TEST_IS_DIR);
  int code = store->files->make_directory (store->files, directory);
  if (code == 0 && is_new)
    code = store->files->sync_directory (store->files, parent);
  if (code != 0)
    return fail (error, code, "make", directory);

  uint8_t *data = secret_new (RECORD_FILE_MAX);
  ByteWriter w = byte_writer (data, RECORD_FILE_MAX);
  profile_encode (profile, &w);
  bool saved = false;
  if (w.failed)
    g_set_error (error, STORE_ERROR, STORE_ERROR_FAILED, "profile %s is too large to save",
                 profile->id);
  else
    saved = replace_file (store, directory, "identity", data, w.pos, error);
  secret_free (data);
  return saved;
}

bool
store_remove_profile (Store *store, const char *id, GError **error)
{
  /* The identity goes last among the files: until then the profile is whole. */
  static const char *const names[] = {"netmap.new", "netmap", "identity.new", "identity"};
  StoreFiles *files = store->files;
  g_autofree char *directory = profile_directory (store, id);
  g_autofree char *parent = g_build_filename (store->directory, "profiles", NULL);
  int code = 0;
  for (size_t i = 0; i < G_N_ELEMENTS (names) && code == 0; i++) {
    g_autofree char *path = g_build_filename (directory, names[i], NULL);
    code = files->unlink (files, path);
  }
  if (code == 0)
    code = files->remove_directory (files, directory);
  if (code == 0)
    code = files->sync_directory (files, parent);
  return code == 0 || fail (error, code, "remove", directory);
}

bool
store_save_active (Store *store, const char *id, GError **error)
{
  uint8_t data[128];
  ByteWriter w = byte_writer (data, sizeof data);
  record_begin (&w, ACTIVE_FORMAT);
  record_field (&w, "profile", id);
  record_end (&w);
  return replace_file (store, store->directory, "active", data, w.pos, error);
}

void
store_load_active (Store *store, char out[PROFILE_ID_SIZE])
{
  out[0] = '\0';
  g_autofree char *path = g_build_filename (store->directory, "active", NULL);
  size_t size = 0;
  bool missing = false;
  uint8_t *data = read_secret_file (path, &size, &missing, NULL);
  if (!data)
    return;
  char found[PROFILE_ID_SIZE] = "";
  RecordReader r;
  record_reader_init (&r, data, size, ACTIVE_FORMAT);
  RecordResult step;
  while ((step = record_reader_next (&r)) == RECORD_FIELD)
    if (strcmp (r.name, "profile") == 0 && profile_id_is_valid (r.value))
      g_strlcpy (found, r.value, sizeof found);
  secret_free (data);
  if (step == RECORD_END)
    memcpy (out, found, sizeof found);
}

static char *
netmap_path (Store *store, const char *id)
{
  return g_build_filename (store->directory, "profiles", id, "netmap", NULL);
}

GBytes *
store_load_netmap (Store *store, const char *id)
{
  g_autofree char *path = netmap_path (store, id);
  struct stat st;
  if (lstat (path, &st) < 0 || !S_ISREG (st.st_mode) || st.st_size > STORE_CACHE_MAX)
    return NULL;
  char *data = NULL;
  size_t size = 0;
  if (!g_file_get_contents (path, &data, &size, NULL))
    return NULL;
  return g_bytes_new_take (data, size);
}

bool
store_save_netmap (Store *store, const char *id, const void *data, size_t size, GError **error)
{
  g_autofree char *directory = profile_directory (store, id);
  return replace_file (store, directory, "netmap", data, size, error);
}

void
store_remove_netmap (Store *store, const char *id)
{
  g_autofree char *path = netmap_path (store, id);
  store->files->unlink (store->files, path);
}
