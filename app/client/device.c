#include "client/device.h"

#include <string.h>

enum
{
  COLUMN_ID,
  COLUMN_NAME,
  COLUMN_FQDN,
  COLUMN_ADDRESSES,
  COLUMN_OS,
  COLUMN_OWNER,
  COLUMN_USER_ID,
  COLUMN_FLAGS,
  COLUMN_LAST_SEEN,
  COLUMN_EXTRA,
};

struct _WarrenDevice
{
  GObject parent;

  GVariant *row;  /* in serialised form, so that the pointers below stay */
  const char *id; /* into row, as the three below */
  const char *name;
  const char *fqdn;
  const char *owner;
  WarrenDeviceFlags flags;

  char *collation_key; /* made when first compared */
  char *search_text;   /* made when first searched */
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenDevice, warren_device, G_TYPE_OBJECT)

static void
drop_row (WarrenDevice *self)
{
  g_clear_pointer (&self->row, g_variant_unref);
  g_clear_pointer (&self->collation_key, g_free);
  g_clear_pointer (&self->search_text, g_free);
}

static void
take_row (WarrenDevice *self, GVariant *row)
{
  drop_row (self);
  self->row = g_variant_ref_sink (row);
  g_variant_get_data (self->row); /* serialises: strings are then stable until the row goes */
  g_variant_get_child (self->row, COLUMN_ID, "&s", &self->id);
  g_variant_get_child (self->row, COLUMN_NAME, "&s", &self->name);
  g_variant_get_child (self->row, COLUMN_FQDN, "&s", &self->fqdn);
  g_variant_get_child (self->row, COLUMN_OWNER, "&s", &self->owner);
  g_variant_get_child (self->row, COLUMN_FLAGS, "u", &self->flags);
}

static void
warren_device_finalize (GObject *object)
{
  drop_row (WARREN_DEVICE (object));
  G_OBJECT_CLASS (warren_device_parent_class)->finalize (object);
}

static void
warren_device_class_init (WarrenDeviceClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_device_finalize;
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", WARREN_TYPE_DEVICE, G_SIGNAL_RUN_LAST, 0, NULL,
                                          NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
}

static void
warren_device_init (WarrenDevice *self)
{
}

WarrenDevice *
warren_device_new (GVariant *row)
{
  WarrenDevice *self = g_object_new (WARREN_TYPE_DEVICE, NULL);

  g_assert (g_variant_is_of_type (row, G_VARIANT_TYPE (WARREN_DEVICE_ROW_TYPE)));
  take_row (self, row);
  return self;
}

WarrenDeviceChange
warren_device_update (WarrenDevice *self, GVariant *row)
{
  g_autoptr (GVariant) held = g_variant_ref_sink (row);
  g_autoptr (GVariant) before = g_variant_ref (self->row);
  const char *name = self->name;
  const char *fqdn = self->fqdn;
  const char *owner = self->owner;
  WarrenDeviceFlags flags = self->flags;
  WarrenDeviceChange change = 0;

  if (g_variant_equal (self->row, held))
    return 0;
  take_row (self, held);
  if (!g_str_equal (name, self->name) || !g_str_equal (fqdn, self->fqdn)
      || !g_str_equal (owner, self->owner))
    change |= WARREN_DEVICE_CHANGED_NAME;
  if (flags != self->flags)
    change |= WARREN_DEVICE_CHANGED_FLAGS;
  if ((flags ^ self->flags) & WARREN_DEVICE_GROUP_FLAGS)
    change |= WARREN_DEVICE_CHANGED_GROUP;
  if (change == 0)
    change = WARREN_DEVICE_CHANGED_OTHER;
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0, change);
  return change;
}

const char *
warren_device_get_id (WarrenDevice *self)
{
  return self->id;
}

const char *
warren_device_get_name (WarrenDevice *self)
{
  return self->name;
}

const char *
warren_device_get_fqdn (WarrenDevice *self)
{
  return self->fqdn;
}

const char *
warren_device_get_os (WarrenDevice *self)
{
  const char *os;

  g_variant_get_child (self->row, COLUMN_OS, "&s", &os);
  return os;
}

const char *
warren_device_get_owner (WarrenDevice *self)
{
  return self->owner;
}

const char *
warren_device_get_address (WarrenDevice *self)
{
  g_autoptr (GVariant) addresses = g_variant_get_child_value (self->row, COLUMN_ADDRESSES);
  const char *first = "";

  if (g_variant_n_children (addresses) > 0)
    g_variant_get_child (addresses, 0, "&s", &first);
  return first;
}

char **
warren_device_dup_addresses (WarrenDevice *self)
{
  g_autoptr (GVariant) addresses = g_variant_get_child_value (self->row, COLUMN_ADDRESSES);

  return g_variant_dup_strv (addresses, NULL);
}

