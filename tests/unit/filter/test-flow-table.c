#include "packets.h"

#include "filter/flow-table.h"

#define SELF4 "100.64.0.9"

static void
test_flow_time (void)
{
  FlowTable *flows = flow_table_new (64);
  IpPacket out = packet_parse ("udp " SELF4 " 5000 100.64.0.7 53");
  IpPacket back = packet_parse ("udp 100.64.0.7 53 " SELF4 " 5000");
  int64_t now = 1000000;

  flow_table_add (flows, &out, now);
  for (int i = 0; i < 5; i++) {
    now += FLOW_IDLE_TIMEOUT_US - 1000000;
    g_assert_true (flow_table_matches (flows, &back, now));
  }
  now += FLOW_IDLE_TIMEOUT_US + 1000000;
  g_assert_false (flow_table_matches (flows, &back, now));
  flow_table_add (flows, &out, now);
  g_assert_true (flow_table_matches (flows, &back, now));
  flow_table_clear (flows);
  g_assert_false (flow_table_matches (flows, &back, now));
  flow_table_free (flows);
}

/* More flows than room: the busy one stays. */
static void
test_flow_eviction (void)
{
  FlowTable *flows = flow_table_new (64);
  IpPacket out = packet_parse ("udp " SELF4 " 5000 100.64.0.7 53");
  IpPacket back = packet_parse ("udp 100.64.0.7 53 " SELF4 " 5000");
  unsigned known = 0;

  flow_table_add (flows, &out, 0);
  for (unsigned i = 1; i <= 5000; i++) {
    IpPacket p = out;
    p.src_port = (uint16_t)(10000 + i);
    flow_table_add (flows, &p, i * INT64_C (1000000));
    g_assert_true (flow_table_matches (flows, &back, i * INT64_C (1000000)));
  }
  for (unsigned i = 4900; i <= 5000; i++) {
    IpPacket p = back;
    p.dst_port = (uint16_t)(10000 + i);
    known += flow_table_matches (flows, &p, INT64_C (5000000000));
  }
  g_assert_cmpuint (known, >, 40);
  g_assert_cmpuint (known, <=, 64);
  flow_table_free (flows);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/flow-table/flows-time-out-when-idle", test_flow_time);
  g_test_add_func ("/flow-table/busy-flows-survive-many-others", test_flow_eviction);
  return g_test_run ();
}
