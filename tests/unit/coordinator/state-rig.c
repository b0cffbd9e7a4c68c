#include "state-rig.h"

#include "base/clock.h"
#include "base/memory.h"
#include "wire/zstd-frames.h"

#include <stdlib.h>
#include <string.h>

static void
free_action (gpointer data)
{
  state_action_clear (data);
  g_free (data);
}

static void
free_heard (RigMessage *heard)
{
  if (heard->message)
    map_message_free (heard->message);
  g_free (heard);
}

static void
take_actions (Rig *rig)
{
  StateAction action;

  while (state_next_action (rig->state, &action)) {
    if (action.type == STATE_ACTION_REPLY) {
      g_assert_false (g_hash_table_contains (rig->replies, GSIZE_TO_POINTER (action.request)));
      /* With a NUL behind it, to be searched as text. */
      char *text = mem_strndup (action.reply.body, action.reply.size);
      free (action.reply.body);
      action.reply.body = text;
      g_hash_table_insert (rig->replies, GSIZE_TO_POINTER (action.request),
                           g_memdup2 (&action, sizeof action));
      continue;
    }
    if (action.type == STATE_ACTION_WORK) {
      g_queue_push_tail (&rig->jobs, g_memdup2 (&action.work, sizeof action.work));
      continue;
    }
    if (action.type == STATE_ACTION_MESSAGE || action.type == STATE_ACTION_END) {
      RigMessage heard = {.request = action.request};
      if (action.type == STATE_ACTION_MESSAGE)
        heard.message = rig_decode (action.message.rope, false);
      g_queue_push_tail (&rig->heard, g_memdup2 (&heard, sizeof heard));
    }
    if (action.type == STATE_ACTION_ADMIT)
      rig->denied = !action.admit.allowed;
    state_action_clear (&action);
  }
}

void
rig_open (Rig *rig)
{
  *rig = (Rig){.now_us = USEC_PER_SEC, .wall = {.seconds = 1800000000}};
  rig->replies = g_hash_table_new_full (NULL, NULL, NULL, free_action);
  seeded_random_init (&rig->random, 11);
  rig->state = state_new (&(StateConfig){.url = URL}, &rig->random.base);
  state_start (rig->state, rig->wall, rig->now_us);
  take_actions (rig);
}

void
rig_close (Rig *rig)
{
  for (WorkJob *job; (job = g_queue_pop_head (&rig->jobs));) {
    work_job_clear (job);
    g_free (job);
  }
  for (RigMessage *heard; (heard = g_queue_pop_head (&rig->heard));)
    free_heard (heard);
  state_free (rig->state);
  g_hash_table_unref (rig->replies);
}

uint64_t
rig_input (Rig *rig, StateEvent *event)
{
  event->request = ++rig->last_request;
  event->wall = rig->wall;
  state_input (rig->state, event, rig->now_us);
  take_actions (rig);
  return event->request;
}

void
rig_pass (Rig *rig, int64_t micros)
{
  StateEvent event = {.type = STATE_EVENT_TICK};

  rig->now_us += micros;
  rig->wall = wall_time_add_us (rig->wall, micros);
  rig_input (rig, &event);
}

const StateAction *
rig_reply (Rig *rig, uint64_t request)
{
  return g_hash_table_lookup (rig->replies, GSIZE_TO_POINTER (request));
}

const char *
rig_body (Rig *rig, uint64_t request)
{
  const StateAction *action = rig_reply (rig, request);

  g_assert_nonnull (action);
  return action->reply.body;
}

/* ---- devices ---- */

uint64_t
rig_ask (Rig *rig, const Asking *asking)
{
  RegisterRequest request;
  Hostinfo hostinfo;
  StateEvent event = {.type = STATE_EVENT_REGISTER};

  register_request_init (&request);
  hostinfo_init (&hostinfo);
  hostinfo.hostname = asking->hostname ? asking->hostname : "alpha";
  hostinfo.os = "linux";
  hostinfo.request_tags = &asking->tag;
  hostinfo.n_request_tags = asking->tag ? 1 : 0;
  request.version = 131;
  memset (request.node_key.bytes, asking->key, KEY_SIZE);
  memset (request.old_node_key.bytes, asking->old_key, KEY_SIZE);
  request.auth_key = asking->auth_key;
  request.followup = asking->followup;
  request.hostinfo = &hostinfo;
  if (asking->expiry.seconds != 0)
    request.expiry = asking->expiry;
  memset (event.registration.machine.bytes, asking->machine, KEY_SIZE);
  event.registration.body = &request;
  const char *from = asking->from ? asking->from : "20.0.0.1";
  g_assert_true (ip_parse (from, strlen (from), &event.registration.from));
  return rig_input (rig, &event);
}

