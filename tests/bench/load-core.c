/* warren-load-core: the coordinator's cores and simulated nodes in one process, joined by pipes in
 * memory: no sockets, no threads, no database.
 *
 *   warren-load-core --count N [--seconds S --change PERCENT --whole PERCENT] [--check K]
 *                    [--ledger FILE]
 *
 * All nodes join by one key, go, and come back all at once; then the changes begin. Prints one JSON
 * object at the end; memory is that of both sides. */

#include "load-ledger.h"
#include "load-node.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/memory.h"
#include "coordinator/server-connection.h"
#include "coordinator/state.h"

#include <getopt.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAKE_BYTES 32768
#define GRACE_US   (5 * USEC_PER_SEC)   /* for the last news to come, at the end */
#define SETUP_US   (600 * USEC_PER_SEC) /* until everybody has a map */
#define BREATH_US  1000
#define AT_ONCE    64 /* nodes that speak before the coordinator's clock ticks */

typedef struct
{
  LoadNode node;
  ServerConnection *connection;
  bool marked;
  int64_t first_map_us;
} Pair;

typedef struct
{
  uint32_t count, check;
  int seconds;
  double change, whole; /* percent of the nodes a second, percent of the changes */
  const char *ledger_file;

  State *state;
  MachinePrivate key;
  MachinePublic public_key;
  char *auth_key;
  Pair *pairs;
  Pair **marked; /* may have something for their node */
  size_t n_marked, marked_room;
  Buffer scratch, out;
  LoadLedger *ledger;
  bool joining; /* for the first time; else all come back */
  int64_t start_us;
  uint32_t ready; /* that have joined, or have a map */
  uint32_t refused, bad, changes, next_change;
  long fewest_peers;
} Load;

/* ---- the coordinator's side ---- */

static void
input (Load *load, StateEvent *event)
{
  event->wall = wall_time_now ();
  state_input (load->state, event, clock_now_us ());
}

static void
mark (Load *load, Pair *pair)
{
  if (pair->marked)
    return;
  pair->marked = true;
  load->marked = mem_grow (load->marked, load->n_marked, &load->marked_room, sizeof *load->marked);
  load->marked[load->n_marked++] = pair;
}

/* Requests are numbered as the server does: the connection's number and the stream. */
static void
answer (Load *load, StateAction *action)
{
  uint32_t number = (uint32_t)(action->request >> 32);
  int32_t stream = (int32_t)(uint32_t)action->request;

  if (number == 0 || number > load->count) {
    if (action->type == STATE_ACTION_REPLY && number == load->count + 1)
      load->auth_key = mem_strndup (action->reply.body, action->reply.size);
    return;
  }
  Pair *pair = &load->pairs[number - 1];
  if (!pair->connection)
    return;
  mark (load, pair);
  if (action->type == STATE_ACTION_REPLY)
    server_connection_reply (pair->connection, stream, action->reply.status, "application/json",
                             NULL, action->reply.body, action->reply.size);
  else if (action->type == STATE_ACTION_OPEN)
    server_connection_open (pair->connection, stream);
  else if (action->type == STATE_ACTION_MESSAGE)
    server_connection_send (pair->connection, stream, action->message.rope);
  else if (action->type == STATE_ACTION_END)
    server_connection_end (pair->connection, stream);
}

static void
answer_all (Load *load)
{
  StateAction action;

  while (state_next_action (load->state, &action)) {
    answer (load, &action);
    state_action_clear (&action);
  }
}

static void
take_request (Load *load, Pair *pair, const ServerRequest *request)
{
  StateEvent event
      = {.request = (uint64_t)(pair - load->pairs + 1) << 32 | (uint32_t)request->stream};
  Arena arena = {0};
  RegisterRequest registration;
  MapRequest map;
  const char *error;
  bool registers = strcmp (request->path, "/machine/register") == 0;

  if (registers
          ? register_request_decode (request->body, request->size, &arena, &registration, &error)
          : map_request_decode (request->body, request->size, &arena, &map, &error)) {
    event.type = registers ? STATE_EVENT_REGISTER : STATE_EVENT_MAP;
    if (registers) {
      event.registration.machine = request->machine;
      event.registration.body = &registration;
    } else {
      event.map.machine = request->machine;
      event.map.body = &map;
    }
    input (load, &event);
  } else {
    load->bad++;
  }
  arena_clear (&arena);
}

/* What the node has said reaches the state. */
static void
send_up (Load *load, Pair *pair)
{
  ServerRequest request;

  if (pair->node.out.size == 0)
    return;
  load->bad += !server_connection_feed (pair->connection, pair->node.out.data, pair->node.out.size);
  buffer_free (&pair->node.out);
  mark (load, pair);
  while (server_connection_next_request (pair->connection, &request)) {
    take_request (load, pair, &request);
    server_request_clear (&request);
  }
}

