/* Filter rules from the wire, compiled, and packets that meet them. The input is a JSON list of
 * rules, a NUL byte, and packets with a length byte before each. */
#include "filter/filter.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static Filter *
compile (FilterRules *rules, FilterClass klass)
{
  IpPrefix local[2] = {{ip_from_v4 (0x64400009), 32}, {ip_from_v4 (0xc0a80700), 24}};
  NamedFilter list = {"base", rules};
  FilterConfig config
      = {.klass = klass, .lists = &list, .n_lists = 1, .local = local, .n_local = 2};

  return filter_compile (&config);
}

/* A packet that passes without rules passes with them. */
static void
check_packet (Filter *const filters[3], FlowTable *flows, const uint8_t *data, size_t size)
{
  FilterVerdict verdict[3];
  IpPacket p;

  ip_packet_parse (&p, data, size);
  for (int i = 0; i < 3; i++)
    verdict[i] = filter_in (filters[i], flows, &p, false, 0);
  FilterVerdict jailed = filter_in (filters[FILTER_NORMAL], flows, &p, true, 0);
  assert (verdict[FILTER_NONE] != FILTER_ACCEPT || p.klass == PACKET_KEEPALIVE);
  assert (verdict[FILTER_SHIELDS_UP] == jailed);
  assert (jailed != FILTER_ACCEPT || verdict[FILTER_NORMAL] == FILTER_ACCEPT);
  if (filter_out (filters[FILTER_NORMAL], flows, &p, 0) != FILTER_ACCEPT || p.klass != PACKET_OK
      || (p.protocol != IP_PROTO_UDP && p.protocol != IP_PROTO_SCTP))
    return;
  IpPacket answer = p;
  answer.src = p.dst;
  answer.dst = p.src;
  answer.src_port = p.dst_port;
  answer.dst_port = p.src_port;
  assert (flow_table_matches (flows, &answer, 0));
}

static void
check_rules (FilterRules *rules, const uint8_t *data, size_t size)
{
  Filter *filters[3];
  FlowTable *flows = flow_table_new (64);
  IpAddr src = ip_from_v4 (0x64400007), dst = ip_from_v4 (0x64400009);
  FilterWitness witness;
  JsonWriter w, again;

  for (int i = 0; i < 3; i++)
    filters[i] = compile (rules, (FilterClass)i);
  while (size > 0) {
    size_t length = data[0] < size ? data[0] : size - 1;
    check_packet (filters, flows, data + 1, length);
    data += length + 1;
    size -= length + 1;
  }
  for (int protocol = 0; protocol < 256; protocol += 17)
    filter_explain (filters[FILTER_NORMAL], (uint8_t)protocol, &src, &dst, 22, &witness);
  json_writer_init (&w);
  filter_peer_caps (filters[FILTER_NORMAL], &src, &dst, false, &w);
  json_writer_clear (&w);

  /* Rules read back as the same rules. */
  json_writer_init (&w);
  json_writer_init (&again);
  filter_rules_encode (rules, &w);
  JsonReader r;
  json_reader_init (&r, w.data, w.size);
  FilterRules *back = filter_rules_decode (&r);
  assert (back && json_reader_end (&r));
  filter_rules_encode (back, &again);
  assert (w.size == again.size && memcmp (w.data, again.data, w.size) == 0);
  assert (filter_rules_equal (rules, back));
  json_reader_clear (&r);
  filter_rules_unref (back);
  json_writer_clear (&w);
  json_writer_clear (&again);
  for (int i = 0; i < 3; i++)
    filter_unref (filters[i]);
  flow_table_free (flows);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  const uint8_t *end = memchr (data, 0, size);
  size_t length = end ? (size_t)(end - data) : size;
  JsonReader r;

  json_reader_init (&r, data, length);
  FilterRules *rules = filter_rules_decode (&r);
  json_reader_clear (&r);
  if (rules)
    check_rules (rules, data + (end ? length + 1 : length), size - (end ? length + 1 : length));
  filter_rules_unref (rules);
  return 0;
}
