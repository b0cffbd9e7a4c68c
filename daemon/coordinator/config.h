/* The coordinator's configuration: a key file, and the same settings as options of `serve`
 * (warren-coordinator.conf(5)).
 *
 *   # a comment
 *   [server]
 *   url = https://vpn.example.org
 *
 * One table has every setting; a key that it does not know, a value that cannot be, and a section
 * out of place are errors with their line. Lists are separated by ";". Nothing is read from a disk
 * here. Any thread; one owner. */
#pragma once

#include "base/ip.h"
#include "coordinator/server.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_SIZE_MAX (256u << 10)
#define CONFIG_LIST_MAX 64

typedef enum
{
  CONFIG_TEXT,
  CONFIG_URL,     /* http:// or https:// */
  CONFIG_ADDRESS, /* ADDRESS:PORT */
  CONFIG_PORT,    /* 0 .. 65535 */
  CONFIG_BYTES,   /* up to 4 GiB */
  CONFIG_SWITCH,  /* true, false */
  CONFIG_DOMAIN,
  CONFIG_PREFIX4,
  CONFIG_PREFIX6,
  CONFIG_DAYS, /* "180d", 0: never */
  CONFIG_LIST, /* texts */
} ConfigKind;

typedef struct
{
  const char *section; /* "relay" */
  const char *key;     /* "listen" */
  const char *option;  /* "relay-listen" */
  ConfigKind kind;
  size_t offset; /* in ServerOptions */
} ConfigKey;

typedef struct
{
  ServerOptions options; /* texts are the config's */
  void **owned;
  size_t n_owned, owned_room;
} Config;

const ConfigKey *config_keys (size_t *n);

void config_init (Config *config);
void config_clear (Config *config);

/* Frees TEXT with the config; returns it. */
char *config_keep (Config *config, char *text);

/* A whole file. False and *ERROR (malloc'd, "line 7: …"); what stood before the error is set. */
bool config_read (Config *config, const char *text, size_t size, char **error);

/* One setting by the name of its option. False and *ERROR (malloc'd). */
bool config_set_option (Config *config, const char *option, const char *value, char **error);

/* What is missing or does not fit together for serving; NULL when all is well (static text). */
const char *config_check (const Config *config);
