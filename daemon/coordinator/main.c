/* warren-coordinator: options and words. */

#include "base/log.h"
#include "coordinator/policy-preview.h"
#include "coordinator/server.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE  2
#define POLICY_FILE (4 << 20)

static const char help[]
    = "Usage: warren-coordinator serve --data-dir DIR --url URL --listen ADDRESS:PORT\n"
      "           [--relay-url URL --relay-listen ADDRESS:PORT] [--relay-open]\n"
      "           [--stun-port PORT]\n"
      "       warren-coordinator --data-dir DIR COMMAND…\n"
      "       warren-coordinator policy preview --policy FILE --nodes FILE\n"
      "       warren-coordinator policy check --policy FILE [--nodes FILE]\n"
      "\n"
      "Commands of a running server:\n"
      "  status                                    how many devices there are\n"
      "  keys create [--reusable] [--ephemeral] [--tags=TAG,…] [--expires=90d] [--user=LOGIN]\n"
      "  keys list | keys revoke ID\n"
      "  nodes list | nodes approve [NAME] | nodes deny NAME | nodes rename NAME NEW\n"
      "  nodes expire NAME | nodes remove NAME | nodes tag NAME TAG,…\n"
      "  routes approve NAME PREFIX…               replaces what was approved\n"
      "  users list | users create LOGIN | users invite LOGIN [--role=ROLE] | users remove LOGIN\n"
      "  users role LOGIN owner|admin|member | users password LOGIN (from standard input)\n"
      "  users code [LOGIN]                        one-time code for the sign-in page\n"
      "  policy get | policy set FILE\n"
      "  dns set [ADDRESS…]                        name servers for all devices\n"
      "  Lists take --json.\n"
      "\n"
      "  --data-dir DIR        database, keys and command socket\n"
      "  --url URL             what devices use to reach the server\n"
      "  --listen ADDRESS:PORT where it listens\n"
      "  --relay-url URL       https address of the relay, as devices reach it\n"
      "  --relay-listen ADDRESS:PORT\n"
      "  --relay-open          the relay serves devices of other networks, too\n"
      "  --stun-port PORT      UDP port of STUN, 3478 unless said otherwise; 0: none\n"
      "  --policy FILE         policy (HuJSON); - reads standard input\n"
      "  --nodes FILE          users and nodes (JSON)\n"
      "  -v, --verbose         log debug messages\n"
      "  -h, --help            print this\n";

typedef struct
{
  ServerOptions server;
  const char *policy, *nodes;
  bool stop; /* help was shown, or an option is wrong */
  int code;
} Options;

static void
parse (int argc, char **argv, Options *options)
{
  static const struct option names[] = {
      {"data-dir", required_argument, NULL, 'd'},
      {"url", required_argument, NULL, 'u'},
      {"listen", required_argument, NULL, 'l'},
      {"relay-url", required_argument, NULL, 'r'},
      {"relay-listen", required_argument, NULL, 'R'},
      {"relay-open", no_argument, NULL, 'o'},
      {"stun-port", required_argument, NULL, 's'},
      {"policy", required_argument, NULL, 'p'},
      {"nodes", required_argument, NULL, 'n'},
      {"verbose", no_argument, NULL, 'v'},
      {"help", no_argument, NULL, 'h'},
      {0},
  };
  int c;

  options->server.stun_port = 3478;
  while ((c = getopt_long (argc, argv, "+vh", names, NULL)) != -1) {
    switch (c) {
      case 'd':
        options->server.data_dir = optarg;
        break;
      case 'u':
        options->server.url = optarg;
        break;
      case 'l':
        options->server.listen = optarg;
        break;
      case 'r':
        options->server.relay_url = optarg;
        break;
      case 'R':
        options->server.relay_listen = optarg;
        break;
      case 'o':
        options->server.relay_open = true;
        break;
      case 's':
        options->server.stun_port = (uint16_t)atoi (optarg);
        break;
      case 'p':
        options->policy = optarg;
        break;
      case 'n':
        options->nodes = optarg;
        break;
      case 'v':
        log_set_level (LOG_LEVEL_DEBUG);
        break;
      case 'h':
        fputs (help, stdout);
        options->stop = true;
        return;
      default:
        options->stop = true;
        options->code = EXIT_USAGE;
        return;
    }
  }
}

static int
usage (void)
{
  fputs (help, stderr);
  return EXIT_USAGE;
}

static int
run_policy (const Options *options, const char *verb)
{
  if (options->policy && options->nodes && strcmp (verb, "preview") == 0)
    return policy_preview (options->policy, options->nodes);
  if (options->policy && strcmp (verb, "check") == 0)
    return policy_check (options->policy, options->nodes);
  return usage ();
}

static char *
read_policy (const char *path)
{
  FILE *file = strcmp (path, "-") == 0 ? stdin : fopen (path, "re");
  char *text = calloc (1, POLICY_FILE + 1);

  if (!file || !text || (fread (text, 1, POLICY_FILE, file) == 0 && ferror (file))) {
    perror (path);
    free (text);
    text = NULL;
  }
  if (file && file != stdin)
    fclose (file);
  return text;
}

/* The text of a policy, or a password from standard input, travels with the command; other words go
 * as they are. */
static int
run_command (const Options *options, const char *const *words, unsigned n)
{
  char *input = NULL;

  if (n >= 3 && strcmp (words[0], "policy") == 0 && strcmp (words[1], "set") == 0) {
    input = read_policy (words[2]);
    if (!input)
      return EXIT_USAGE;
  }
  if (n >= 3 && strcmp (words[0], "users") == 0 && strcmp (words[1], "password") == 0)
    input = read_policy ("-");
  int code = server_command (options->server.data_dir, words, n, input);
  free (input);
  return code;
}

int
main (int argc, char **argv)
{
  Options options = {0};
  const char *verb = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  bool named = strcmp (verb, "serve") == 0 || strcmp (verb, "policy") == 0;

  /* "serve" and "policy preview" take their options behind the word. */
  if (named) {
    argc--;
    argv++;
    if (strcmp (verb, "policy") == 0 && argc > 1 && argv[1][0] != '-') {
      argc--;
      argv++;
    }
  }
  parse (argc, argv, &options);
  if (options.stop)
    return options.code;
  if (strcmp (verb, "policy") == 0)
    return run_policy (&options, argv[0]);
  if (strcmp (verb, "serve") == 0) {
    const ServerOptions *server = &options.server;
    if (!server->data_dir || !server->url || !server->listen
        || (server->relay_url && !server->relay_listen))
      return usage ();
    return server_run (server);
  }
  if (!options.server.data_dir || optind >= argc)
    return usage ();
  return run_command (&options, (const char *const *)argv + optind, (unsigned)(argc - optind));
}
