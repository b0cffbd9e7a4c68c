#include "tray/pick.h"

#include <stdlib.h>

typedef struct
{
  WarrenDevice *device;
  int rank; /* lower is better */
} Candidate;

static int
compare_candidates (const Candidate *a, const Candidate *b)
{
  if (a->rank != b->rank)
    return a->rank - b->rank;
  return warren_device_compare (a->device, b->device);
}

/* Keeps BEST sorted; a new candidate pushes the last one out when it is full. */
static void
consider (Candidate *best, guint *n, guint max, Candidate candidate)
{
  guint i;

  if (*n == max && compare_candidates (&candidate, &best[max - 1]) >= 0)
    return;
  if (*n < max)
    (*n)++;
  for (i = *n - 1; i > 0 && compare_candidates (&candidate, &best[i - 1]) < 0; i--)
    best[i] = best[i - 1];
  best[i] = candidate;
}

static int
device_rank (WarrenDevice *device)
{
  WarrenDeviceFlags flags = warren_device_get_flags (device);

  return ((flags & WARREN_DEVICE_ONLINE) != 0 ? 0 : 2)
         + ((flags & WARREN_DEVICE_MINE) != 0 ? 0 : 1);
}

guint
pick_devices (WarrenDeviceList *list, WarrenDevice **out, guint max)
{
  g_autofree Candidate *best = g_new (Candidate, max + 1);
  guint size = warren_device_list_get_size (list);
  guint n = 0;

  for (guint i = 0; i < size; i++) {
    WarrenDevice *device = warren_device_list_peek (list, i);

    if ((warren_device_get_flags (device) & (WARREN_DEVICE_HIDDEN | WARREN_DEVICE_LOCATION)) == 0)
      consider (best, &n, max, (Candidate){device, device_rank (device)});
  }
  for (guint i = 0; i < n; i++)
    out[i] = best[i].device;
  return n;
}

static int
exit_rank (WarrenDevice *device, const char *current, const char *const *recent)
{
  const char *id = warren_device_get_id (device);

  if (g_strcmp0 (id, current) == 0)
    return 0;
  if (recent != NULL && g_strv_contains (recent, id))
    return 1;
  return 2 + device_rank (device);
}

static int
compare_names (const void *a, const void *b)
{
  return warren_device_compare (*(WarrenDevice *const *)a, *(WarrenDevice *const *)b);
}

guint
pick_exit_nodes (WarrenDeviceList *list, const char *current, const char *const *recent,
                 WarrenDevice **out, guint max)
{
  g_autofree Candidate *best = g_new (Candidate, max + 1);
  guint size = warren_device_list_get_size (list);
  guint n = 0;

  for (guint i = 0; i < size; i++) {
    WarrenDevice *device = warren_device_list_peek (list, i);
    WarrenDeviceFlags flags = warren_device_get_flags (device);
    int rank;

    if ((flags & WARREN_DEVICE_EXIT_CAPABLE) == 0)
      continue;
    rank = exit_rank (device, current, recent);
    if (rank < 2 || (flags & (WARREN_DEVICE_LOCATION | WARREN_DEVICE_HIDDEN)) == 0)
      consider (best, &n, max, (Candidate){device, rank});
  }
  for (guint i = 0; i < n; i++)
    out[i] = best[i].device;
  qsort (out, n, sizeof *out, compare_names);
  return n;
}
