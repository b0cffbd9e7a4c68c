/* Control connections in memory, with a simulated node at the other end. */
#include "load-node.h"

#include "base/bytes.h"
#include "coordinator/server-connection.h"

#include <glib.h>
#include <sodium.h>
#include <string.h>

#define MESSAGE (256u << 10)

typedef struct
{
  LoadNode node;
  ServerConnection *connection;
  int32_t stream; /* of the map */
  unsigned messages;
  Buffer scratch, out;
} Pair;

static MachinePrivate key;

static void
sink (void *user_data, LoadNode *node, LoadEventType type, const void *data, size_t size)
{
  Pair *pair = user_data;

  g_assert_cmpint (type, !=, LOAD_REFUSED);
  pair->messages += type == LOAD_FIRST_MAP || type == LOAD_MESSAGE;
}

static void
say (Pair *pair)
{
  ServerRequest request;

  g_assert_true (
      server_connection_feed (pair->connection, pair->node.out.data, pair->node.out.size));
  buffer_free (&pair->node.out);
  while (server_connection_next_request (pair->connection, &request)) {
    if (pair->stream == 0)
      pair->stream = request.stream;
    server_request_clear (&request);
  }
}

static void
hear (Pair *pair)
{
  for (;;) {
    buffer_reset (&pair->out);
    if (!server_connection_take (pair->connection, &pair->scratch, &pair->out, 65536))
      return;
    g_assert_true (load_node_feed (&pair->node, pair->out.data, pair->out.size));
    say (pair);
  }
}

/* A node with an open map stream. */
static Pair *
open_pair (uint32_t index)
{
  Pair *pair = g_new0 (Pair, 1);
  MachinePublic public_key;

  key_public (key.bytes, public_key.bytes);
  pair->connection = server_connection_new (&key, random_system ());
  load_node_init (&pair->node, index, sink, pair);
  load_node_connect (&pair->node, &public_key);
  say (pair);
  hear (pair);
  load_node_poll (&pair->node);
  say (pair);
  g_assert_cmpint (pair->stream, >, 0);
  g_assert_true (server_connection_open (pair->connection, pair->stream));
  return pair;
}

static void
close_pair (Pair *pair)
{
  server_connection_free (pair->connection);
  load_node_clear (&pair->node);
  buffer_free (&pair->scratch);
  buffer_free (&pair->out);
  g_free (pair);
}

static Rope *
message_new (void)
{
  Chunk *chunk = chunk_alloc (MESSAGE);

  memset (chunk->data, 'x', MESSAGE);
  store_le32 (chunk->data, MESSAGE - 4);
  return rope_new (&chunk, 1);
}

static void
test_slow_reader (void)
{
  Pair *slow = open_pair (1), *others[] = {open_pair (2), open_pair (3)};
  Rope *message = message_new ();
  unsigned sent = 0, more = 10;

  while (server_connection_send (slow->connection, slow->stream, message)) {
    sent++;
    for (size_t i = 0; i < G_N_ELEMENTS (others); i++) {
      g_assert_true (server_connection_send (others[i]->connection, others[i]->stream, message));
      hear (others[i]);
    }
    g_assert_cmpuint (sent * MESSAGE, <=, SERVER_QUEUE_MAX);
  }
  g_assert_cmpuint (sent, ==, SERVER_QUEUE_MAX / MESSAGE);
  /* It is told once, and what waited for it is not kept. */
  g_assert_cmpint (server_connection_next_gone (slow->connection), ==, slow->stream);
  g_assert_cmpint (server_connection_next_gone (slow->connection), ==, 0);
  g_assert_false (server_connection_send (slow->connection, slow->stream, message));
  g_assert_cmpint (server_connection_next_gone (slow->connection), ==, 0);
  g_assert_cmpuint (message->references, ==, 1);
  for (unsigned k = 0; k < more; k++)
    for (size_t i = 0; i < G_N_ELEMENTS (others); i++) {
      g_assert_true (server_connection_send (others[i]->connection, others[i]->stream, message));
      hear (others[i]);
    }
  for (size_t i = 0; i < G_N_ELEMENTS (others); i++) {
    g_assert_cmpuint (others[i]->messages, ==, sent + more);
    g_assert_cmpint (server_connection_next_gone (others[i]->connection), ==, 0);
    close_pair (others[i]);
  }
  close_pair (slow);
  rope_unref (message);
}

/* Whatever a peer leaves unread costs nothing but the queue's place: messages stand in memory once.
 */
static void
test_shared (void)
{
  Pair *pairs[50];
  Rope *message = message_new ();

  for (size_t i = 0; i < G_N_ELEMENTS (pairs); i++) {
    pairs[i] = open_pair ((uint32_t)i);
    g_assert_true (server_connection_send (pairs[i]->connection, pairs[i]->stream, message));
  }
  g_assert_cmpuint (message->references, ==, 1 + G_N_ELEMENTS (pairs));
  for (size_t i = 0; i < G_N_ELEMENTS (pairs); i++) {
    hear (pairs[i]);
    g_assert_cmpuint (pairs[i]->messages, ==, 1);
    close_pair (pairs[i]);
  }
  g_assert_cmpuint (message->references, ==, 1);
  rope_unref (message);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (sodium_init (), >=, 0);
  key_generate (random_system (), key.bytes);
  g_test_add_func ("/coordinator/connection/who-does-not-read-is-ended-at-a-bound-and-others-go-on",
                   test_slow_reader);
  g_test_add_func ("/coordinator/connection/what-many-are-told-stands-in-memory-once", test_shared);
  return g_test_run ();
}
