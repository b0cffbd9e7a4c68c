#include "coordinator/backup.h"

#include "base/memory.h"
#include "coordinator/server-files.h"
#include "coordinator/setup.h"
#include "coordinator/state.h"
#include "coordinator/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATABASE   "coordinator.db"
#define KIND       "file"
#define PATH_SIZE  4096
#define BLOCK      65536
#define BUSY_MS    5000
#define STALLED_MS 30000 /* of a reader that takes nothing */

/* What belongs to a network besides its database. */
static const char *const beside[]
    = {"server.key", "relay.key", "relay.key.pem", "relay.crt", SETUP_CONFIG_NAME};

#define N_BESIDE (sizeof beside / sizeof beside[0])

static bool
fail (char **error, const char *what, const char *reason)
{
  if (error && !*error && asprintf (error, "%s: %s", what, reason) < 0)
    *error = NULL;
  return false;
}

/* ---- writing ---- */

static bool
run_with_text (sqlite3 *db, const char *sql, const char *a, const char *b, const char *c)
{
  sqlite3_stmt *statement = NULL;
  bool ok = sqlite3_prepare_v2 (db, sql, -1, &statement, NULL) == SQLITE_OK;

  if (ok) {
    sqlite3_bind_text (statement, 1, a, -1, SQLITE_STATIC);
    if (b)
      sqlite3_bind_text (statement, 2, b, -1, SQLITE_STATIC);
    if (c)
      sqlite3_bind_text (statement, 3, c, -1, SQLITE_STATIC);
    ok = sqlite3_step (statement) == SQLITE_DONE;
  }
  sqlite3_finalize (statement);
  return ok;
}

