/* Peers that still speak in the sessions of the run before this one. They would need up to 15 s to
 * find out that nobody listens any more; data for a session that we do not know tells us at once
 * whom to offer a new one. Only for as long as a session of that run can live. */
#include "tunnel/net.h"

#define SAME_ADDRESS_MAX 4 /* peers that one address may belong to, as in two homes alike */

static bool
over (const Net *net)
{
  return net->now_us - net->started_us >= WG_REJECT_AFTER_TIME_US || net->device == NULL;
}

void
net_heal_peer (Net *net, const NodePublic *key)
{
  WgEvent want = {.type = WG_EVENT_WANT_HANDSHAKE};
  PathEvent sent = {.type = PATH_EVENT_SENT};
  const LivePeer *peer = view_peer (net->view, key);

  /* Who has had a session with this run speaks in it, or will. */
  if (over (net) || peer == NULL || atomic_load (&peer->last_handshake_us) != 0)
    return;
  sent.sent.peer = *key;
  net_feed_path (net, &sent);
  want.want.peer = *key;
  want.want.asked_us = net->now_us;
  net_feed_device (net, &want);
}

void
net_heal_address (Net *net, const IpPort *from)
{
  NodePublic keys[SAME_ADDRESS_MAX];
  size_t n = over (net) ? 0 : path_peers_at (net->path, from, keys, SAME_ADDRESS_MAX);

  for (size_t i = 0; i < n; i++)
    net_heal_peer (net, &keys[i]);
}