WarrenDeviceFlags
warren_device_get_flags (WarrenDevice *self)
{
  return self->flags;
}

gboolean
warren_device_is_online (WarrenDevice *self)
{
  return (self->flags & WARREN_DEVICE_ONLINE) != 0;
}

gint64
warren_device_get_last_seen (WarrenDevice *self)
{
  gint64 seen;

  g_variant_get_child (self->row, COLUMN_LAST_SEEN, "x", &seen);
  return seen;
}

static GVariant *
lookup_extra (WarrenDevice *self, const char *key, const GVariantType *type)
{
  g_autoptr (GVariant) extra = g_variant_get_child_value (self->row, COLUMN_EXTRA);

  return g_variant_lookup_value (extra, key, type);
}

char **
warren_device_dup_extra_strv (WarrenDevice *self, const char *key)
{
  g_autoptr (GVariant) value = lookup_extra (self, key, G_VARIANT_TYPE_STRING_ARRAY);

  return value != NULL ? g_variant_dup_strv (value, NULL) : NULL;
}

char *
warren_device_dup_extra_string (WarrenDevice *self, const char *key)
{
  g_autoptr (GVariant) value = lookup_extra (self, key, G_VARIANT_TYPE_STRING);

  return value != NULL ? g_variant_dup_string (value, NULL) : NULL;
}

gint64
warren_device_get_extra_time (WarrenDevice *self, const char *key)
{
  g_autoptr (GVariant) value = lookup_extra (self, key, G_VARIANT_TYPE_INT64);

  return value != NULL ? g_variant_get_int64 (value) : 0;
}

char *
warren_device_dup_place (WarrenDevice *self)
{
  g_autofree char *city = warren_device_dup_extra_string (self, "City");
  g_autofree char *country = warren_device_dup_extra_string (self, "Country");

  if (city != NULL && *city != '\0' && country != NULL && *country != '\0')
    return g_strdup_printf ("%s, %s", city, country);
  if (city != NULL && *city != '\0')
    return g_steal_pointer (&city);
  return country != NULL && *country != '\0' ? g_steal_pointer (&country) : NULL;
}

char *
warren_device_dup_exit_label (WarrenDevice *self)
{
  char *place = warren_device_dup_place (self);

  return place != NULL ? place : g_strdup (self->name);
}

int
warren_device_compare (WarrenDevice *a, WarrenDevice *b)
{
  int order;

  if (a->collation_key == NULL)
    a->collation_key = g_utf8_collate_key_for_filename (a->name, -1);
  if (b->collation_key == NULL)
    b->collation_key = g_utf8_collate_key_for_filename (b->name, -1);
  order = strcmp (a->collation_key, b->collation_key);
  return order != 0 ? order : strcmp (a->id, b->id);
}

char *
warren_search_fold (const char *text)
{
  g_autofree char *folded = g_utf8_casefold (text, -1);
  g_autofree char *decomposed = g_utf8_normalize (folded, -1, G_NORMALIZE_ALL);
  GString *plain = g_string_sized_new (strlen (text));

  if (decomposed == NULL) /* not UTF-8 */
    return g_string_free (plain, FALSE);
  for (const char *p = decomposed; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (g_unichar_combining_class (c) == 0)
      g_string_append_unichar (plain, c);
  }
  return g_string_free (plain, FALSE);
}

static void
append_searchable (GString *text, const char *word)
{
  g_autofree char *folded = word != NULL ? warren_search_fold (word) : NULL;

  if (folded == NULL || *folded == '\0')
    return;
  g_string_append (text, folded);
  g_string_append_c (text, '\n');
}

static void
append_all (GString *text, char **words)
{
  for (gsize i = 0; words != NULL && words[i] != NULL; i++)
    append_searchable (text, words[i]);
}

static char *
make_search_text (WarrenDevice *self)
{
  g_auto (GStrv) addresses = warren_device_dup_addresses (self);
  g_auto (GStrv) tags = warren_device_dup_extra_strv (self, "Tags");
  g_autofree char *place = warren_device_dup_place (self);
  GString *text = g_string_new (NULL);

  append_searchable (text, self->name);
  append_searchable (text, self->fqdn);
  append_all (text, addresses);
  append_searchable (text, self->owner);
  append_searchable (text, warren_device_get_os (self));
  append_all (text, tags);
  append_searchable (text, place);
  return g_string_free (text, FALSE);
}

gboolean
warren_device_matches (WarrenDevice *self, const char *needle)
{
  if (*needle == '\0')
    return TRUE;
  if (self->search_text == NULL)
    self->search_text = make_search_text (self);
  return strstr (self->search_text, needle) != NULL;
}