void
rig_read_answer (Rig *rig, uint64_t request, Arena *arena, RegisterResponse *out)
{
  const StateAction *action = rig_reply (rig, request);

  g_assert_nonnull (action);
  g_assert_cmpint (action->reply.status, ==, 200);
  g_assert_true (
      register_response_decode (action->reply.body, action->reply.size, arena, out, NULL));
}

void
rig_assert_accepted (Rig *rig, uint64_t request)
{
  RegisterResponse response;
  Arena arena = {0};

  rig_read_answer (rig, request, &arena, &response);
  g_assert_cmpstr (response.error, ==, "");
  g_assert_cmpstr (response.auth_url, ==, "");
  g_assert_true (response.machine_authorized);
  g_assert_cmpint (response.user_id, >, 0);
  arena_clear (&arena);
}

void
rig_assert_refused (Rig *rig, uint64_t request, const char *why)
{
  RegisterResponse response;
  Arena arena = {0};

  rig_read_answer (rig, request, &arena, &response);
  g_assert_nonnull (strstr (response.error, why));
  arena_clear (&arena);
}

/* The link of the sign-in page in the answer; free with g_free. */
char *
rig_link_of (Rig *rig, uint64_t request)
{
  RegisterResponse response;
  Arena arena = {0};

  rig_read_answer (rig, request, &arena, &response);
  g_assert_true (g_str_has_prefix (response.auth_url, URL "/register/"));
  char *link = g_strdup (response.auth_url);
  arena_clear (&arena);
  return link;
}

const CoNode *
rig_node_of (Rig *rig, uint8_t key)
{
  NodePublic node_key;

  memset (node_key.bytes, key, KEY_SIZE);
  return model_node_by_key (&rig->state->model, &node_key);
}

/* ---- map streams ---- */

MapMessage *
rig_decode (const Rope *rope, bool compressed)
{
  ZstdFrames *frames = zstd_frames_new (compressed);
  MapDecoder *decoder = map_decoder_new ();
  GByteArray *bytes = g_byte_array_new ();
  ZstdFramesResult result;
  const uint8_t *chunk;
  size_t size;

  for (uint32_t i = 0; i < rope->n; i++)
    g_byte_array_append (bytes, rope->chunks[i]->data, (guint)rope->chunks[i]->size);
  g_assert_cmpuint (bytes->len, ==, rope->size);
  zstd_frames_feed (frames, bytes->data, bytes->len);
  while ((result = zstd_frames_next (frames, &chunk, &size)) == ZSTD_FRAMES_CHUNK_READY)
    g_assert_true (map_decoder_feed (decoder, chunk, size));
  g_assert_cmpint (result, ==, ZSTD_FRAMES_END);
  MapMessage *message = map_decoder_finish (decoder);
  if (!message)
    g_error ("%s", map_decoder_error (decoder));
  map_decoder_free (decoder);
  zstd_frames_free (frames);
  g_byte_array_unref (bytes);
  return message;
}

uint64_t
rig_poll (Rig *rig, const Polling *polling)
{
  MapRequest body;
  Hostinfo hostinfo;
  NetInfo net_info;
  IpPrefix route;
  MapEndpoint endpoint = {.addr = {.addr = ip_from_v4 (0xc0a80000u + polling->key)}};
  StateEvent event = {.type = STATE_EVENT_MAP};

  map_request_init (&body);
  hostinfo_init (&hostinfo);
  net_info_init (&net_info);
  hostinfo.hostname = polling->hostname ? polling->hostname : "alpha";
  hostinfo.os = "linux";
  if (polling->home > 0) {
    net_info.preferred_derp = polling->home;
    hostinfo.net_info = &net_info;
  }
  if (polling->route) {
    g_assert_true (ip_prefix_parse (polling->route, strlen (polling->route), &route));
    hostinfo.routable_ips = &route;
    hostinfo.n_routable_ips = 1;
  }
  endpoint.addr.port = polling->port;
  body.version = 131;
  body.stream = !polling->lite;
  body.omit_peers = polling->lite;
  body.keep_alive = true;
  body.hostinfo = &hostinfo;
  body.endpoints = &endpoint;
  body.n_endpoints = polling->port > 0;
  memset (body.node_key.bytes, polling->key, KEY_SIZE);
  memset (body.disco_key.bytes, polling->disco, KEY_SIZE);
  memset (event.map.machine.bytes, polling->machine, KEY_SIZE);
  event.map.body = &body;
  return rig_input (rig, &event);
}

