#include "fixture.h"

static const unsigned one_region[] = {1};

Fixture
fixture_new (const char *endpoint)
{
  Fixture f = {.rig = rig_new (), .at = rig_address (PEER_AT)};

  rig_set_map (f.rig, rig_map (one_region, 1));
  f.peer = rig_add_peer (f.rig, endpoint, 1);
  rig_tell_peers (f.rig);
  rig_run (f.rig, SECOND);
  f.relay = rig_relay_up (f.rig);
  rig_clear (f.rig);
  return f;
}

void
fixture_go_direct (Fixture *f)
{
  rig_sent (f->rig, f->peer);
  g_assert_true (rig_pong (f->rig, f->peer, &f->at));
  g_assert_true (rig_destination (f->rig, f->peer).trusted);
}

unsigned
fixture_pings (const Fixture *f)
{
  return rig_disco (f->rig, f->peer, DISCO_PING, false, NULL, NULL);
}

unsigned
fixture_calls (const Fixture *f)
{
  return rig_disco (f->rig, f->peer, DISCO_CALL_ME_MAYBE, true, NULL, NULL);
}

void
fixture_run_answered (Fixture *f, int64_t span_us)
{
  for (int64_t left = span_us; left > 0; left -= SECOND) {
    rig_clear (f->rig);
    rig_sent (f->rig, f->peer);
    rig_run (f->rig, MIN (left, SECOND));
    rig_pong (f->rig, f->peer, &f->at);
  }
}

void
fixture_command (Fixture *f, uint32_t id, size_t size)
{
  PathEvent event = {.type = PATH_EVENT_PING};

  event.ping.id = id;
  event.ping.peer = f->peer->key;
  event.ping.size = size;
  rig_input (f->rig, &event);
}
