#include "host/socket-mark.h"

#include "host/config.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The device of the first IPv4 default route, "lo" when there is none: a socket bound to loopback
 * reaches nobody, but it never loops. */
static void
default_device (char name[IF_NAMESIZE])
{
  FILE *file = fopen ("/proc/net/route", "re");
  char line[256];

  strcpy (name, "lo");
  if (!file)
    return;
  for (int i = 0; i < 1000 && fgets (line, sizeof line, file); i++) {
    char device[IF_NAMESIZE];
    unsigned destination, mask;
    if (sscanf (line, "%15s %x %*x %*x %*d %*d %*d %x", device, &destination, &mask) == 3
        && destination == 0 && mask == 0) {
      strcpy (name, device);
      break;
    }
  }
  fclose (file);
}

bool
socket_mark (int fd)
{
  unsigned mark = HOST_MARK_BYPASS;
  char device[IF_NAMESIZE];

  if (setsockopt (fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0)
    return true;
  if (errno != EPERM)
    return false;
  default_device (device);
  return setsockopt (fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen (device)) == 0;
}