/* What the coordinator has for the node reaches it. */
static void
send_down (Load *load, Pair *pair)
{
  for (;;) {
    buffer_reset (&load->out);
    if (!server_connection_take (pair->connection, &load->scratch, &load->out, TAKE_BYTES))
      return;
    bool upgrading = pair->node.state == LOAD_UPGRADING;
    if (!load_node_feed (&pair->node, load->out.data, load->out.size)) {
      load->bad++;
      return;
    }
    if (upgrading && pair->node.state == LOAD_OPEN && load->joining)
      load_node_register (&pair->node, load->auth_key);
    else if (upgrading && pair->node.state == LOAD_OPEN)
      load_node_poll (&pair->node);
    send_up (load, pair);
  }
}

static void
turn (Load *load)
{
  StateEvent tick = {.type = STATE_EVENT_TICK};

  input (load, &tick);
  answer_all (load);
  for (size_t i = 0; i < load->n_marked; i++) {
    load->marked[i]->marked = false;
    send_down (load, load->marked[i]);
  }
  /* Those that were marked meanwhile stand behind them. */
  size_t n = 0;
  for (size_t i = 0; i < load->n_marked; i++)
    if (load->marked[i]->marked)
      load->marked[n++] = load->marked[i];
  load->n_marked = n;
}

/* ---- the nodes' side ---- */

static void
sink (void *user_data, LoadNode *node, LoadEventType type, const void *data, size_t size)
{
  Load *load = user_data;
  Pair *pair = &load->pairs[node->index];

  if (type == LOAD_REGISTERED) {
    load->ready++;
  } else if (type == LOAD_FIRST_MAP) {
    load->ready++;
    pair->first_map_us = clock_now_us ();
    long peers = node->keep_messages ? load_ledger_check_map (data, size) : -1;
    load->bad += node->keep_messages && peers < 0;
    if (peers >= 0 && (load->fewest_peers < 0 || peers < load->fewest_peers))
      load->fewest_peers = peers;
  } else if (type == LOAD_MESSAGE) {
    load->bad += !load_ledger_told (load->ledger, data, size, clock_now_us ());
  } else if (type == LOAD_REFUSED) {
    load->refused++;
  }
}

static void
connect_all (Load *load, bool joining)
{
  load->joining = joining;
  load->ready = 0;
  load->start_us = clock_now_us ();
  for (uint32_t i = 0; i < load->count; i++) {
    Pair *pair = &load->pairs[i];
    load_node_init (&pair->node, i, sink, load);
    pair->node.keep_messages = !joining && load->check > 0 && i % load->check == 0;
    pair->connection = server_connection_new (&load->key, random_system ());
    load_node_connect (&pair->node, &load->public_key);
    send_up (load, pair);
    if (i % AT_ONCE == 0)
      turn (load);
  }
  while (load->ready < load->count && load->bad == 0 && clock_now_us () < load->start_us + SETUP_US)
    turn (load);
}

static void
leave (Load *load, Pair *pair)
{
  int32_t stream;

  while ((stream = server_connection_abandon (pair->connection)) != 0) {
    StateEvent event = {.type = STATE_EVENT_GONE,
                        .request = (uint64_t)(pair - load->pairs + 1) << 32 | (uint32_t)stream};
    input (load, &event);
  }
  server_connection_free (pair->connection);
  load_node_clear (&pair->node);
  pair->connection = NULL;
}

static void
leave_all (Load *load)
{
  load->n_marked = 0;
  for (uint32_t i = 0; i < load->count; i++) {
    load->pairs[i].marked = false;
    leave (load, &load->pairs[i]);
  }
  answer_all (load); /* to nobody */
}

static void
change_one (Load *load)
{
  Pair *pair = &load->pairs[load->next_change++ % load->count];
  bool whole = load->changes++ % 100 < (uint32_t)load->whole;

  if (pair->node.changes + 1 >= LEDGER_CHANGES_MAX)
    return;
  load_node_change (&pair->node, whole);
  load_ledger_sent (load->ledger, pair->node.index, pair->node.changes, clock_now_us ());
  send_up (load, pair);
}

static void
change_for_a_while (Load *load)
{
  int64_t start_us = clock_now_us (), now_us;
  int64_t end_us = start_us + load->seconds * USEC_PER_SEC;
  double rate = load->count * load->change / 100.0;

  while ((now_us = clock_now_us ()) < end_us) {
    double due = (double)(now_us - start_us) * rate / USEC_PER_SEC;
    for (int burst = 0; load->changes < due && burst < AT_ONCE; burst++)
      change_one (load);
    turn (load);
    usleep (BREATH_US);
  }
  while ((now_us = clock_now_us ()) < end_us + GRACE_US) {
    turn (load);
    usleep (BREATH_US);
  }
}