/* One moment of the database at FROM, whole, as TO. */
static bool
copy_database (const char *from, const char *to, char **error)
{
  sqlite3 *db = NULL;
  bool ok = sqlite3_open_v2 (from, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK;

  if (ok) {
    sqlite3_busy_timeout (db, BUSY_MS);
    ok = run_with_text (db, "VACUUM INTO ?1", to, NULL, NULL);
  }
  if (!ok)
    fail (error, from, db ? sqlite3_errmsg (db) : "out of memory");
  sqlite3_close (db);
  return ok;
}

static bool
add_files (const char *dir, const char *copy, char **error)
{
  char path[PATH_SIZE];
  sqlite3 *db = NULL;
  bool ok = sqlite3_open (copy, &db) == SQLITE_OK;

  for (size_t i = 0; ok && i < N_BESIDE; i++) {
    snprintf (path, sizeof path, "%s/%s", dir, beside[i]);
    char *text = server_read_file (path);
    if (!text)
      continue; /* a network without a relay has no key for one */
    ok = run_with_text (db, "INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)", KIND, beside[i],
                        text);
    sodium_memzero (text, strlen (text));
    free (text);
  }
  if (!ok)
    fail (error, copy, sqlite3_errmsg (db));
  sqlite3_close (db);
  return ok;
}

/* Waits for a slow reader, but not for one that has stopped to read. */
static bool
write_all (int fd, const char *data, size_t size)
{
  while (size > 0) {
    ssize_t n = send (fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK)
      n = write (fd, data, size);
    if (n > 0) {
      data += n;
      size -= (size_t)n;
    } else if (errno == EAGAIN) {
      struct pollfd p = {.fd = fd, .events = POLLOUT};
      if (poll (&p, 1, STALLED_MS) == 0)
        return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

static bool
send_file (const char *path, int fd, char **error)
{
  char *block = mem_new (BLOCK);
  int in = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t n = -1;

  while (in >= 0 && (n = read (in, block, BLOCK)) > 0)
    if (!write_all (fd, block, (size_t)n))
      break;
  bool ok = n == 0;
  if (!ok)
    fail (error, "could not write the copy", strerror (errno));
  if (in >= 0)
    close (in);
  free (block);
  return ok;
}

/* PREFIX goes out before the copy, once it is complete. */
static bool
write_copy (const char *dir, int fd, const char *prefix, size_t prefix_size, char **error)
{
  char database[PATH_SIZE], copy[PATH_SIZE];

  snprintf (database, sizeof database, "%s/" DATABASE, dir);
  snprintf (copy, sizeof copy, "%s/backup-XXXXXX", dir);
  int made = mkstemp (copy);
  if (made < 0)
    return fail (error, copy, strerror (errno));
  close (made);
  bool ok = copy_database (database, copy, error) && add_files (dir, copy, error)
            && write_all (fd, prefix, prefix_size) && send_file (copy, fd, error);
  unlink (copy);
  return ok;
}

bool
backup_write (const char *dir, int fd, char **error)
{
  *error = NULL;
  return write_copy (dir, fd, "", 0, error);
}

typedef struct
{
  char *dir;
  int fd;
} Task;

static void *
serve (void *user_data)
{
  Task *task = user_data;
  char *error = NULL;

  if (!write_copy (task->dir, task->fd, "", 1, &error)) {
    /* Before its first byte nothing has gone out. */
    write_all (task->fd, "\1", 1);
    write_all (task->fd, error ? error : "out of memory", error ? strlen (error) : 13);
    write_all (task->fd, "\n", 1);
  }
  close (task->fd);
  free (error);
  free (task->dir);
  free (task);
  return NULL;
}

void
backup_serve (const char *dir, int fd)
{
  Task *task = mem_new (sizeof *task);
  pthread_attr_t detached;
  pthread_t thread;

  *task = (Task){mem_strndup (dir, strlen (dir)), fd};
  pthread_attr_init (&detached);
  pthread_attr_setdetachstate (&detached, PTHREAD_CREATE_DETACHED);
  if (pthread_create (&thread, &detached, serve, task) != 0)
    serve (task);
  pthread_attr_destroy (&detached);
}

/* ---- restoring ---- */

static bool
is_intact (const char *path, char **error)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  bool ok
      = sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK
        && sqlite3_prepare_v2 (db, "PRAGMA integrity_check(1)", -1, &statement, NULL) == SQLITE_OK
        && sqlite3_step (statement) == SQLITE_ROW
        && strcmp ((const char *)sqlite3_column_text (statement, 0), "ok") == 0;

  sqlite3_finalize (statement);
  if (!ok)
    fail (error, "the copy is damaged, or none", db ? sqlite3_errmsg (db) : "out of memory");
  sqlite3_close (db);
  return ok;
}

typedef struct
{
  State *state;
  const char *dir; /* files are written there; NULL: records are only tried */
  bool has_key;
  const char *reason;
} Load;

static bool
load_record (const StoreRecord *record, void *user_data)
{
  Load *load = user_data;
  char path[PATH_SIZE];

  if (strcmp (record->table, KIND) != 0)
    return load->dir
           || state_load (load->state, record->table, record->name, record->value, &load->reason);
  for (size_t i = 0; i < N_BESIDE; i++) {
    if (strcmp (record->name, beside[i]) != 0)
      continue; /* no other name reaches the disk */
    load->has_key |= i == 0;
    snprintf (path, sizeof path, "%s/%s", load->dir ? load->dir : "", beside[i]);
    if (load->dir && !server_write_file (load->dir, path, record->value)) {
      load->reason = "a file could not be written";
      return false;
    }
  }
  return true;
}

/* Every record of the copy can be read by this version; then its files go to DIR, if there is one.
 */
static bool
load_copy (const char *copy, const char *dir, char **error)
{
  Load load = {.dir = dir};
  Store *store = store_open (copy, error);
  bool ok = store != NULL;

  if (ok) {
    load.state = state_new (&(StateConfig){.url = ""}, random_system ());
    ok = store_load (store, load_record, &load, error);
    if (!ok || load.reason)
      ok = fail (error, "a record is damaged", load.reason ? load.reason : "");
    else if (!load.has_key)
      ok = fail (error, "the copy", "the server's key is missing");
    state_free (load.state);
  }
  store_close (store);
  return ok;
}

static bool
drop_files (const char *path, char **error)
{
  sqlite3 *db = NULL;
  bool ok = sqlite3_open (path, &db) == SQLITE_OK
            && sqlite3_exec (db,
                             "DELETE FROM record WHERE kind = '" KIND "'; VACUUM;"
                             "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;",
                             NULL, NULL, NULL)
                   == SQLITE_OK;

  if (!ok)
    fail (error, path, sqlite3_errmsg (db));
  sqlite3_close (db);
  return ok;
}

/* What stands in the log of the database goes into it, so that one file is all of it. */
static void
finish_log (const char *path)
{
  sqlite3 *db = NULL;

  if (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
    sqlite3_exec (db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
  sqlite3_close (db);
}

/* Keeps what is in DIR in a folder of its own there. */
static bool
put_aside (const char *dir, char **aside, char **error)
{
  static const char *const more[] = {DATABASE, DATABASE "-wal", DATABASE "-shm"};
  char from[PATH_SIZE], to[PATH_SIZE], name[64];
  time_t now = time (NULL);
  struct tm date;
  bool ok = true;

  snprintf (from, sizeof from, "%s/" DATABASE, dir);
  if (access (from, F_OK) != 0)
    return true;
  finish_log (from);
  strftime (name, sizeof name, "before-%Y%m%d-%H%M%S", gmtime_r (&now, &date));
  if (asprintf (aside, "%s/%s", dir, name) < 0 || mkdir (*aside, 0700) != 0)
    return fail (error, *aside, strerror (errno));
  for (size_t i = 0; i < N_BESIDE + 3; i++) {
    const char *file = i < N_BESIDE ? beside[i] : more[i - N_BESIDE];
    snprintf (from, sizeof from, "%s/%s", dir, file);
    snprintf (to, sizeof to, "%s/%s", *aside, file);
    /* All but the log stay in place, too, until they are replaced. */
    bool is_log = i > N_BESIDE;
    ok = ok && ((is_log ? rename (from, to) : link (from, to)) == 0 || errno == ENOENT);
  }
  return ok || fail (error, *aside, strerror (errno));
}

bool
backup_restore (const char *dir, const char *file, char **aside, char **error)
{
  char incoming[PATH_SIZE], database[PATH_SIZE], wal[PATH_SIZE + 8];

  *aside = *error = NULL;
  snprintf (incoming, sizeof incoming, "%s/incoming.db", dir);
  snprintf (database, sizeof database, "%s/" DATABASE, dir);
  if (mkdir (dir, 0700) != 0 && errno != EEXIST)
    return fail (error, dir, strerror (errno));
  unlink (incoming);
  bool ok = is_intact (file, error) && copy_database (file, incoming, error)
            && chmod (incoming, 0600) == 0 && load_copy (incoming, NULL, error)
            && put_aside (dir, aside, error) && load_copy (incoming, dir, error)
            && drop_files (incoming, error);
  if (ok && rename (incoming, database) != 0)
    ok = fail (error, database, strerror (errno));
  int folder = ok ? open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (folder >= 0) {
    fsync (folder);
    close (folder);
  }
  static const char *const left[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
    snprintf (wal, sizeof wal, "%s%s", incoming, left[i]);
    unlink (wal);
  }
  return ok;
}
