#include "capabilities.h"

#include "base/log.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT ((1u << CAP_NET_ADMIN) | (1u << CAP_NET_RAW))

void
capabilities_reduce (void)
{
  for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
    if (cap != CAP_NET_ADMIN && cap != CAP_NET_RAW)
      prctl (PR_CAPBSET_DROP, cap, 0, 0,
             0); /* needs CAP_SETPCAP; without it there is none to drop */
  prctl (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  memset (data, 0, sizeof data);
  if (syscall (SYS_capget, &header, data) < 0) {
    log_error ("main", "capget: %s", strerror (errno));
    return;
  }
  unsigned kept = data[0].permitted & KEPT;
  memset (data, 0, sizeof data);
  data[0].permitted = data[0].effective = kept;
  if (syscall (SYS_capset, &header, data) < 0)
    log_error ("main", "capset: %s", strerror (errno));
  if (!(kept & (1u << CAP_NET_ADMIN)))
    log_warning ("main", "started without CAP_NET_ADMIN: the tunnel cannot be opened");
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
