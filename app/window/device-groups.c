#include "window/device-groups.h"

#include <glib/gi18n-lib.h>

#define SORT_INTERVAL_S 1 /* names change rarely; rows must not jump about */

typedef enum
{
  GROUP_MINE,
  GROUP_OTHERS,
  GROUP_TAGGED,
  GROUP_SHARED,
  N_GROUPS,
} GroupKind;

struct _WarrenGroup
{
  GObject parent;
  GroupKind kind;
};

G_DEFINE_FINAL_TYPE (WarrenGroup, warren_group, G_TYPE_OBJECT)

typedef struct
{
  WarrenDeviceGroups *owner; /* not a reference */
  GroupKind kind;
  GtkFilter *filter;
  GListModel *members;
  GListStore *heading; /* one WarrenGroup, or nothing while the group is empty */
} Group;

struct _WarrenDeviceGroups
{
  GObject parent;

  WarrenDeviceList *devices;
  GtkSorter *sorter;
  GListModel *model;
  Group groups[N_GROUPS];
  char *needle; /* folded */
  guint sort_id;
};

G_DEFINE_FINAL_TYPE (WarrenDeviceGroups, warren_device_groups, G_TYPE_OBJECT)

static void
warren_group_class_init (WarrenGroupClass *klass)
{
}

static void
warren_group_init (WarrenGroup *self)
{
}

const char *
warren_group_get_title (WarrenGroup *self)
{
  static const char *const titles[N_GROUPS] = {
      [GROUP_MINE] = N_ ("My Devices"),
      [GROUP_OTHERS] = N_ ("Devices of Others"),
      [GROUP_TAGGED] = N_ ("Tagged"),
      [GROUP_SHARED] = N_ ("Shared With Me"),
  };

  return _ (titles[self->kind]);
}

static GroupKind
kind_of (WarrenDeviceFlags flags)
{
  if (flags & WARREN_DEVICE_SHARED_IN)
    return GROUP_SHARED;
  if (flags & WARREN_DEVICE_TAGGED)
    return GROUP_TAGGED;
  return (flags & WARREN_DEVICE_MINE) != 0 ? GROUP_MINE : GROUP_OTHERS;
}

/* Nodes of a provider are hundreds of exit nodes and nothing else: the picker shows them. */
static gboolean
is_in_group (gpointer item, gpointer user_data)
{
  Group *group = user_data;
  WarrenDevice *device = item;
  WarrenDeviceFlags flags = warren_device_get_flags (device);
  const char *needle = group->owner->needle;

  if (kind_of (flags) != group->kind || (flags & WARREN_DEVICE_LOCATION) != 0)
    return FALSE;
  if ((flags & WARREN_DEVICE_HIDDEN) != 0 && *needle == '\0')
    return FALSE;
  return warren_device_matches (device, needle);
}

static void
on_members_changed (GListModel *members, guint position, guint removed, guint added,
                    gpointer user_data)
{
  Group *group = user_data;
  gboolean shown = g_list_model_get_n_items (G_LIST_MODEL (group->heading)) > 0;
  gboolean wanted = g_list_model_get_n_items (members) > 0;

  if (shown == wanted)
    return;
  if (wanted) {
    g_autoptr (WarrenGroup) heading = g_object_new (WARREN_TYPE_GROUP, NULL);

    heading->kind = group->kind;
    g_list_store_append (group->heading, heading);
  } else {
    g_list_store_remove_all (group->heading);
  }
}

static int
compare (gconstpointer a, gconstpointer b, gpointer user_data)
{
  return warren_device_compare ((WarrenDevice *)a, (WarrenDevice *)b);
}

static void
build_group (WarrenDeviceGroups *self, GroupKind kind, GListModel *sorted, GListStore *parts)
{
  Group *group = &self->groups[kind];
  GtkFilterListModel *members;

  group->owner = self;
  group->kind = kind;
  group->filter = GTK_FILTER (gtk_custom_filter_new (is_in_group, group, NULL));
  group->heading = g_list_store_new (WARREN_TYPE_GROUP);
  members = gtk_filter_list_model_new (g_object_ref (sorted), g_object_ref (group->filter));
  group->members = G_LIST_MODEL (members);
  g_list_store_append (parts, group->heading);
  g_list_store_append (parts, members);
}

