/* What the owner of a peer keeps while packets flow: sessions, timers, staged packets. Made with
 * the first packet or session, given up 540 s after the last session. Owner's thread, but for what
 * wireguard/peer.h lets others do. */
#pragma once

#include "tunnel/live.h"
#include "tunnel/stage.h"
#include "wireguard/peer.h"

struct ActivePeer
{
  WgPeer wg; /* first, so that a timer finds it */
  LivePeer *peer;
  Stage *stage;
  int64_t told_sent_us;     /* when net last heard of packets to this peer */
  int64_t told_received_us; /* likewise of packets from it */
  IpPort told_source;       /* and from where */
  int64_t reject_us;        /* when the bucket of TSMP rejects was last filled */
  int32_t rejects;          /* rejects that may be sent now */
};
