/* What the threads of the tunnel tell each other. Each message is a small struct in a ring; bytes
 * of packets follow the struct. Nothing here outlives the tunnel. DESIGN rule 3. */
#pragma once

#include "tunnel/live.h"
#include "wireguard/session.h"

/* Net to a worker. */
typedef enum
{
  ORDER_INSTALL,           /* keys of a finished handshake */
  ORDER_ERASE,             /* all sessions of a peer */
  ORDER_FORGET,            /* the peer was removed; answered by REPORT_FORGOTTEN */
  ORDER_GIVE_UP,           /* the handshake failed: drop what is staged */
  ORDER_HANDSHAKE_ON_DATA, /* the peer may have restarted */
  ORDER_RESUMED,           /* the computer slept: the same for all peers */
  ORDER_DATAGRAM,          /* a data message that came through a relay; bytes follow */
  ORDER_INJECT,            /* an inner packet of ours for a peer; bytes follow */
  ORDER_SOCKETS,           /* use these from now on; answered by REPORT_SOCKETS */
  ORDER_FENCE,             /* answered by REPORT_FENCE, when all before it is done */
  ORDER_STOP,
} OrderType;

typedef struct
{
  OrderType type;
  uint32_t size; /* of the bytes that follow */
  LivePeer *peer;
  union
  {
    WgSessionKeys keys;
    Sockets *sockets;
    uint64_t number;
  };
} Order;

/* A worker to net. */
typedef enum
{
  REPORT_DATAGRAM, /* disco, STUN or handshake from a UDP socket; bytes follow */
  REPORT_STRANGER, /* data for a session that nobody knows came from a UDP socket */
  REPORT_RELAY,    /* a message for a relay; bytes follow */
  REPORT_WANT_HANDSHAKE,
  REPORT_CONFIRMED, /* index */
  REPORT_RETIRED,   /* session left its slot: to be freed when nobody holds it */
  REPORT_IDLE,      /* active was given up: to be freed when nobody holds it */
  REPORT_FORGOTTEN,
  REPORT_SENT,     /* something went or wants to go to peer */
  REPORT_RECEIVED, /* something authentic came from peer */
  REPORT_SUSPECT,  /* 15 s without an answer */
  REPORT_SEND_ERROR,
  REPORT_INNER,   /* TSMP or echo reply for net; inner packet follows */
  REPORT_SOCKETS, /* the sockets before these are not used any more */
  REPORT_FENCE,
  REPORT_OFFLOAD_OFF, /* merging into the TUN device was switched off */
  REPORT_TUN_LOST,
} ReportType;

typedef struct
{
  ReportType type;
  uint32_t size;  /* of the bytes that follow */
  LivePeer *peer; /* valid until its owner has answered FORGET */
  union
  {
    IpPort address;     /* DATAGRAM, STRANGER, RECEIVED (family 0: by relay), SEND_ERROR */
    uint16_t region;    /* RELAY */
    uint32_t index;     /* CONFIRMED */
    WgSession *session; /* RETIRED */
    ActivePeer *active; /* IDLE */
    Sockets *sockets;   /* SOCKETS */
    uint64_t number;    /* FENCE */
  };
  int error;       /* SEND_ERROR, OFFLOAD_OFF: errno */
  int64_t time_us; /* WANT_HANDSHAKE: when it was asked for */
} Report;

/* A worker to another worker. */
typedef enum
{
  HANDOVER_INNER,    /* a filtered packet from the TUN device for a peer that the other owns */
  HANDOVER_RAW,      /* the same before the filter, whose memory of flows is the owner's */
  HANDOVER_DATAGRAM, /* a data message with an index of the other */
  HANDOVER_SENT,     /* packets were sent on a session that the other owns */
} HandoverType;

typedef struct
{
  HandoverType type;
  uint32_t size;
  LivePeer *peer;
  IpPort address;
} Handover;
