#include "coordinator/store.h"

#include "base/memory.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT       1
#define BACKUP_PAGES 256 /* copied at a time */

struct Store
{
  sqlite3 *db;
  sqlite3_stmt *put;
  sqlite3_stmt *drop;
};

static void
set_error (char **error, sqlite3 *db, const char *what)
{
  if (error && asprintf (error, "%s: %s", what, db ? sqlite3_errmsg (db) : "out of memory") < 0)
    *error = NULL;
}

static bool
execute (sqlite3 *db, const char *sql, char **error)
{
  if (sqlite3_exec (db, sql, NULL, NULL, NULL) == SQLITE_OK)
    return true;
  set_error (error, db, "the database does not answer");
  return false;
}

static int
read_format (sqlite3 *db)
{
  sqlite3_stmt *statement;
  int format = -1;

  if (sqlite3_prepare_v2 (db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK
      && sqlite3_step (statement) == SQLITE_ROW)
    format = sqlite3_column_int (statement, 0);
  sqlite3_finalize (statement);
  return format;
}

static bool
migrate (sqlite3 *db, char **error)
{
  int format = read_format (db);

  if (format > FORMAT || format < 0) {
    if (error
        && asprintf (error, "the database has format %d, which this version does not know", format)
               < 0)
      *error = NULL;
    return false;
  }
  if (format == FORMAT)
    return true;
  return execute (
      db,
      "BEGIN;"
      "CREATE TABLE record (kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
      " PRIMARY KEY (kind, name)) WITHOUT ROWID;"
      "PRAGMA user_version = 1;"
      "COMMIT;",
      error);
}

static bool
prepare (Store *store, char **error)
{
  bool ok = sqlite3_prepare_v2 (store->db, "INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)", -1,
                                &store->put, NULL)
                == SQLITE_OK
            && sqlite3_prepare_v2 (store->db, "DELETE FROM record WHERE kind = ?1 AND name = ?2",
                                   -1, &store->drop, NULL)
                   == SQLITE_OK;

  if (!ok)
    set_error (error, store->db, "the database does not answer");
  return ok;
}

Store *
store_open (const char *path, char **error)
{
  Store *store = mem_new (sizeof *store);
  /* Keys and names are nobody else's business: the file is private from its first byte. */
  int fd = open (path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

  if (fd >= 0)
    close (fd);
  if (sqlite3_open_v2 (path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL)
      != SQLITE_OK) {
    set_error (error, store->db, "could not open the database");
    store_close (store);
    return NULL;
  }
  if (!execute (store->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", error)
      || !migrate (store->db, error) || !prepare (store, error)) {
    store_close (store);
    return NULL;
  }
  return store;
}

void
store_close (Store *store)
{
  if (!store)
    return;
  sqlite3_finalize (store->put);
  sqlite3_finalize (store->drop);
  sqlite3_close (store->db);
  free (store);
}

bool
store_load (Store *store, bool (*each) (const StoreRecord *record, void *user_data),
            void *user_data, char **error)
{
  sqlite3_stmt *statement;
  int result;
  bool ok = true;

  /* "user" > "setting" > "node" > "key": descending puts what others refer to first. */
  if (sqlite3_prepare_v2 (store->db, "SELECT kind, name, value FROM record ORDER BY kind DESC", -1,
                          &statement, NULL)
      != SQLITE_OK) {
    set_error (error, store->db, "could not read the database");
    return false;
  }
  while (ok && (result = sqlite3_step (statement)) == SQLITE_ROW) {
    StoreRecord record = {
        (const char *)sqlite3_column_text (statement, 0),
        (const char *)sqlite3_column_text (statement, 1),
        (const char *)sqlite3_column_text (statement, 2),
    };
    ok = each (&record, user_data);
  }
  if (ok && result != SQLITE_DONE) {
    set_error (error, store->db, "could not read the database");
    ok = false;
  }
  sqlite3_finalize (statement);
  return ok;
}

static bool
write_record (Store *store, const StoreRecord *record)
{
  sqlite3_stmt *statement = record->value ? store->put : store->drop;

  sqlite3_bind_text (statement, 1, record->table, -1, SQLITE_STATIC);
  sqlite3_bind_text (statement, 2, record->name, -1, SQLITE_STATIC);
  if (record->value)
    sqlite3_bind_text (statement, 3, record->value, -1, SQLITE_STATIC);
  bool ok = sqlite3_step (statement) == SQLITE_DONE;
  sqlite3_reset (statement);
  sqlite3_clear_bindings (statement);
  return ok;
}

bool
store_commit (Store *store, const StoreRecord *records, size_t n, char **error)
{
  bool ok = execute (store->db, "BEGIN IMMEDIATE", error);

  if (!ok)
    return false;
  for (size_t i = 0; i < n && ok; i++)
    ok = write_record (store, &records[i]);
  if (ok && sqlite3_exec (store->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
    return true;
  set_error (error, store->db, "could not keep a change");
  sqlite3_exec (store->db, "ROLLBACK", NULL, NULL, NULL);
  return false;
}

bool
store_backup (Store *store, const char *path, char **error)
{
  sqlite3 *copy = NULL;
  bool ok = sqlite3_open (path, &copy) == SQLITE_OK;
  sqlite3_backup *backup = ok ? sqlite3_backup_init (copy, "main", store->db, "main") : NULL;

  if (backup)
    while (sqlite3_backup_step (backup, BACKUP_PAGES) == SQLITE_OK)
      continue;
  ok = backup && sqlite3_backup_finish (backup) == SQLITE_OK;
  if (!ok)
    set_error (error, copy, "could not write the copy");
  sqlite3_close (copy);
  return ok;
}
