#include "path/netcheck-report.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

NetcheckReport *
netcheck_report_copy (const NetcheckReport *report)
{
  NetcheckReport *copy = mem_dup (report, sizeof *report);

  copy->regions = mem_dup (report->regions, report->n_regions * sizeof *report->regions);
  return copy;
}

void
netcheck_report_free (NetcheckReport *report)
{
  if (!report)
    return;
  free (report->regions);
  free (report);
}

static RegionLatency *
find_region (const NetcheckReport *report, uint16_t region)
{
  for (size_t i = 0; i < report->n_regions; i++)
    if (report->regions[i].region == region)
      return &report->regions[i];
  return NULL;
}

const RegionLatency *
netcheck_report_region (const NetcheckReport *report, uint16_t region)
{
  return report ? find_region (report, region) : NULL;
}

static void
keep_smaller (int64_t *latency, int64_t other)
{
  if (*latency < 0 || other < *latency)
    *latency = other;
}

void
netcheck_report_add_latency (NetcheckReport *report, uint16_t region, unsigned family,
                             int64_t latency_us)
{
  RegionLatency *r = find_region (report, region);

  if (!r) {
    size_t at = 0;
    while (at < report->n_regions && report->regions[at].region < region)
      at++;
    report->regions
        = mem_resize (report->regions, (report->n_regions + 1) * sizeof *report->regions);
    memmove (&report->regions[at + 1], &report->regions[at],
             (report->n_regions - at) * sizeof *report->regions);
    report->n_regions++;
    r = &report->regions[at];
    *r = (RegionLatency){region, NETCHECK_NO_LATENCY, NETCHECK_NO_LATENCY, NETCHECK_NO_LATENCY};
  }
  keep_smaller (&r->latency_us, latency_us);
  if (family == 4)
    keep_smaller (&r->latency4_us, latency_us);
  else if (family == 6)
    keep_smaller (&r->latency6_us, latency_us);
}

static void
add_mapped (MappedAddress *list, size_t *count, const IpPort *at)
{
  for (size_t i = 0; i < *count; i++)
    if (ip_port_equal (&list[i].at, at)) {
      list[i].seen++;
      return;
    }
  if (*count < NETCHECK_MAPPED_MAX)
    list[(*count)++] = (MappedAddress){*at, 1};
}

static void
note_mapped4 (NetcheckReport *report, const IpPort *at)
{
  if (report->n_mapped4 > 0) {
    bool same = ip_port_equal (at, &report->global4);
    if (!same)
      report->mapping_varies = TRISTATE_TRUE;
    else if (report->mapping_varies == TRISTATE_UNSET)
      report->mapping_varies = TRISTATE_FALSE;
  } else {
    report->global4 = *at;
  }
  add_mapped (report->mapped4, &report->n_mapped4, at);
}

void
netcheck_report_add_mapped (NetcheckReport *report, const IpPort *mapped)
{
  report->udp = true;
  if (mapped->addr.family == 4) {
    report->ipv4 = true;
    note_mapped4 (report, mapped);
  } else {
    report->ipv6 = true;
    report->global6 = *mapped;
    add_mapped (report->mapped6, &report->n_mapped6, mapped);
  }
}