/* ---- beginning and end ---- */

static void
open_state (Load *load)
{
  const char *const words[] = {"keys", "create", "--reusable"};
  StateConfig config = {.url = "http://127.0.0.1:1"};
  StateNetwork network = {.key_days = -1};
  StateEvent event = {.type = STATE_EVENT_COMMAND,
                      .request = (uint64_t)(load->count + 1) << 32,
                      .command = {words, 3, NULL}};

  key_generate (random_system (), load->key.bytes);
  key_public (load->key.bytes, load->public_key.bytes);
  load->state = state_new (&config, random_system ());
  state_configure (load->state, &network);
  state_start (load->state, wall_time_now (), clock_now_us ());
  input (load, &event);
  answer_all (load);
  if (load->auth_key)
    load->auth_key[strcspn (load->auth_key, "\n")] = '\0';
}

static long
memory_mb (const char *field)
{
  FILE *file = fopen ("/proc/self/status", "re");
  char line[256];
  long kb = 0;

  while (file && fgets (line, sizeof line, file))
    if (strncmp (line, field, strlen (field)) == 0)
      kb = strtol (line + strlen (field), NULL, 10);
  if (file)
    fclose (file);
  return kb / 1024;
}

static int
compare_times (const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return x < y ? -1 : x > y;
}

static void
report (Load *load, long rss_mb)
{
  int64_t *times = mem_new ((load->count + 1) * sizeof *times);
  uint64_t bytes = 0, messages, different;
  size_t n = 0;

  for (uint32_t i = 0; i < load->count; i++) {
    bytes += load->pairs[i].node.map_bytes;
    if (load->pairs[i].first_map_us)
      times[n++] = load->pairs[i].first_map_us - load->start_us;
  }
  qsort (times, n, sizeof *times, compare_times);
  load_ledger_counts (load->ledger, &messages, &different);
  printf ("{\"nodes\":%u,\"first_maps\":%zu,\"first_p50_ms\":%" PRId64 ",\"first_last_ms\":%" PRId64
          ",\"map_bytes\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"different\":%" PRIu64
          ",\"changes\":%u,\"refused\":%u,\"bad\":%u,\"fewest_peers\":%ld,\"rss_mb\":%ld,"
          "\"peak_mb\":%ld}\n",
          load->count, n, n ? times[n / 2] / 1000 : -1, n ? times[n - 1] / 1000 : -1, bytes,
          messages, different, load->changes, load->refused, load->bad, load->fewest_peers, rss_mb,
          memory_mb ("VmHWM:"));
  free (times);
}

static void
clear (Load *load)
{
  leave_all (load);
  state_free (load->state);
  load_ledger_free (load->ledger);
  free (load->pairs);
  free (load->marked);
  free (load->auth_key);
  buffer_free (&load->scratch);
  buffer_free (&load->out);
}

static bool
parse (int argc, char **argv, Load *load)
{
  static const struct option names[] = {
      {"count", required_argument, NULL, 'n'},
      {"seconds", required_argument, NULL, 's'},
      {"change", required_argument, NULL, 'c'},
      {"whole", required_argument, NULL, 'w'},
      {"check", required_argument, NULL, 'C'},
      {"ledger", required_argument, NULL, 'l'},
      {0},
  };
  int c;

  while ((c = getopt_long (argc, argv, "", names, NULL)) != -1)
    switch (c) {
      case 'n':
        load->count = (uint32_t)atoi (optarg);
        break;
      case 's':
        load->seconds = atoi (optarg);
        break;
      case 'c':
        load->change = atof (optarg);
        break;
      case 'w':
        load->whole = atof (optarg);
        break;
      case 'C':
        load->check = (uint32_t)atoi (optarg);
        break;
      case 'l':
        load->ledger_file = optarg;
        break;
      default:
        return false;
    }
  return load->count > 0;
}

int
main (int argc, char **argv)
{
  Load load = {.fewest_peers = -1};

  if (sodium_init () < 0 || !parse (argc, argv, &load)) {
    fputs ("usage: warren-load-core --count N [--seconds S …]\n", stderr);
    return 2;
  }
  load.ledger = load_ledger_new (load.count);
  open_state (&load);
  load.pairs = mem_new (load.count * sizeof *load.pairs);
  connect_all (&load, true);
  leave_all (&load);
  connect_all (&load, false);
  long rss_mb = memory_mb ("VmRSS:");
  if (load.ready == load.count && load.seconds > 0)
    change_for_a_while (&load);
  report (&load, rss_mb);
  FILE *file = load.ledger_file ? fopen (load.ledger_file, "we") : NULL;
  if (file) {
    load_ledger_write (load.ledger, file);
    fclose (file);
  }
  int result = load.ready == load.count && load.bad == 0 && load.refused == 0 ? 0 : 1;
  clear (&load);
  return result;
}
