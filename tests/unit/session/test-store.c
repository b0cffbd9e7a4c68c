/* The state directory under faults: a kill or a full disk at every single operation. */
#include "session/store.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lets LEFT operations through. Then the process is "dead": nothing happens any more, and the
 * operation that hit the limit is done by half where it can be. Or, with an errno value, the disk
 * is at fault and everything after fails the same way. */
typedef struct
{
  StoreFiles base;
  int left;
  int failure; /* 0: killed */
} FaultyFiles;

static bool
spend (FaultyFiles *f)
{
  if (f->left < 0)
    return true;
  if (f->left == 0)
    return false;
  f->left--;
  return true;
}

static int
refusal (FaultyFiles *f)
{
  return f->failure ? f->failure : EIO;
}

#define GUARD(self)                                                                                \
  FaultyFiles *f = (FaultyFiles *)(self);                                                          \
  if (!spend (f))                                                                                  \
  return refusal (f)

static int
faulty_create (StoreFiles *self, const char *path)
{
  GUARD (self);
  return store_files_system ()->create (self, path);
}

static int
faulty_write (StoreFiles *self, const char *path, const void *data, size_t size)
{
  FaultyFiles *f = (FaultyFiles *)self;
  bool whole = spend (f);
  int code = store_files_system ()->write (self, path, data, whole ? size : size / 2);
  return whole ? code : refusal (f);
}

static int
faulty_sync (StoreFiles *self, const char *path)
{
  GUARD (self);
  return store_files_system ()->sync (self, path);
}

static int
faulty_rename (StoreFiles *self, const char *from, const char *to)
{
  GUARD (self);
  return store_files_system ()->rename (self, from, to);
}

static int
faulty_sync_directory (StoreFiles *self, const char *path)
{
  GUARD (self);
  return store_files_system ()->sync_directory (self, path);
}

static int
faulty_make_directory (StoreFiles *self, const char *path)
{
  GUARD (self);
  return store_files_system ()->make_directory (self, path);
}

static int
faulty_unlink (StoreFiles *self, const char *path)
{
  FaultyFiles *f = (FaultyFiles *)self;
  if (!spend (f) && f->failure == 0)
    return EIO;
  return store_files_system ()->unlink (self, path); /* a full disk can still delete */
}

static int
faulty_remove_directory (StoreFiles *self, const char *path)
{
  GUARD (self);
  return store_files_system ()->remove_directory (self, path);
}

static FaultyFiles
faulty (int left, int failure)
{
  return (FaultyFiles){.base = {.create = faulty_create,
                                .write = faulty_write,
                                .sync = faulty_sync,
                                .rename = faulty_rename,
                                .sync_directory = faulty_sync_directory,
                                .make_directory = faulty_make_directory,
                                .unlink = faulty_unlink,
                                .remove_directory = faulty_remove_directory},
                       .left = left,
                       .failure = failure};
}

static char *
fresh_directory (void)
{
  char *dir = g_dir_make_tmp ("warren-store-XXXXXX", NULL);
  g_assert_nonnull (dir);
  return dir;
}

static void
remove_tree (char *dir)
{
  g_autoptr (GDir) d = g_dir_open (dir, 0, NULL);
  const char *name;
  while (d && (name = g_dir_read_name (d))) {
    g_autofree char *path = g_build_filename (dir, name, NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR))
      remove_tree (g_strdup (path));
    else
      g_unlink (path);
  }
  g_rmdir (dir);
  g_free (dir);
}

static Profile *
sample (unsigned seed)
{
  SeededRandom random;
  seeded_random_init (&random, seed);
  Profile *p = profile_new ("https://vpn.example.org", 1000, 1800000000 + seed, &random.base);
  key_generate (&random.base, p->secrets->node.bytes);
  return p;
}

/* The one profile in DIR as a process that starts now sees it. */
static Profile *
reopen (const char *dir)
{
  g_autoptr (GError) error = NULL;
  Store *store = store_open (dir, store_files_system (), &error);
  g_assert_no_error (error);
  GPtrArray *refusals = NULL;
  g_autoptr (GPtrArray) profiles = store_load_profiles (store, &refusals);
  g_assert_cmpuint (refusals->len, ==, 0);
  g_ptr_array_unref (refusals);
  store_close (store);
  g_assert_cmpuint (profiles->len, <=, 1);
  return profiles->len ? g_ptr_array_steal_index (profiles, 0) : NULL;
}

