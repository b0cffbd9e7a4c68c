/* Where the coordinator's records are kept: a small interface, so that another database can serve
 * where one machine is outgrown. Implemented by store-sqlite. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct Store Store;

typedef struct
{
  const char *table; /* "node", "user", "key", "setting" */
  const char *name;
  const char *value; /* NULL deletes */
} StoreRecord;

/* Opens or creates the database at PATH. NULL and *ERROR (malloc'd) on failure; a database of a
 * newer version is refused and left as it is. */
Store *store_open (const char *path, char **error);
void store_close (Store *store);

/* Calls EACH for every record, users and settings before nodes; stops when it returns false. */
bool store_load (Store *store, bool (*each) (const StoreRecord *record, void *user_data),
                 void *user_data, char **error);

/* Writes N records in one transaction that is on disk when this returns true. */
bool store_commit (Store *store, const StoreRecord *records, size_t n, char **error);

/* A copy of the whole database at PATH, while it is in use. */
bool store_backup (Store *store, const char *path, char **error);