static unsigned
parts_of (const MapMessage *message)
{
  unsigned parts = 0;

  parts |= message->node ? RIG_NODE : 0;
  parts |= message->n_peers > 0 ? RIG_PEERS : 0;
  parts |= message->n_peers_changed > 0 ? RIG_CHANGED : 0;
  parts |= message->n_peers_removed > 0 ? RIG_REMOVED : 0;
  parts |= message->n_patches > 0 ? RIG_PATCHES : 0;
  parts |= message->n_filters > 0 || message->packet_filter ? RIG_FILTERS : 0;
  parts |= message->dns ? RIG_DNS : 0;
  parts |= message->ssh_policy ? RIG_SSH : 0;
  parts |= message->derp_map ? RIG_DERP : 0;
  return parts | (message->n_users > 0 ? RIG_USERS : 0);
}

unsigned
rig_hear (Rig *rig, uint64_t stream, const MapMessage **one)
{
  RigMessage *last = NULL;
  unsigned parts = 0;

  for (GList *link = rig->heard.head, *next; link; link = next) {
    RigMessage *heard = link->data;
    next = link->next;
    if (heard->told) {
      free_heard (heard);
      g_queue_delete_link (&rig->heard, link);
    } else if (heard->request == stream) {
      parts |= heard->message ? parts_of (heard->message) : RIG_ENDED;
      heard->told = true;
      last = heard;
    }
  }
  if (one)
    *one = last ? last->message : NULL;
  return parts;
}

char *
rig_command (Rig *rig, int status, const char *const *words)
{
  StateEvent event = {.type = STATE_EVENT_COMMAND};

  event.command.words = words;
  event.command.n_words = g_strv_length ((char **)words);
  uint64_t request = rig_input (rig, &event);
  g_assert_cmpint (rig_reply (rig, request)->reply.status, ==, status);
  return g_strchomp (g_strdup (rig_body (rig, request)));
}

/* ---- browsers ---- */

uint64_t
rig_browse (Rig *rig, const char *method, const char *link, const char *form, const char *from)
{
  g_autofree char *cookie = g_strdup_printf ("__Host-warren=%s", rig->cookie);
  const char *path = g_str_has_prefix (link, URL) ? link + strlen (URL) : link;
  WebRequest web = {
      .method = method,
      .path = path,
      .cookie = cookie,
      .site = "",
      .body = form ? form : "",
      .size = form ? strlen (form) : 0,
  };
  StateEvent event = {.type = STATE_EVENT_WEB, .web = &web};

  g_assert_true (ip_parse (from, strlen (from), &web.from));
  return rig_input (rig, &event);
}

/* Keeps the cookie of an answer, as a browser does. */
void
rig_keep_cookie (Rig *rig, uint64_t request)
{
  const char *headers = rig_reply (rig, request)->reply.headers;
  const char *found = strstr (headers, "Set-Cookie: __Host-warren=");

  if (found) {
    memcpy (rig->cookie, found + strlen ("Set-Cookie: __Host-warren="), 32);
    g_assert_nonnull (strstr (found, "; HttpOnly; SameSite=Lax"));
    g_assert_nonnull (strstr (found, "; Secure"));
  }
}

void
rig_get_page (Rig *rig, const char *link, char token[ACCOUNTS_TOKEN_MAX])
{
  uint64_t request = rig_browse (rig, "GET", link, NULL, "20.0.0.9");
  const char *field = strstr (rig_body (rig, request), "name=\"token\" value=\"");

  rig_keep_cookie (rig, request);
  g_assert_nonnull (field);
  memcpy (token, field + strlen ("name=\"token\" value=\""), 32);
  token[32] = '\0';
}

/* Opens the page and sends its form with FIELDS. */
uint64_t
rig_send_form (Rig *rig, const char *link, const char *fields)
{
  char token[ACCOUNTS_TOKEN_MAX];

  rig_get_page (rig, link, token);
  g_autofree char *form = g_strdup_printf ("token=%s&%s", token, fields);
  return rig_browse (rig, "POST", link, form, "20.0.0.9");
}

/* Does the job at hand as the thread for it would, only cheaply. */
void
rig_work (Rig *rig)
{
  WorkJob *job = g_queue_pop_head (&rig->jobs);
  WorkResult result = {0};
  StateEvent event = {.type = STATE_EVENT_WORKED, .worked = &result};

  g_assert_nonnull (job);
  result.type = job->type;
  result.id = job->id;
  result.ok = job->type == WORK_HASH || strcmp (job->hash, job->password) == 0;
  result.hash = job->type == WORK_HASH ? g_strdup (job->password) : NULL;
  rig_input (rig, &event);
  g_free (result.hash);
  work_job_clear (job);
  g_free (job);
}

void
rig_set_password (Rig *rig, const char *login)
{
  CoUser *user = model_user_by_login (&rig->state->model, login);

  user->password = g_strdup (PASSWORD);
}
