/* What a daemon with CAP_NET_ADMIN and CAP_NET_RAW alone cannot do (spec/linux-host.md §11.5).
 *
 * The one seam towards a helper with more rights: writing resolv.conf, telling NetworkManager,
 * persisting forwarding. Everything is asked through this table, so that the daemon itself never
 * needs to be root. Main thread. */
#pragma once

#include <gio/gio.h>

typedef struct HostPrivileged HostPrivileged;
struct HostPrivileged
{
  /* Points the system's resolver at SERVERS (literal addresses) with SEARCH domains. */
  void (*apply_dns) (HostPrivileged *self, const char *backend, const char *const *servers,
                     const char *const *search, GAsyncReadyCallback callback, void *user_data);
  /* Takes that back. */
  void (*revert_dns) (HostPrivileged *self, GAsyncReadyCallback callback, void *user_data);
  gboolean (*finish) (HostPrivileged *self, GAsyncResult *result, GError **error);
  void (*free) (HostPrivileged *self);
};
