/* What main tells net. Net's answers are TunnelEvents. */
#pragma once

#include "tunnel/tunnel.h"

#define COMMAND_ADDRESSES_MAX 16

typedef enum
{
  COMMAND_CONFIG,
  COMMAND_NODE_KEY,
  COMMAND_LINK,
  COMMAND_REBIND,
  COMMAND_RESUMED,
  COMMAND_ONLINE,
  COMMAND_PING,
  COMMAND_NETCHECK,
  COMMAND_RESOLVED,
  COMMAND_PROXIES,
  COMMAND_STOP,
} CommandType;

typedef struct
{
  CommandType type;
  uint64_t id; /* CONFIG: its number; PING, NETCHECK, RESOLVED: of the question */
  union
  {
    TunnelConfig *config; /* a reference */
    NodePrivate node_key;
    struct
    {
      TunnelLinkAddress *addresses; /* owned */
      TunnelLink link;              /* its addresses are those above */
    } link;
    int64_t slept_us;
    bool online;
    struct
    {
      NodePublic peer;
      TunnelPingType type;
      size_t size;
      int64_t timeout_us;
    } ping;
    struct
    {
      IpAddr addresses[COMMAND_ADDRESSES_MAX];
      size_t n;
    } resolved;
    struct
    {
      char *https_proxy, *no_proxy; /* owned, or NULL */
    } proxies;
  };
} Command;
