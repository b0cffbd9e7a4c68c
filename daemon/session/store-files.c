#include "session/store-files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int
result (int rc)
{
  return rc < 0 ? errno : 0;
}

static int
files_create (StoreFiles *files, const char *path)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return errno;
  return result (close (fd));
}

static int
files_write (StoreFiles *files, const char *path, const void *data, size_t size)
{
  int fd = open (path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return errno;
  const char *next = data;
  int failure = 0;
  while (size > 0 && failure == 0) {
    ssize_t n = write (fd, next, size);
    if (n < 0) {
      failure = errno == EINTR ? 0 : errno;
      continue;
    }
    next += n;
    size -= (size_t)n;
  }
  if (close (fd) < 0 && failure == 0)
    failure = errno;
  return failure;
}

static int
sync_path (const char *path, int flags)
{
  int fd = open (path, flags | O_CLOEXEC);
  if (fd < 0)
    return errno;
  int failure = result (fsync (fd));
  close (fd);
  return failure;
}

static int
files_sync (StoreFiles *files, const char *path)
{
  return sync_path (path, O_WRONLY | O_NOFOLLOW);
}

static int
files_rename (StoreFiles *files, const char *from, const char *to)
{
  return result (rename (from, to));
}

static int
files_sync_directory (StoreFiles *files, const char *path)
{
  return sync_path (path, O_RDONLY | O_DIRECTORY);
}

static int
files_make_directory (StoreFiles *files, const char *path)
{
  if (mkdir (path, 0700) == 0 || errno == EEXIST)
    return 0;
  return errno;
}

static int
files_unlink (StoreFiles *files, const char *path)
{
  if (unlink (path) == 0 || errno == ENOENT)
    return 0;
  return errno;
}

static int
files_remove_directory (StoreFiles *files, const char *path)
{
  if (rmdir (path) == 0 || errno == ENOENT)
    return 0;
  return errno;
}

StoreFiles *
store_files_system (void)
{
  static StoreFiles files = {
      .create = files_create,
      .write = files_write,
      .sync = files_sync,
      .rename = files_rename,
      .sync_directory = files_sync_directory,
      .make_directory = files_make_directory,
      .unlink = files_unlink,
      .remove_directory = files_remove_directory,
  };
  return &files;
}
