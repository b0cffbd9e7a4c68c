#include "instance-lock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char name[] = "\0warrend";

static int
owner_of (const struct sockaddr_un *address, socklen_t length)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return 0;
  struct ucred peer = {0};
  socklen_t size = sizeof peer;
  if (connect (fd, (const struct sockaddr *)address, length) < 0
      || getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
    peer.pid = 0;
  close (fd);
  return (int)peer.pid;
}

bool
instance_lock (int *pid)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy (address.sun_path, name, sizeof name - 1);
  socklen_t length = (socklen_t)(offsetof (struct sockaddr_un, sun_path) + sizeof name - 1);
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  *pid = -1;
  if (fd < 0)
    return false;
  /* Nobody is ever served here; listening only makes the owner's credentials visible. */
  if (bind (fd, (struct sockaddr *)&address, length) == 0 && listen (fd, 1) == 0)
    return true;
  if (errno == EADDRINUSE)
    *pid = owner_of (&address, length);
  close (fd);
  return false;
}
