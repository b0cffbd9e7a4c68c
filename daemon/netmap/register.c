#include "netmap/register.h"

#include "netmap/hostinfo-record.h"

#include <string.h>

/* ---- request ---- */

typedef struct
{
  const char *auth_key;
} Auth;

static const RecordField auth_fields[] = {
    RECORD (Auth, RECORD_TEXT, auth_key, "AuthKey"),
};
static const RecordType auth_type = RECORD_TYPE (Auth, auth_fields);

/* The request with its nested object. */
typedef struct
{
  RegisterRequest request;
  const Auth *auth;
} WireRequest;

#define FIELD(kind, member, name, ...)                                                             \
  RECORD (WireRequest, RECORD_##kind, request.member, name, __VA_ARGS__)

static const RecordField request_fields[] = {
    FIELD (I32, version, "Version", .always = true),
    FIELD (NODE_KEY, node_key, "NodeKey", .always = true),
    FIELD (NODE_KEY, old_node_key, "OldNodeKey", .always = true),
    FIELD (LOCK_KEY, lock_key, "NLKey", .always = true),
    RECORD (WireRequest, RECORD_STRUCT, auth, "Auth", .sub = &auth_type),
    FIELD (TIME, expiry, "Expiry", .always = true),
    FIELD (TEXT, followup, "Followup", .always = true),
    FIELD (STRUCT, hostinfo, "Hostinfo", .always = true, .sub = &own_hostinfo_type),
    FIELD (BOOL, ephemeral, "Ephemeral"),
    RECORD_N (WireRequest, RECORD_BYTES, request.node_key_signature,
              request.node_key_signature_size, "NodeKeySignature", .always = true),
    FIELD (TEXT, tailnet, "Tailnet"),
};
static const RecordType request_type = RECORD_TYPE (WireRequest, request_fields);

/* One object of TYPE and nothing else. */
static bool
decode_document (const RecordType *type, const void *data, size_t size, Arena *arena, void *out,
                 const char **error)
{
  JsonReader r;

  json_reader_init (&r, data, size);
  bool good = json_reader_peek (&r) == JSON_OBJECT && record_decode (type, &r, arena, out)
              && json_reader_end (&r);
  if (error)
    *error = good ? NULL : r.error ? r.error : "an object was expected";
  json_reader_clear (&r);
  return good;
}

void
register_request_init (RegisterRequest *request)
{
  *request = (RegisterRequest){.expiry = wall_time_unset ()};
}

void
register_request_encode (const RegisterRequest *request, JsonWriter *w)
{
  Auth auth = {request->auth_key};
  bool has_auth = request->auth_key && *request->auth_key;
  WireRequest wire = {*request, has_auth ? &auth : NULL};

  record_encode (&request_type, &wire, w);
}

bool
register_request_decode (const void *data, size_t size, Arena *arena, RegisterRequest *request,
                         const char **error)
{
  WireRequest wire = {0};

  if (!decode_document (&request_type, data, size, arena, &wire, error))
    return false;
  *request = wire.request;
  request->auth_key = wire.auth ? wire.auth->auth_key : "";
  return true;
}

/* ---- response ---- */

typedef struct
{
  int64_t id;
  const char *provider, *login_name, *display_name, *picture_url;
  WallTime created;
} Person;

static const RecordField user_fields[] = {
    RECORD (Person, RECORD_I64, id, "ID", .always = true),
    RECORD (Person, RECORD_TEXT, display_name, "DisplayName", .always = true),
    RECORD (Person, RECORD_TEXT, picture_url, "ProfilePicURL"),
    RECORD (Person, RECORD_TIME, created, "Created"),
};
static const RecordType user_type = RECORD_TYPE (Person, user_fields);

static const RecordField login_fields[] = {
    RECORD (Person, RECORD_I64, id, "ID", .always = true),
    RECORD (Person, RECORD_TEXT, provider, "Provider", .always = true),
    RECORD (Person, RECORD_TEXT, login_name, "LoginName", .always = true),
    RECORD (Person, RECORD_TEXT, display_name, "DisplayName", .always = true),
    RECORD (Person, RECORD_TEXT, picture_url, "ProfilePicURL"),
};
static const RecordType login_type = RECORD_TYPE (Person, login_fields);

typedef struct
{
  RegisterResponse response;
  const Person *user, *login;
} WireResponse;

#define ANSWER(kind, member, name)                                                                 \
  RECORD (WireResponse, RECORD_##kind, response.member, name, .always = true)

static const RecordField response_fields[] = {
    RECORD (WireResponse, RECORD_STRUCT, user, "User", .always = true, .sub = &user_type),
    RECORD (WireResponse, RECORD_STRUCT, login, "Login", .always = true, .sub = &login_type),
    ANSWER (BOOL, node_key_expired, "NodeKeyExpired"),
    ANSWER (BOOL, machine_authorized, "MachineAuthorized"),
    ANSWER (TEXT, auth_url, "AuthURL"),
    RECORD_N (WireResponse, RECORD_BYTES, response.node_key_signature,
              response.node_key_signature_size, "NodeKeySignature", .always = true),
    ANSWER (TEXT, error, "Error"),
};
static const RecordType response_type = RECORD_TYPE (WireResponse, response_fields);

void
register_response_init (RegisterResponse *response)
{
  *response = (RegisterResponse){.user_created = wall_time_unset ()};
}

void
register_response_encode (const RegisterResponse *response, JsonWriter *w)
{
  Person user = {.id = response->user_id,
                 .display_name = response->user_display_name,
                 .picture_url = response->user_picture_url,
                 .created = response->user_created};
  Person login = {.id = response->login_id,
                  .provider = response->login_provider,
                  .login_name = response->login_name,
                  .display_name = response->login_display_name,
                  .picture_url = response->login_picture_url};
  WireResponse wire = {*response, &user, &login};

  record_encode (&response_type, &wire, w);
}

bool
register_response_decode (const void *data, size_t size, Arena *arena, RegisterResponse *response,
                          const char **error)
{
  Person nobody;
  WireResponse wire = {0};

  if (!decode_document (&response_type, data, size, arena, &wire, error))
    return false;
  memset (&nobody, 0, sizeof nobody);
  nobody.provider = nobody.login_name = nobody.display_name = nobody.picture_url = "";
  nobody.created = wall_time_unset ();
  const Person *user = wire.user ? wire.user : &nobody, *login = wire.login ? wire.login : &nobody;
  *response = wire.response;
  response->user_id = user->id;
  response->user_display_name = user->display_name;
  response->user_picture_url = user->picture_url;
  response->user_created = user->created;
  response->login_id = login->id;
  response->login_provider = login->provider;
  response->login_name = login->login_name;
  response->login_display_name = login->display_name;
  response->login_picture_url = login->picture_url;
  return true;
}
