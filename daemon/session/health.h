/* What is not as it should be while Warren goes on: warnings with a code, a delay before they show,
 * and the ones that hide others (spec/local-services.md §10.2, §10.3; spec/linux-host.md §14).
 *
 * Conditions go in with the time; what is visible comes out. Pure; main thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum
{
  HEALTH_NETWORK_DOWN,
  HEALTH_NO_RELAY_HOME,
  HEALTH_NO_RELAY_CONNECTION,
  HEALTH_NO_MAP_STREAM,
  HEALTH_KEY_EXPIRING,
  HEALTH_EXIT_NODE_UNAVAILABLE,
  HEALTH_EXIT_NODE_NO_DNS,
  HEALTH_FIREWALL_UNAVAILABLE,
  HEALTH_FIREWALL_BLOCKS,
  HEALTH_OTHER_VPN,
  HEALTH_INVALID_FILTER,
  HEALTH_LOCAL_NETWORK,
  HEALTH_ROUTES_NOT_ACCEPTED,
  HEALTH_FORWARDING_OFF,
  HEALTH_N_CODES,
} HealthCode;

typedef struct
{
  const char *code;     /* as on the bus */
  const char *severity; /* "low", "medium", "high" */
  const char *title;
  const char *text; /* %s: the argument */
  bool impacts_connectivity;
  int64_t delay_us;
  bool needs_network; /* hidden while there is no network */
} HealthInfo;

const HealthInfo *health_info (HealthCode code);

typedef struct
{
  int64_t since_us; /* 0: healthy */
  int64_t since_s;  /* the same as a date */
  char *argument;   /* for the text, or NULL */
} HealthItem;

typedef struct
{
  HealthItem items[HEALTH_N_CODES];
} Health;

/* Sets the condition of CODE. True when what is visible may change by it. */
bool health_set (Health *health, HealthCode code, bool unhealthy, const char *argument,
                 int64_t now_us, int64_t now_s);
bool health_is_visible (const Health *health, HealthCode code, int64_t now_us);

/* The text of CODE with its argument. Free with g_free. */
char *health_text (const Health *health, HealthCode code);

/* When the next warning becomes visible; TIME_NEVER if none is waiting. */
int64_t health_next_deadline (const Health *health, int64_t now_us);
void health_clear (Health *health);
