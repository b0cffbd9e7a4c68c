/* The real resolver against a name server of this test on loopback, in a namespace of its own. */

#include "host/resolver.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static GMainLoop *loop;
static bool server_answers = true;

/* Answers every A query with 192.0.2.7 and every AAAA query with 2001:db8::7, or that it cannot. */
static gboolean
serve (int fd, GIOCondition condition, void *user_data)
{
  uint8_t message[512];
  struct sockaddr_in from;
  socklen_t from_size = sizeof from;
  ssize_t n = recvfrom (fd, message, 400, 0, (struct sockaddr *)&from, &from_size);

  if (n < 17)
    return G_SOURCE_CONTINUE;
  if (!server_answers) {
    message[2] = 0x81;
    message[3] = 0x82; /* SERVFAIL */
    sendto (fd, message, (size_t)n, 0, (struct sockaddr *)&from, from_size);
    return G_SOURCE_CONTINUE;
  }
  size_t end = 12;
  while (message[end] != 0)
    end += message[end] + 1u;
  bool wants6 = load_be16 (message + end + 1) == 28;
  end += 5;
  message[2] = 0x81;
  message[3] = 0x80;
  store_be16 (message + 6, 1);
  store_be16 (message + 10, 0); /* leaves out the EDNS record of the question */
  ByteWriter w = byte_writer (message, sizeof message);
  w.pos = end;
  byte_writer_be16 (&w, 0xc00c);
  byte_writer_be16 (&w, wants6 ? 28 : 1);
  byte_writer_be16 (&w, 1);
  byte_writer_be32 (&w, 60);
  byte_writer_be16 (&w, wants6 ? 16 : 4);
  IpAddr addr;
  const char *text = wants6 ? "2001:db8::7" : "192.0.2.7";
  g_assert_true (ip_parse (text, strlen (text), &addr));
  byte_writer_copy (&w, addr.bytes, wants6 ? 16 : 4);
  sendto (fd, message, w.pos, 0, (struct sockaddr *)&from, from_size);
  return G_SOURCE_CONTINUE;
}

static void
start_server (void)
{
  struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons (53)};
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  inet_pton (AF_INET, "127.0.0.9", &sin.sin_addr);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&sin, sizeof sin), ==, 0);
  g_unix_fd_add (fd, G_IO_IN, serve, NULL);
}

typedef struct
{
  Resolver *resolver;
  GArray *addresses;
  GError *error;
} Result;

static void
on_done (GObject *source, GAsyncResult *async, void *user_data)
{
  Result *result = user_data;

  result->addresses = resolver_lookup_finish (result->resolver, async, &result->error);
  g_main_loop_quit (loop);
}

static Result
look_up (Resolver *resolver, const char *name)
{
  Result result = {.resolver = resolver};

  resolver_lookup_async (resolver, name, NULL, on_done, &result);
  g_main_loop_run (loop);
  return result;
}

static char *cache_path;

static void
test_answers (void)
{
  Resolver *resolver = resolver_new (cache_path);
  Result result = look_up (resolver, "Control.example.org");
  char text[IP_TEXT_MAX];

  g_assert_no_error (result.error);
  g_assert_cmpuint (result.addresses->len, ==, 2);
  ip_format (&g_array_index (result.addresses, IpAddr, 0), text);
  g_assert_cmpstr (text, ==, "2001:db8::7");
  ip_format (&g_array_index (result.addresses, IpAddr, 1), text);
  g_assert_cmpstr (text, ==, "192.0.2.7");
  g_array_unref (result.addresses);
  resolver_free (resolver);
}

static void
test_literal (void)
{
  Resolver *resolver = resolver_new (NULL);
  Result result = look_up (resolver, "fd00::1");

  g_assert_no_error (result.error);
  g_assert_cmpuint (result.addresses->len, ==, 1);
  g_array_unref (result.addresses);
  resolver_free (resolver);
}

static void
test_last_good (void)
{
  Resolver *resolver = resolver_new (cache_path);

  server_answers = false;
  Result known = look_up (resolver, "control.example.org");
  g_assert_no_error (known.error);
  g_assert_cmpuint (known.addresses->len, ==, 2);
  g_array_unref (known.addresses);
  Result unknown = look_up (resolver, "other.example.org");
  g_assert_error (unknown.error, RESOLVER_ERROR, RESOLVER_ERROR_FAILED);
  g_clear_error (&unknown.error);
  server_answers = true;
  resolver_link_changed (resolver);
  Result again = look_up (resolver, "other.example.org");
  g_assert_no_error (again.error);
  g_array_unref (again.addresses);
  resolver_free (resolver);
}

static void
test_damaged_cache (void)
{
  g_assert_true (g_file_set_contents (cache_path, "\x01 not a key file", -1, NULL));
  Resolver *resolver = resolver_new (cache_path);
  Result result = look_up (resolver, "control.example.org");
  g_assert_no_error (result.error);
  g_array_unref (result.addresses);
  resolver_free (resolver);
}

/* Only this process sees the resolv.conf of the test. */
static bool
enter_own_world (const char *resolv_conf)
{
  return unshare (CLONE_NEWNET | CLONE_NEWNS) == 0
         && mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
         && mount (resolv_conf, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0
         && system ("ip link set lo up") == 0;
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree char *dir = g_dir_make_tmp ("warren-resolver-XXXXXX", NULL);
  g_autofree char *resolv_conf = g_build_filename (dir, "resolv.conf", NULL);
  cache_path = g_build_filename (dir, "addresses", NULL);
  g_assert_true (g_file_set_contents (
      resolv_conf, "nameserver 100.100.100.100\nnameserver 127.0.0.9\n", -1, NULL));
  if (!enter_own_world (resolv_conf)) {
    g_print ("1..0 # SKIP needs the right to make namespaces\n");
    return 77;
  }
  loop = g_main_loop_new (NULL, FALSE);
  start_server ();
  g_test_add_func ("/host/resolver/answers-interleave-families", test_answers);
  g_test_add_func ("/host/resolver/literals-answer-at-once", test_literal);
  g_test_add_func ("/host/resolver/last-good-addresses-serve-when-servers-fail", test_last_good);
  g_test_add_func ("/host/resolver/a-damaged-cache-is-no-cache", test_damaged_cache);
  int result = g_test_run ();
  g_unlink (cache_path);
  g_unlink (resolv_conf);
  g_rmdir (dir);
  g_main_loop_unref (loop);
  g_free (cache_path);
  return result;
}
