/* Tables of node.h's structs for the other codecs. Private to netmap/. */
#pragma once

#include "netmap/node.h"
#include "netmap/record.h"

extern const RecordType node_type;
extern const RecordType node_service_type;
extern const RecordType node_location_type;
extern const RecordType dns_server_type;

/* Like node_decode, with room for the parts in SCRATCH. */
Node *node_decode_with (JsonReader *r, Arena *scratch);
