/* The thread that keeps what the state wants kept, and lets go what waited for it. */
#include "coordinator/server-private.h"

#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS   32   /* that may wait for the disk */
#define RETRY_MS 1000 /* while the disk refuses what it is given */

struct ServerStore
{
  Server *server;
  Store *store;
  Keep *keep;
  Mailbox rounds;
  pthread_t thread;
  pthread_mutex_t lock; /* of PROBLEM */
  char *problem;
  _Atomic bool has_problem;
};

char *
server_store_problem (ServerStore *thread)
{
  if (!atomic_load_explicit (&thread->has_problem, memory_order_acquire))
    return NULL;
  pthread_mutex_lock (&thread->lock);
  char *copy = thread->problem ? mem_strndup (thread->problem, strlen (thread->problem)) : NULL;
  pthread_mutex_unlock (&thread->lock);
  return copy;
}

static void
publish_problem (ServerStore *thread)
{
  const char *problem = keep_problem (thread->keep);

  if (!problem && !thread->problem)
    return;
  pthread_mutex_lock (&thread->lock);
  free (thread->problem);
  thread->problem = problem ? mem_strndup (problem, strlen (problem)) : NULL;
  pthread_mutex_unlock (&thread->lock);
  atomic_store_explicit (&thread->has_problem, problem != NULL, memory_order_release);
}

/* A change that is not on disk yet is not promised; it is made, and kept when there is room. */
static void
deny_promises (const ServerStore *thread, WorkerOrder *order)
{
  char text[512];
  int n = snprintf (text, sizeof text,
                    "%s: the change is not kept yet, and lost if the server ends before it is\n",
                    keep_problem (thread->keep));

  for (size_t i = 0; i < order->n; i++) {
    StateAction *action = &order->actions[i];
    if (action->type != STATE_ACTION_REPLY || action->reply.no_promise)
      continue;
    free (action->reply.body);
    free (action->reply.headers);
    action->reply.status = SERVER_NOT_KEPT;
    action->reply.type = "text/plain; charset=utf-8";
    action->reply.headers = NULL;
    action->reply.size = n < (int)sizeof text ? (size_t)n : sizeof text - 1;
    action->reply.body = mem_strndup (text, action->reply.size);
  }
}

static void
let_go (ServerStore *thread, ServerRound *round, bool kept)
{
  Server *server = thread->server;

  for (size_t i = 0; i < round->n; i++) {
    StateAction *action = &round->actions[i];
    if (action->type == STATE_ACTION_ADMIT) {
      relay_registry_allow (server->members, &action->admit.key, action->admit.allowed);
      if (server->relay)
        relay_admit (server->relay, &action->admit.key, action->admit.allowed);
    } else if (action->type == STATE_ACTION_WORK) {
      work_start (server->work, &action->work);
    }
    state_action_clear (action);
  }
  for (unsigned i = 0; i < server->n_workers; i++) {
    WorkerOrder *order = round->orders[i];
    if (!order)
      continue;
    if (!kept)
      deny_promises (thread, order);
    mailbox_put (&server->workers[i].orders, &order->item);
  }
  free (round->actions);
  free (round);
}

/* One commit for all rounds that wait. */
static bool
keep_all (ServerStore *thread, const MailItem *first)
{
  int64_t start_us = clock_now_us ();
  StoreRecord *records = NULL;
  size_t n = 0, room = 0;

  for (const MailItem *item = first; item; item = item->next) {
    const ServerRound *round = (const ServerRound *)item;
    for (size_t i = 0; i < round->n && round->n_records > 0; i++) {
      const StateAction *action = &round->actions[i];
      if (action->type != STATE_ACTION_RECORD)
        continue;
      records = mem_grow (records, n, &room, sizeof *records);
      records[n++] = (StoreRecord){action->record.table, action->record.name, action->record.value};
    }
  }
  bool kept = keep_records (thread->keep, records, n, start_us);
  if (n > 0)
    server_metrics_commit (thread->server->metrics, n, clock_now_us () - start_us);
  free (records);
  return kept;
}

static void *
run (void *data)
{
  ServerStore *thread = data;
  struct pollfd mail = {thread->rounds.fd, POLLIN, 0};

  for (;;) {
    bool last = mailbox_is_closed (&thread->rounds);
    MailItem *item = mailbox_take (&thread->rounds);
    keep_retry (thread->keep, clock_now_us ());
    bool kept = keep_all (thread, item);
    publish_problem (thread);
    if (!item && last)
      return NULL;
    if (!item)
      poll (&mail, 1, keep_problem (thread->keep) ? RETRY_MS : -1);
    while (item) {
      ServerRound *round = (ServerRound *)item;
      item = item->next;
      let_go (thread, round, kept || round->n_records == 0);
    }
  }
}

ServerStore *
server_store_new (Server *server, Store *store)
{
  ServerStore *thread = mem_new (sizeof *thread);

  thread->server = server;
  thread->store = store;
  thread->keep = keep_new (store);
  pthread_mutex_init (&thread->lock, NULL);
  if (mailbox_init (&thread->rounds, ROUNDS)
      && pthread_create (&thread->thread, NULL, run, thread) == 0)
    return thread;
  fprintf (stderr, "warren-coordinator: no thread for the database: %s\n", strerror (errno));
  mailbox_clear (&thread->rounds);
  pthread_mutex_destroy (&thread->lock);
  keep_free (thread->keep);
  store_close (store);
  free (thread);
  return NULL;
}

void
server_store_free (ServerStore *thread)
{
  if (!thread)
    return;
  mailbox_close (&thread->rounds);
  pthread_join (thread->thread, NULL);
  mailbox_clear (&thread->rounds);
  pthread_mutex_destroy (&thread->lock);
  free (thread->problem);
  keep_free (thread->keep);
  store_close (thread->store);
  free (thread);
}

void
server_store_put (ServerStore *thread, ServerRound *round)
{
  mailbox_put (&thread->rounds, &round->item);
}
