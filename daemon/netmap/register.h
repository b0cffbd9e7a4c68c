/* The bodies of POST /machine/register, both roles (spec/control-protocol.md §9).
 *
 * Plain values whose texts belong to an arena of the decoder's caller, or to anybody when they are
 * to be encoded. */
#pragma once

#include "base/arena.h"
#include "netmap/hostinfo.h"

typedef struct
{
  int32_t version;
  NodePublic node_key, old_node_key;
  LockPublic lock_key;
  const char *auth_key; /* NULL or "": none */
  WallTime expiry;      /* unset: the server's choice; in the past: logout */
  const char *followup; /* URL we wait for; NULL or "": none */
  const Hostinfo *hostinfo;
  bool ephemeral;
  const uint8_t *node_key_signature;
  size_t node_key_signature_size;
  const char *tailnet; /* NULL or "": any */
} RegisterRequest;

typedef struct
{
  UserId user_id;
  const char *user_display_name, *user_picture_url; /* never NULL after decoding */
  WallTime user_created;
  int64_t login_id;
  const char *login_provider, *login_name, *login_display_name, *login_picture_url;
  bool node_key_expired;
  bool machine_authorized;
  const char *auth_url; /* "" : none */
  const uint8_t *node_key_signature;
  size_t node_key_signature_size;
  const char *error; /* "" : none */
} RegisterResponse;

void register_request_init (RegisterRequest *request);
void register_request_encode (const RegisterRequest *request, JsonWriter *w);

/* False when DATA is not such a body, then *ERROR (may be NULL) is a static text. */
bool register_request_decode (const void *data, size_t size, Arena *arena, RegisterRequest *request,
                              const char **error);

void register_response_init (RegisterResponse *response);
void register_response_encode (const RegisterResponse *response, JsonWriter *w);
bool register_response_decode (const void *data, size_t size, Arena *arena,
                               RegisterResponse *response, const char **error);
