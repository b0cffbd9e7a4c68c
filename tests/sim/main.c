/* Runs the simulated world: warren-sim [--quick | --day] [--seed N] [--nodes N] [--minutes N] [-v].
 *
 * Without --seed a fixed list of seeds is run. A seed that fails is printed; with --seed it fails
 * again, at the same event. */
#include "flows.h"
#include "world.h"

#include <glib.h>

#define LONG_MINUTES 240 /* longer runs have fewer conversations at a time: time costs time */

static int n_tests;
static bool failed;

static void
report (bool ok, const char *name, const char *detail)
{
  g_print ("%s %d - %s\n", ok ? "ok" : "not ok", ++n_tests, name);
  if (detail)
    g_print ("# %s\n", detail);
  failed |= !ok;
}

static void
print_sums (const Sim *sim, double seconds)
{
  const SimFlowStats *f = sim_flows_stats (sim);
  uint64_t wake_ups = 0, quiet = 0;

  for (unsigned i = 0; i < sim->options.n_nodes; i++) {
    SimNodeStatus status;
    sim_node_status (sim->nodes[i], &status);
    if (sim_node_is_quiet (sim, i))
      quiet += status.wake_ups;
    else
      wake_ups += status.wake_ups;
  }
  g_print ("# seed %" G_GUINT64_FORMAT ": %" G_GUINT64_FORMAT " events, %" G_GUINT64_FORMAT
           " datagrams (%" G_GUINT64_FORMAT " lost), trace %016" G_GINT64_MODIFIER "x, %.1f s\n",
           sim->options.seed, sim->events.taken, sim->datagrams, sim->lost, sim->events.trace,
           seconds);
  g_print ("# %" G_GUINT64_FORMAT " conversations, %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
           " requests answered, %.2f %% of %" G_GUINT64_FORMAT
           " while calm; direct %.1f %% where possible, %.1f %% between hard and easy NATs\n",
           f->flows, f->answers, f->requests,
           100.0 * (double)f->calm_answers / (double)MAX (f->calm_requests, 1), f->calm_requests,
           100.0 * (double)f->direct / (double)MAX (f->could_be_direct, 1),
           100.0 * (double)f->guessed / (double)MAX (f->could_be_guessed, 1));
  g_print ("# longest stall while calm %.1f s, longest without direct path %.1f s; oldest "
           "session %.1f s; wake-ups "
           "%" G_GUINT64_FORMAT ", of quiet nodes %" G_GUINT64_FORMAT "\n",
           (double)f->longest_stall_us / USEC_PER_SEC, (double)f->longest_without_us / USEC_PER_SEC,
           (double)f->oldest_session_us / USEC_PER_SEC, wake_ups, quiet);
}

static uint64_t
run (const SimOptions *options, const char *name)
{
  Sim *sim = sim_new (options);
  int64_t start = g_get_monotonic_time ();
  bool ok = sim_run (sim);
  uint64_t trace = sim->events.trace;
  g_autofree char *detail = NULL;

  if (!ok)
    detail = g_strdup_printf ("%s (replay with --seed %" G_GUINT64_FORMAT
                              " --nodes %u --minutes %" G_GINT64_FORMAT ")",
                              sim->failure, options->seed, options->n_nodes,
                              options->duration_us / USEC_PER_SEC / 60);
  print_sums (sim, (double)(g_get_monotonic_time () - start) / USEC_PER_SEC);
  if (name)
    report (ok, name, detail);
  sim_free (sim);
  return trace;
}

int
main (int argc, char **argv)
{
  gboolean quick = FALSE, day = FALSE, verbose = FALSE, calm = FALSE, guess = FALSE;
  int nodes = 100, minutes_given = 0;
  gint64 seed = 1;
  const GOptionEntry entries[] = {
      {"quick", 0, 0, G_OPTION_ARG_NONE, &quick, "One hour (the default)", NULL},
      {"day", 0, 0, G_OPTION_ARG_NONE, &day, "A whole day", NULL},
      {"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Seed", "N"},
      {"nodes", 0, 0, G_OPTION_ARG_INT, &nodes, "Nodes (at most 128)", "N"},
      {"minutes", 0, 0, G_OPTION_ARG_INT, &minutes_given, "Simulated minutes", "N"},
      {"calm", 0, 0, G_OPTION_ARG_NONE, &calm, "Nothing goes wrong but loss", NULL},
      {"guess", 0, 0, G_OPTION_ARG_NONE, &guess, "Let nodes guess through hard NATs", NULL},
      {"verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, "Tell what happens", NULL},
      {NULL},
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  int64_t minutes = minutes_given ? minutes_given : day ? 24 * 60 : 60;
  SimOptions options
      = {.seed = (uint64_t)seed, .n_nodes = (unsigned)CLAMP (nodes, 8, SIM_MAX_NODES)};
  options.duration_us = minutes * 60 * USEC_PER_SEC;
  options.n_flows = minutes > LONG_MINUTES ? options.n_nodes / 3 : options.n_nodes * 4 / 5;
  options.verbose = verbose;
  options.calm = calm;
  options.guess = guess;
  run (&options, "/sim/every-promise-is-kept");

  SimOptions small = {.seed = (uint64_t)seed, .n_nodes = 20};
  small.n_flows = 16;
  small.guess = guess;
  small.duration_us = 10 * 60 * USEC_PER_SEC;
  if (!verbose && !failed)
    report (run (&small, NULL) == run (&small, NULL), "/sim/a-seed-replays-to-the-same-trace",
            NULL);
  g_print ("1..%d\n", n_tests);
  return failed;
}
