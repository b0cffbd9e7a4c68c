/* What would keep the state thread waiting, done elsewhere: password hashes (Argon2id) and requests
 * to an identity provider.
 *
 * Jobs go in from one thread, results are taken by one thread when the descriptor is readable.
 * At most WORK_JOBS_MAX are under way: what is more fails at once. Hashes are made one at a time on
 * a thread of their own, so that they never need more than one's memory; requests are made with
 * libsoup on another, the only place in the coordinator where GLib is used. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORK_JOBS_MAX  64
#define WORK_REPLY_MAX (1u << 20) /* bytes of a provider's answer */
#define WORK_HASH_SIZE 128        /* text of a password hash */

typedef enum
{
  WORK_HASH,   /* make a hash of a password */
  WORK_VERIFY, /* does the password match the hash? */
  WORK_FETCH,  /* one HTTP request */
} WorkType;

/* What is to be done; owns its texts. */
typedef struct
{
  WorkType type;
  uint64_t id;
  char *password; /* HASH, VERIFY: zeroed when freed */
  char *hash;     /* VERIFY */
  char *url;      /* FETCH */
  char *form;     /* FETCH: body of a POST; NULL: GET */
  char *auth;     /* FETCH: Authorization header, or NULL */
} WorkJob;

typedef struct
{
  WorkType type;
  uint64_t id;
  bool ok;    /* HASH, VERIFY: done, matches; FETCH: there was an answer */
  char *hash; /* HASH */
  int status; /* FETCH: HTTP status */
  char *body; /* FETCH: NUL-terminated; or why there is none */
  size_t size;
} WorkResult;

typedef struct Work Work;

/* NULL when there is no descriptor or thread to be had. */
Work *work_new (void);
/* Waits for the hash at hand; requests are broken off. */
void work_free (Work *work);
int work_fd (const Work *work);

/* Takes the job over. */
void work_start (Work *work, WorkJob *job);
bool work_next (Work *work, WorkResult *result);

void work_job_clear (WorkJob *job);
void work_result_clear (WorkResult *result);