static void
test_round_trip (void)
{
  char *dir = fresh_directory ();
  Store *store = store_open (dir, store_files_system (), NULL);
  g_autoptr (Profile) p = sample (1);
  g_autoptr (GError) error = NULL;
  g_assert_true (store_save_profile (store, p, &error));
  g_assert_true (store_save_active (store, p->id, &error));
  g_assert_true (store_save_netmap (store, p->id, "map", 3, &error));
  char active[PROFILE_ID_SIZE];
  store_load_active (store, active);
  g_assert_cmpstr (active, ==, p->id);
  g_autoptr (GBytes) map = store_load_netmap (store, p->id);
  g_assert_cmpuint (g_bytes_get_size (map), ==, 3);
  g_autoptr (Profile) q = reopen (dir);
  g_assert_true (key_same (&p->secrets->node, &q->secrets->node));

  g_autofree char *path = g_build_filename (dir, "profiles", p->id, "identity", NULL);
  struct stat st;
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpint (st.st_mode & 0777, ==, 0600);
  g_assert_true (store_remove_profile (store, p->id, &error));
  g_assert_null (reopen (dir));
  store_close (store);
  remove_tree (dir);
}

static void
test_kill_while_replacing (void)
{
  bool finished = false;
  for (int step = 0; !finished; step++) {
    g_assert_cmpint (step, <, 50);
    char *dir = fresh_directory ();
    Store *store = store_open (dir, store_files_system (), NULL);
    g_autoptr (Profile) p = sample (2);
    g_assert_true (store_save_profile (store, p, NULL));
    store_close (store);

    FaultyFiles files = faulty (-1, 0);
    store = store_open (dir, &files.base, NULL);
    files.left = step;
    NodePrivate old = p->secrets->node;
    p->secrets->node.bytes[5] ^= 0xff;
    finished = store_save_profile (store, p, NULL);
    store_close (store);

    g_autoptr (Profile) q = reopen (dir);
    g_assert_nonnull (q);
    bool is_new = key_same (&q->secrets->node, &p->secrets->node);
    g_assert_true (is_new || key_same (&q->secrets->node, &old));
    g_assert_true (is_new || !finished);
    /* What a kill leaves lying about must not hinder the next save. */
    store = store_open (dir, store_files_system (), NULL);
    g_assert_true (store_save_profile (store, p, NULL));
    store_close (store);
    remove_tree (dir);
  }
}

static void
test_kill_while_creating (void)
{
  bool finished = false;
  for (int step = 0; !finished; step++) {
    g_assert_cmpint (step, <, 50);
    char *dir = fresh_directory ();
    FaultyFiles files = faulty (-1, 0);
    Store *store = store_open (dir, &files.base, NULL);
    files.left = step;
    g_autoptr (Profile) p = sample (3);
    finished = store_save_profile (store, p, NULL);
    store_close (store);
    g_autoptr (Profile) q = reopen (dir);
    g_assert_true (q || !finished);
    remove_tree (dir);
  }
}

static void
test_kill_while_removing (void)
{
  bool finished = false;
  for (int step = 0; !finished; step++) {
    g_assert_cmpint (step, <, 50);
    char *dir = fresh_directory ();
    FaultyFiles files = faulty (-1, 0);
    Store *store = store_open (dir, &files.base, NULL);
    g_autoptr (Profile) p = sample (4);
    g_assert_true (store_save_profile (store, p, NULL));
    g_assert_true (store_save_netmap (store, p->id, "x", 1, NULL));
    files.left = step;
    finished = store_remove_profile (store, p->id, NULL);
    store_close (store);
    g_autoptr (Profile) q = reopen (dir); /* whole or gone, never refused */
    g_assert_true (!q || !finished);
    remove_tree (dir);
  }
}

static void
test_machine_key (void)
{
  bool finished = false;
  for (int step = 0; !finished; step++) {
    g_assert_cmpint (step, <, 50);
    char *dir = fresh_directory ();
    FaultyFiles files = faulty (-1, 0);
    Store *store = store_open (dir, &files.base, NULL);
    files.left = step;
    MachinePrivate one, two;
    SeededRandom random;
    seeded_random_init (&random, (unsigned)step);
    finished = store_machine_key (store, &random.base, &one, NULL);
    files.left = -1;
    g_assert_true (store_machine_key (store, &random.base, &two, NULL));
    if (finished)
      g_assert_true (key_same (&one, &two));
    store_close (store);
    remove_tree (dir);
  }
}

