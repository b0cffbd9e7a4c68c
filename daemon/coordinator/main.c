/* warren-coordinator: what a private network needs besides its devices. */

#include "coordinator/policy-preview.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define EXIT_USAGE 2

static const char help[] = "Usage: warren-coordinator policy preview --policy FILE --nodes FILE\n"
                           "       warren-coordinator policy check --policy FILE [--nodes FILE]\n"
                           "\n"
                           "  preview   print what every node would get, as JSON by node name\n"
                           "  check     report the errors of a policy and run the tests inside it\n"
                           "\n"
                           "  --policy FILE   policy (HuJSON); - reads standard input\n"
                           "  --nodes FILE    users and nodes (JSON)\n"
                           "  -h, --help      print this\n";

static int
run_policy (int argc, char **argv)
{
  static const struct option options[] = {
      {"policy", required_argument, NULL, 'p'},
      {"nodes", required_argument, NULL, 'n'},
      {"help", no_argument, NULL, 'h'},
      {0},
  };
  const char *policy = NULL, *nodes = NULL;
  const char *verb = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
  int c;

  while ((c = getopt_long (argc, argv, "h", options, NULL)) != -1) {
    if (c == 'p')
      policy = optarg;
    else if (c == 'n')
      nodes = optarg;
    else if (c == 'h')
      return fputs (help, stdout) < 0;
    else
      return EXIT_USAGE;
  }
  if (policy && nodes && strcmp (verb, "preview") == 0)
    return policy_preview (policy, nodes);
  if (policy && strcmp (verb, "check") == 0)
    return policy_check (policy, nodes);
  fputs (help, stderr);
  return EXIT_USAGE;
}

int
main (int argc, char **argv)
{
  if (argc > 1 && (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0))
    return fputs (help, stdout) < 0;
  if (argc > 1 && strcmp (argv[1], "policy") == 0)
    return run_policy (argc - 1, argv + 1);
  fputs (help, stderr);
  return EXIT_USAGE;
}
