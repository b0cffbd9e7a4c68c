#include "path/actions.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

PathAction *
actions_add (PathActions *actions, PathActionType type)
{
  if (actions->first > 0 && actions->first == actions->count)
    actions->first = actions->count = 0;
  actions->items
      = mem_grow (actions->items, actions->count, &actions->room, sizeof *actions->items);
  PathAction *action = &actions->items[actions->count++];
  memset (action, 0, sizeof *action);
  action->type = type;
  return action;
}

bool
actions_take (PathActions *actions, PathAction *out)
{
  if (actions->first == actions->count)
    return false;
  *out = actions->items[actions->first++];
  return true;
}

static void
relay_node_clear (PathRelayNode *node)
{
  free (node->node_name);
  free (node->host);
  free (node->cert_name);
  free (node->ideal_node);
}

void
path_action_clear (PathAction *action)
{
  switch (action->type) {
    case PATH_ACTION_SEND_UDP:
      free (action->send_udp.data);
      break;
    case PATH_ACTION_SEND_RELAY:
      free (action->send_relay.data);
      break;
    case PATH_ACTION_RELAY_CONNECT:
      relay_node_clear (&action->relay_connect.node);
      break;
    case PATH_ACTION_ENDPOINTS:
      free (action->endpoints.list);
      break;
    case PATH_ACTION_NET_INFO:
      netcheck_report_free (action->net_info.report);
      break;
    case PATH_ACTION_NETCHECK_RESULT:
      netcheck_report_free (action->netcheck_result.report);
      break;
    case PATH_ACTION_RESOLVE:
      free (action->resolve.host);
      break;
    case PATH_ACTION_HTTPS_PROBE:
      relay_node_clear (&action->https_probe.node);
      break;
    case PATH_ACTION_SET_DESTINATION:
    case PATH_ACTION_PEER_RESTARTED:
    case PATH_ACTION_RELAY_CLOSE:
    case PATH_ACTION_RELAY_HOME:
    case PATH_ACTION_RELAY_PING:
    case PATH_ACTION_REBIND:
    case PATH_ACTION_PING_RESULT:
    case PATH_ACTION_ICMP_PING:
    case PATH_ACTION_SIDE_OPEN:
    case PATH_ACTION_SIDE_CLOSE:
      break;
  }
  memset (action, 0, sizeof *action);
}

void
actions_free (PathActions *actions)
{
  PathAction action;

  while (actions_take (actions, &action))
    path_action_clear (&action);
  free (actions->items);
}
