/* The few file operations that the store is made of, so that a test can fail or "kill" any of them.
 *
 * One implementation talks to the operating system; session/store is the only user. Each function
 * returns 0 or an errno value. Main thread; every call may block on the disk. */
#pragma once

#include <glib.h>
#include <stddef.h>

typedef struct StoreFiles StoreFiles;
struct StoreFiles
{
  /* Creates PATH (0600, must not exist), writes SIZE bytes, flushes to disk, closes. */
  int (*create) (StoreFiles *files, const char *path);
  int (*write) (StoreFiles *files, const char *path, const void *data, size_t size);
  int (*sync) (StoreFiles *files, const char *path);
  int (*rename) (StoreFiles *files, const char *from, const char *to);
  int (*sync_directory) (StoreFiles *files, const char *path);
  int (*make_directory) (StoreFiles *files, const char *path); /* 0700; an existing one is fine */
  int (*unlink) (StoreFiles *files, const char *path);         /* a missing one is fine */
  int (*remove_directory) (StoreFiles *files, const char *path);
};

/* The operating system's. */
StoreFiles *store_files_system (void);
