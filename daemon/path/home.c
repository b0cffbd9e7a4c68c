#include "path/home.h"

#include "base/clock.h"

#include <string.h>

void
home_history_clear (HomeHistory *h)
{
  for (size_t i = 0; i < h->count; i++)
    netcheck_report_free (h->reports[i]);
  h->count = 0;
}

static void
drop_oldest (HomeHistory *h)
{
  netcheck_report_free (h->reports[0]);
  memmove (h->reports, h->reports + 1, (h->count - 1) * sizeof *h->reports);
  h->count--;
}

void
home_history_add (HomeHistory *h, const NetcheckReport *report)
{
  while (
      h->count == HOME_REPORTS_MAX
      || (h->count > 0 && report->finished_at_us - h->reports[0]->finished_at_us > HOME_HISTORY_US))
    drop_oldest (h);
  h->reports[h->count++] = netcheck_report_copy (report);
}

/* Smallest latency of REGION over all reports, times its score. */
static double
best_latency (const HomeHistory *h, const DerpMap *map, uint16_t id)
{
  const DerpRegion *region = derp_map_region (map, id);
  double score = region && region->score > 0 ? region->score : 1.0;
  double best = -1;

  for (size_t i = 0; i < h->count; i++) {
    const RegionLatency *r = netcheck_report_region (h->reports[i], id);
    if (r && r->latency_us >= 0 && (best < 0 || (double)r->latency_us < best))
      best = (double)r->latency_us;
  }
  return best * score;
}

static uint16_t
any_region (const HomeQuestion *q)
{
  size_t usable = 0;

  for (size_t i = 0; i < q->map->n_regions; i++)
    usable += !q->map->regions[i].no_measure_no_home;
  if (usable == 0)
    return 0;
  size_t pick = q->chance % usable;
  for (size_t i = 0; i < q->map->n_regions; i++)
    if (!q->map->regions[i].no_measure_no_home && pick-- == 0)
      return q->map->regions[i].id;
  return 0;
}

/* The fastest of those that this report measured; *BEST its latency. */
static uint16_t
fastest (const HomeHistory *h, const HomeQuestion *q, double *best)
{
  uint16_t id = 0;

  for (size_t i = 0; i < q->report->n_regions; i++) {
    const RegionLatency *r = &q->report->regions[i];
    const DerpRegion *region = derp_map_region (q->map, r->region);
    if (r->latency_us < 0 || !region || region->no_measure_no_home)
      continue;
    double latency = best_latency (h, q->map, r->region);
    if (id == 0 || latency < *best) {
      id = r->region;
      *best = latency;
    }
  }
  return id;
}

static bool
heard_within (const HomeQuestion *q, int64_t span_us, int64_t now_us)
{
  return q->heard_us != 0 && now_us - q->heard_us <= span_us;
}

static bool
keeps_home (const HomeQuestion *q, double best, int64_t now_us)
{
  const RegionLatency *r = netcheck_report_region (q->report, q->home);
  bool measured = r && r->latency_us >= 0;
  bool heard = heard_within (q, HOME_HEARD_US, now_us)
               || (q->heard_us != 0 && q->heard_us >= q->started_us);

  if (!measured)
    return heard;
  double current = (double)r->latency_us;
  return current - best < HOME_KEEP_US || best > current * 2 / 3;
}

uint16_t
home_choose (const HomeHistory *h, const HomeQuestion *q, int64_t now_us)
{
  const DerpRegion *present = q->map ? derp_map_region (q->map, q->home) : NULL;
  double best = 0;

  if (!q->map)
    return 0;
  if (present && !q->control_connected)
    return q->home;
  uint16_t id = fastest (h, q, &best);
  if (id == 0)
    return present ? q->home : any_region (q);
  if (!present || id == q->home || present->no_measure_no_home)
    return id;
  return keeps_home (q, best, now_us) ? q->home : id;
}
