/* One device of the network as a row of Peers.Subscribe. spec/desktop.md §8.5.
 *
 * Ten thousand of them are normal, so a device keeps the row as it came (one block of bytes shared
 * by all rows of a message) and makes sort and search keys only when a view asks for them. Emits
 * "changed" with WarrenDeviceChange bits. Not the details of Peers.GetPeer. Main thread. */
#pragma once

#include <gio/gio.h>

typedef enum
{
  WARREN_DEVICE_ONLINE = 1,
  WARREN_DEVICE_ACTIVE = 2,
  WARREN_DEVICE_EXPIRED = 4,
  WARREN_DEVICE_EXIT_CAPABLE = 8,
  WARREN_DEVICE_EXIT_CURRENT = 16,
  WARREN_DEVICE_TAGGED = 32,
  WARREN_DEVICE_SHARED_IN = 64,
  WARREN_DEVICE_HIDDEN = 128,
  WARREN_DEVICE_RECEIVES_FILES = 256,
  WARREN_DEVICE_SSH_KEYS = 512,
  WARREN_DEVICE_SUBNET_ROUTER = 1024,
  WARREN_DEVICE_MINE = 2048,
  WARREN_DEVICE_LOCATION = 4096,
  WARREN_DEVICE_DIRECT = 8192,
  WARREN_DEVICE_RELAYED = 16384,
  WARREN_DEVICE_PEER_RELAY = 32768,
  WARREN_DEVICE_LOCKED_OUT = 65536,
} WarrenDeviceFlags;

/* Flags that seldom change and say where a device belongs. */
#define WARREN_DEVICE_GROUP_FLAGS                                                                  \
  (WARREN_DEVICE_EXIT_CAPABLE | WARREN_DEVICE_TAGGED | WARREN_DEVICE_SHARED_IN                     \
   | WARREN_DEVICE_HIDDEN | WARREN_DEVICE_MINE | WARREN_DEVICE_LOCATION)

typedef enum
{
  WARREN_DEVICE_CHANGED_NAME = 1, /* what lists sort by and search */
  WARREN_DEVICE_CHANGED_FLAGS = 2,
  WARREN_DEVICE_CHANGED_OTHER = 4,
  WARREN_DEVICE_CHANGED_GROUP = 8, /* flags that lists group and filter by */
} WarrenDeviceChange;

#define WARREN_DEVICE_ROW_TYPE "(sssassstuxa{sv})"

#define WARREN_TYPE_DEVICE (warren_device_get_type ())
G_DECLARE_FINAL_TYPE (WarrenDevice, warren_device, WARREN, DEVICE, GObject)

/* ROW is of WARREN_DEVICE_ROW_TYPE; a floating reference is sunk. */
WarrenDevice *warren_device_new (GVariant *row);

/* Takes a newer row of the same id; emits "changed" and returns its bits if anything differs. */
WarrenDeviceChange warren_device_update (WarrenDevice *device, GVariant *row);

/* Borrowed until the next update; never NULL. */
const char *warren_device_get_id (WarrenDevice *device);
const char *warren_device_get_name (WarrenDevice *device);
const char *warren_device_get_fqdn (WarrenDevice *device);
const char *warren_device_get_os (WarrenDevice *device);
const char *warren_device_get_owner (WarrenDevice *device);
const char *warren_device_get_address (WarrenDevice *device); /* the first, or "" */
char **warren_device_dup_addresses (WarrenDevice *device);    /* IPv4 first */

WarrenDeviceFlags warren_device_get_flags (WarrenDevice *device);
gboolean warren_device_is_online (WarrenDevice *device);
gint64 warren_device_get_last_seen (WarrenDevice *device); /* Unix seconds, 0 = unknown */

/* Extra fields that only some rows have: NULL or 0 where there is none. */
char **warren_device_dup_extra_strv (WarrenDevice *device, const char *key);
char *warren_device_dup_extra_string (WarrenDevice *device, const char *key);
gint64 warren_device_get_extra_time (WarrenDevice *device, const char *key);

/* "Zurich, Switzerland", or NULL where the row tells no place. */
char *warren_device_dup_place (WarrenDevice *device);

/* What a person calls it as an exit node: its place, else its name. */
char *warren_device_dup_exit_label (WarrenDevice *device);

/* Order by name as the locale sorts, numbers by value; a total order (ids break ties). */
int warren_device_compare (WarrenDevice *a, WarrenDevice *b);

/* NEEDLE comes from warren_search_fold. Looks in name, FQDN, addresses, owner, tags, OS and place.
 */
gboolean warren_device_matches (WarrenDevice *device, const char *needle);

/* Lower case without diacritics, for comparing what people type. Free with g_free. */
char *warren_search_fold (const char *text);
