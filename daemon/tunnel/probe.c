#include "tunnel/probe.h"

#include "base/memory.h"
#include "wire/http1.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_GOOD 299
#define PROBE_US    (3 * USEC_PER_SEC) /* netcheck waits no longer than five seconds in all */

Probe *
probe_new (const StreamContext *context, uint32_t number, const PathRelayNode *node, int64_t now_us,
           bool *resolve)
{
  Probe *probe = mem_new (sizeof *probe);

  probe->number = number;
  probe->latency_us = NETCHECK_NO_LATENCY;
  *resolve = stream_init (&probe->stream, context, STREAM_OF_PROBE, probe, node, now_us);
  probe->stream.deadline_us = now_us + PROBE_US;
  return probe;
}

void
probe_free (Probe *probe)
{
  if (probe == NULL)
    return;
  stream_clear (&probe->stream);
  free (probe);
}

static void
ask (Probe *probe, int64_t now_us)
{
  char request[512];
  int length = snprintf (request, sizeof request,
                         "GET /derp/latency-check HTTP/1.1\r\nHost: %s\r\n"
                         "User-Agent: %s\r\nConnection: close\r\n\r\n",
                         probe->stream.host, probe->stream.context->user_agent);

  probe->asked = true;
  probe->asked_us = now_us;
  if (length > 0 && (size_t)length < sizeof request)
    stream_write (&probe->stream, request, (size_t)length);
  stream_flush (&probe->stream);
}

static void
read_answer (Probe *probe, int64_t now_us)
{
  Http1Head head;

  http1_head_init (&head, false);
  switch (http1_head_parse (&head, probe->stream.plain.data, probe->stream.plain.size)) {
    case HTTP1_MORE:
      break;
    case HTTP1_BAD:
      probe->done = true;
      break;
    case HTTP1_DONE:
      /* The set-up is not counted, only the answer: as a STUN probe would measure. */
      probe->done = true;
      if (head.status <= ANSWER_GOOD) /* more: it was somebody on the way who answered */
        probe->latency_us = now_us - probe->asked_us;
      probe->ipv6 = stream_local_address (&probe->stream).family == 6;
      break;
  }
}

void
probe_drive (Probe *probe, int64_t now_us)
{
  if (probe->stream.state == STREAM_OPEN && !probe->asked)
    ask (probe, now_us);
  if (probe->asked && probe->stream.plain.size > 0)
    read_answer (probe, now_us);
  if (probe->stream.state == STREAM_FAILED)
    probe->done = true;
}
