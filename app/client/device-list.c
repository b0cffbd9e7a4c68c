#include "client/device-list.h"

struct _WarrenDeviceList
{
  GObject parent;

  GPtrArray *devices;
  GHashTable *by_id; /* id (the device's own string) → device */
};

enum
{
  SIGNAL_UPDATED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

static GType
warren_device_list_get_item_type (GListModel *model)
{
  return WARREN_TYPE_DEVICE;
}

static guint
warren_device_list_get_n_items (GListModel *model)
{
  return WARREN_DEVICE_LIST (model)->devices->len;
}

static gpointer
warren_device_list_get_item (GListModel *model, guint position)
{
  WarrenDeviceList *self = WARREN_DEVICE_LIST (model);

  return position < self->devices->len ? g_object_ref (self->devices->pdata[position]) : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = warren_device_list_get_item_type;
  iface->get_n_items = warren_device_list_get_n_items;
  iface->get_item = warren_device_list_get_item;
}

G_DEFINE_FINAL_TYPE_WITH_CODE (WarrenDeviceList, warren_device_list, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static void
warren_device_list_finalize (GObject *object)
{
  WarrenDeviceList *self = WARREN_DEVICE_LIST (object);

  g_clear_pointer (&self->by_id, g_hash_table_unref);
  g_clear_pointer (&self->devices, g_ptr_array_unref);
  G_OBJECT_CLASS (warren_device_list_parent_class)->finalize (object);
}

static void
warren_device_list_class_init (WarrenDeviceListClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_device_list_finalize;
  signals[SIGNAL_UPDATED] = g_signal_new ("updated", WARREN_TYPE_DEVICE_LIST, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
}

static void
warren_device_list_init (WarrenDeviceList *self)
{
  self->devices = g_ptr_array_new_with_free_func (g_object_unref);
  self->by_id = g_hash_table_new (g_str_hash, g_str_equal);
}

WarrenDeviceList *
warren_device_list_new (void)
{
  return g_object_new (WARREN_TYPE_DEVICE_LIST, NULL);
}

/* The keys of by_id live in the devices' rows, so an update exchanges key and row together. */
static WarrenDeviceChange
update_device (WarrenDeviceList *self, WarrenDevice *device, GVariant *row)
{
  WarrenDeviceChange change;

  g_hash_table_remove (self->by_id, warren_device_get_id (device));
  change = warren_device_update (device, row);
  g_hash_table_insert (self->by_id, (gpointer)warren_device_get_id (device), device);
  return change;
}

/* New devices go to the end and are announced as one block. */
static WarrenDeviceChange
apply_rows (WarrenDeviceList *self, GVariant *rows)
{
  guint before = self->devices->len;
  WarrenDeviceChange change = 0;
  GVariantIter iter;
  GVariant *row;

  g_variant_iter_init (&iter, rows);
  while ((row = g_variant_iter_next_value (&iter)) != NULL) {
    g_autoptr (GVariant) held = row;
    WarrenDevice *device;
    const char *id;

    g_variant_get_child (held, 0, "&s", &id);
    device = g_hash_table_lookup (self->by_id, id);
    if (device != NULL) {
      change |= update_device (self, device, held);
      continue;
    }
    device = warren_device_new (held);
    g_ptr_array_add (self->devices, device);
    g_hash_table_insert (self->by_id, (gpointer)warren_device_get_id (device), device);
  }
  if (self->devices->len > before)
    g_list_model_items_changed (G_LIST_MODEL (self), before, 0, self->devices->len - before);
  return change;
}

static void
remove_device (WarrenDeviceList *self, WarrenDevice *device)
{
  guint position;

  if (!g_ptr_array_find (self->devices, device, &position))
    return;
  g_hash_table_remove (self->by_id, warren_device_get_id (device));
  g_ptr_array_remove_index (self->devices, position);
  g_list_model_items_changed (G_LIST_MODEL (self), position, 1, 0);
}

static void
remove_absent (WarrenDeviceList *self, GVariant *rows)
{
  g_autoptr (GHashTable) present = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) gone = g_ptr_array_new ();
  gsize n = g_variant_n_children (rows);

  for (gsize i = 0; i < n; i++) {
    g_autoptr (GVariant) row = g_variant_get_child_value (rows, i);
    const char *id;

    g_variant_get_child (row, 0, "&s", &id);
    g_hash_table_add (present, (gpointer)id);
  }
  for (guint i = 0; i < self->devices->len; i++)
    if (!g_hash_table_contains (present, warren_device_get_id (self->devices->pdata[i])))
      g_ptr_array_add (gone, self->devices->pdata[i]);
  if (gone->len == self->devices->len) {
    warren_device_list_clear (self);
    return;
  }
  for (guint i = 0; i < gone->len; i++)
    remove_device (self, gone->pdata[i]);
}

void
warren_device_list_apply (WarrenDeviceList *self, GVariant *rows, gboolean full,
                          const char *const *removed)
{
  WarrenDeviceChange change;

  g_return_if_fail (g_variant_is_of_type (rows, G_VARIANT_TYPE ("a" WARREN_DEVICE_ROW_TYPE)));

  /* A message from the bus is a tree of some twenty small objects a row; one block takes a tenth.
   */
  g_variant_get_data (rows);
  if (full && self->devices->len > 0)
    remove_absent (self, rows);
  for (gsize i = 0; removed != NULL && removed[i] != NULL; i++) {
    WarrenDevice *device = g_hash_table_lookup (self->by_id, removed[i]);

    if (device != NULL)
      remove_device (self, device);
  }
  change = apply_rows (self, rows);
  g_signal_emit (self, signals[SIGNAL_UPDATED], 0, change);
}

void
warren_device_list_clear (WarrenDeviceList *self)
{
  g_autoptr (GPtrArray) devices = g_steal_pointer (&self->devices);
  guint n = devices->len;

  self->devices = g_ptr_array_new_with_free_func (g_object_unref);
  g_hash_table_remove_all (self->by_id);
  if (n > 0)
    g_list_model_items_changed (G_LIST_MODEL (self), 0, n, 0);
}

guint
warren_device_list_get_size (WarrenDeviceList *self)
{
  return self->devices->len;
}

WarrenDevice *
warren_device_list_peek (WarrenDeviceList *self, guint position)
{
  return position < self->devices->len ? self->devices->pdata[position] : NULL;
}

WarrenDevice *
warren_device_list_lookup (WarrenDeviceList *self, const char *id)
{
  return g_hash_table_lookup (self->by_id, id);
}
