/* Commands about the server itself: they do not concern the network's state. */

#include "coordinator/backup.h"
#include "coordinator/command.h"
#include "coordinator/server-private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void
answer (Client *client, int code, const char *text)
{
  uint8_t byte = (uint8_t)code;

  buffer_append (&client->out, &byte, 1);
  buffer_append_text (&client->out, text);
  client->closing = true;
}

static bool
has_word (const CommandRequest *request, const char *word)
{
  for (size_t i = 0; i < request->n_words; i++)
    if (strcmp (request->words[i], word) == 0)
      return true;
  return false;
}

static bool
changes (const CommandRequest *request)
{
  size_t used;
  const CommandRow *row
      = command_find ((const char *const *)request->words, request->n_words, &used);

  return row && row->changes;
}

bool
server_intercept (Worker *worker, Client *client, CommandRequest *request)
{
  const char *verb = request->n_words > 0 ? request->words[0] : "";
  Server *server = worker->server;
  char *problem = NULL;

  if (strcmp (verb, "create") == 0) {
    answer (client, 1, "There is a network here already.\n");
  } else if (strcmp (verb, "stop") == 0) {
    answer (client, 0, has_word (request, "--json") ? "{\"ok\":true}\n" : "Stopped.\n");
    server_stop (server, false);
  } else if (strcmp (verb, "delete") == 0 && !has_word (request, "--yes")) {
    answer (client, 2, "This ends the network for all of its devices; say it with --yes.\n");
  } else if (strcmp (verb, "delete") == 0) {
    answer (client, 0, has_word (request, "--json") ? "{\"ok\":true}\n" : "Deleted.\n");
    server_stop (server, true);
  } else if (strcmp (verb, "backup") == 0) {
    /* The copy of the descriptor lives on, and with it what epoll would tell of a client that is
     * gone. */
    worker_watch (worker, &client->watch, EPOLL_CTL_DEL, 0);
    backup_serve (server->options->data_dir, dup (client->watch.fd));
    client->closing = true;
  } else if (changes (request) && (problem = server_store_problem (server->store_thread))) {
    answer (client, 1, problem);
    free (problem);
    buffer_append_text (&client->out, ": nothing was changed; make room and try again\n");
  } else {
    return false;
  }
  command_request_clear (request);
  return true;
}