static void
test_disco_key (void)
{
  char *dir = fresh_directory ();
  FaultyFiles files = faulty (-1, 0);
  Store *store = store_open (dir, &files.base, NULL);
  g_autofree char *path = g_build_filename (dir, "disco-key", NULL);
  DiscoPrivate one, two, three;
  files.left = 0;
  store_disco_key (store, random_system (), &one); /* cannot be kept */
  files.left = -1;
  store_disco_key (store, random_system (), &two);
  g_assert_false (key_same (&one, &two));
  store_disco_key (store, random_system (), &three);
  g_assert_true (key_same (&two, &three));
  g_assert_true (g_file_set_contents (path, "format 1\ndisco-key\n", -1, NULL));
  store_disco_key (store, random_system (), &one);
  store_disco_key (store, random_system (), &two);
  g_assert_false (key_same (&one, &three));
  g_assert_true (key_same (&one, &two));
  store_close (store);
  remove_tree (dir);
}

static void
test_full_disk (void)
{
  for (int step = 1; step <= 3; step++) {
    char *dir = fresh_directory ();
    FaultyFiles files = faulty (-1, ENOSPC);
    Store *store = store_open (dir, &files.base, NULL);
    g_autoptr (Profile) p = sample (5);
    g_assert_true (store_save_profile (store, p, NULL));
    NodePrivate old = p->secrets->node;
    p->secrets->node.bytes[7] ^= 1;
    files.left = step + 1;
    g_autoptr (GError) error = NULL;
    g_assert_false (store_save_profile (store, p, &error));
    g_assert_error (error, STORE_ERROR, STORE_ERROR_FULL);
    store_close (store);
    g_autoptr (Profile) q = reopen (dir);
    g_assert_true (key_same (&q->secrets->node, &old));
    remove_tree (dir);
  }
}

static void
test_refuses_and_keeps (void)
{
  char *dir = fresh_directory ();
  Store *store = store_open (dir, store_files_system (), NULL);
  g_autoptr (Profile) p = sample (6);
  g_assert_true (store_save_profile (store, p, NULL));
  g_autofree char *path = g_build_filename (dir, "profiles", p->id, "identity", NULL);
  const char *const contents[] = {"format 9\nid 0123abcd\nend\n", "", "format 1\n"};
  for (size_t i = 0; i < G_N_ELEMENTS (contents); i++) {
    g_assert_true (g_file_set_contents (path, contents[i], -1, NULL));
    GPtrArray *refusals = NULL;
    g_autoptr (GPtrArray) profiles = store_load_profiles (store, &refusals);
    g_assert_cmpuint (profiles->len, ==, 0);
    g_assert_cmpuint (refusals->len, ==, 1);
    StoreRefusal *refusal = g_ptr_array_index (refusals, 0);
    g_assert_cmpstr (refusal->path, ==, path);
    g_assert_cmpstr (refusal->id, ==, p->id);
    g_ptr_array_unref (refusals);
    g_autofree char *kept = NULL;
    g_assert_true (g_file_get_contents (path, &kept, NULL, NULL));
    g_assert_cmpstr (kept, ==, contents[i]);
  }
  g_autofree char *key_path = g_build_filename (dir, "machine-key", NULL);
  g_assert_true (g_file_set_contents (key_path, "format 2\nend\n", -1, NULL));
  MachinePrivate key;
  g_autoptr (GError) error = NULL;
  g_assert_false (store_machine_key (store, random_system (), &key, &error));
  g_assert_error (error, STORE_ERROR, STORE_ERROR_UNREADABLE);
  store_close (store);
  remove_tree (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/store/round-trips", test_round_trip);
  g_test_add_func ("/session/store/a-kill-while-replacing-leaves-old-or-new",
                   test_kill_while_replacing);
  g_test_add_func ("/session/store/a-kill-while-creating-leaves-none-or-all",
                   test_kill_while_creating);
  g_test_add_func ("/session/store/a-kill-while-removing-leaves-whole-or-nothing",
                   test_kill_while_removing);
  g_test_add_func ("/session/store/the-machine-key-never-changes-once-given", test_machine_key);
  g_test_add_func ("/session/store/the-disco-key-is-that-of-the-last-run-if-there-is-one",
                   test_disco_key);
  g_test_add_func ("/session/store/a-full-disk-is-reported-and-loses-nothing", test_full_disk);
  g_test_add_func ("/session/store/an-unusable-file-is-kept-named-and-refused",
                   test_refuses_and_keeps);
  return g_test_run ();
}
