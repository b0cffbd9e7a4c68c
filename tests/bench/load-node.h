/* A simulated node of the load tests: the client's side of one control connection, as small as it
 * can be. It decrypts every record and counts every map message, and keeps no map.
 *
 * No I/O: bytes in, bytes out. HTTP/2 is spoken by hand (fixed headers, huge windows), so that what
 * is measured is the server. Not a client to learn from: see daemon/control. */
#pragma once

#include "base/key.h"
#include "wire/buffer.h"
#include "wire/noise-record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_VERSION 131

typedef enum
{
  LOAD_UPGRADING,
  LOAD_OPEN, /* behind the Noise handshake */
  LOAD_FAILED,
} LoadState;

typedef enum
{
  LOAD_REGISTERED,
  LOAD_FIRST_MAP, /* the last byte of the first map message has come */
  LOAD_MESSAGE,   /* another message of the map stream; DATA is what follows its length */
  LOAD_ANSWER,    /* a lite update was answered */
  LOAD_REFUSED,   /* anything but 200, or the stream ended */
} LoadEventType;

typedef struct LoadNode LoadNode;
typedef void (*LoadSink) (void *user_data, LoadNode *node, LoadEventType type, const void *data,
                          size_t size);

struct LoadNode
{
  uint32_t index; /* of all nodes of the test; its keys and name follow from it */
  LoadState state;
  Buffer out;         /* for the server */
  uint64_t map_bytes; /* of the map stream so far */
  uint64_t digest;    /* of all of them */
  uint32_t changes;   /* lite updates sent that changed something */
  bool keep_messages; /* also the first map is handed out whole */
  bool has_first_map;
  LoadSink sink;
  void *user_data;

  NoiseInitiator initiator;
  NoiseRecords records;
  Buffer head;  /* until the upgrade is done */
  Buffer plain; /* what HTTP/2 has not been read from */
  Buffer message;
  bool early_done;
  size_t early_skip;
  int32_t next_stream;
  int32_t map_stream;
  int32_t register_stream;
  size_t message_left; /* bytes of the message at hand still to come */
  uint8_t length[4];
  size_t length_size;
};

void load_node_init (LoadNode *node, uint32_t index, LoadSink sink, void *user_data);
void load_node_clear (LoadNode *node);

/* Forgets the connection and begins a new one: the upgrade is in OUT. */
void load_node_connect (LoadNode *node, const MachinePublic *server);

/* Bytes from the server. False: the connection is of no use any more. */
bool load_node_feed (LoadNode *node, const void *data, size_t size);

void load_node_register (LoadNode *node, const char *auth_key);

/* Map stream and lite update at once, as clients do. */
void load_node_poll (LoadNode *node);

/* A lite update with a new endpoint that tells INDEX and the number of the change; WHOLE: something
 * that no patch can tell changes too. */
void load_node_change (LoadNode *node, bool whole);

/* Reads what load_node_change wrote into an endpoint: false when it is none of those. */
bool
load_endpoint_parse (const uint8_t address[4], uint16_t port, uint32_t *index, uint32_t *change);