/* After the flat model: it must have counted the members before their heading comes or goes. */
static void
watch_group (Group *group)
{
  g_signal_connect (group->members, "items-changed", G_CALLBACK (on_members_changed), group);
  on_members_changed (group->members, 0, 0, 0, group);
}

static void
filter_again (WarrenDeviceGroups *self, GtkFilterChange change)
{
  for (guint i = 0; i < N_GROUPS; i++)
    gtk_filter_changed (self->groups[i].filter, change);
}

static gboolean
on_sort (gpointer data)
{
  WarrenDeviceGroups *self = data;

  self->sort_id = 0;
  gtk_sorter_changed (self->sorter, GTK_SORTER_CHANGE_DIFFERENT);
  return G_SOURCE_REMOVE;
}

static void
on_updated (WarrenDeviceGroups *self, guint change)
{
  if ((change & WARREN_DEVICE_CHANGED_NAME) != 0 && self->sort_id == 0)
    self->sort_id = g_timeout_add_seconds (SORT_INTERVAL_S, on_sort, self);
  if ((change & WARREN_DEVICE_CHANGED_GROUP) != 0
      || ((change & WARREN_DEVICE_CHANGED_NAME) != 0 && *self->needle != '\0'))
    filter_again (self, GTK_FILTER_CHANGE_DIFFERENT);
}

static void
warren_device_groups_dispose (GObject *object)
{
  WarrenDeviceGroups *self = WARREN_DEVICE_GROUPS (object);

  g_clear_handle_id (&self->sort_id, g_source_remove);
  g_clear_object (&self->model);
  for (guint i = 0; i < N_GROUPS; i++) {
    g_clear_object (&self->groups[i].filter);
    if (self->groups[i].members != NULL)
      g_signal_handlers_disconnect_by_data (self->groups[i].members, &self->groups[i]);
    g_clear_object (&self->groups[i].members);
    g_clear_object (&self->groups[i].heading);
  }
  g_clear_object (&self->sorter);
  g_clear_object (&self->devices);
  g_clear_pointer (&self->needle, g_free);
  G_OBJECT_CLASS (warren_device_groups_parent_class)->dispose (object);
}

static void
warren_device_groups_class_init (WarrenDeviceGroupsClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = warren_device_groups_dispose;
}

static void
warren_device_groups_init (WarrenDeviceGroups *self)
{
  self->needle = g_strdup ("");
}

WarrenDeviceGroups *
warren_device_groups_new (WarrenDeviceList *devices)
{
  WarrenDeviceGroups *self = g_object_new (WARREN_TYPE_DEVICE_GROUPS, NULL);
  GListStore *parts = g_list_store_new (G_TYPE_LIST_MODEL);
  g_autoptr (GtkSortListModel) sorted = NULL;

  self->devices = g_object_ref (devices);
  self->sorter = GTK_SORTER (gtk_custom_sorter_new (compare, NULL, NULL));
  sorted = gtk_sort_list_model_new (G_LIST_MODEL (g_object_ref (devices)),
                                    g_object_ref (self->sorter));
  for (guint i = 0; i < N_GROUPS; i++)
    build_group (self, i, G_LIST_MODEL (sorted), parts);
  self->model = G_LIST_MODEL (gtk_flatten_list_model_new (G_LIST_MODEL (parts)));
  for (guint i = 0; i < N_GROUPS; i++)
    watch_group (&self->groups[i]);
  g_signal_connect_object (devices, "updated", G_CALLBACK (on_updated), self, G_CONNECT_SWAPPED);
  return self;
}

GListModel *
warren_device_groups_get_model (WarrenDeviceGroups *self)
{
  return self->model;
}

void
warren_device_groups_search (WarrenDeviceGroups *self, const char *text)
{
  g_autofree char *before = self->needle;
  g_autofree char *trimmed = g_strstrip (g_strdup (text));

  self->needle = warren_search_fold (trimmed);
  if (g_str_equal (before, self->needle))
    return;
  /* Saying which way it went spares looking at devices that cannot have changed. */
  if (*before != '\0' && g_str_has_prefix (self->needle, before))
    filter_again (self, GTK_FILTER_CHANGE_MORE_STRICT);
  else
    filter_again (self, GTK_FILTER_CHANGE_DIFFERENT);
}
