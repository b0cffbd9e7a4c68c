/* Tables of map-message.h's structs for its reader and writer. Private to netmap/. */
#pragma once

#include "netmap/map-message.h"
#include "netmap/record.h"

extern const RecordType ping_request_type;
extern const RecordType dial_candidate_type;
extern const RecordType node_patch_type;
extern const RecordType user_profile_type;
extern const RecordType lock_info_type;

/* A Notice with its nested object. */
typedef struct
{
  const char *title, *text, *severity;
  bool impacts_connectivity;
  const struct NoticeAction *action;
} WireNotice;

typedef struct NoticeAction
{
  const char *url, *label;
} NoticeAction;

extern const RecordType wire_notice_type;
