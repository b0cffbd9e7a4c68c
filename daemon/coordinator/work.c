#include "coordinator/work.h"

#include "base/memory.h"
#include "coordinator/work-fetch.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* RFC 9106 §4, for where memory is short: 64 MiB, three passes. About a tenth of a second. */
#define PASSES 3
#define MEMORY (64u << 20)

struct Work
{
  int fd; /* readable while results wait */
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  WorkJob hashes[WORK_JOBS_MAX]; /* oldest first */
  size_t n_hashes;
  WorkResult *results;
  size_t n_results, results_room;
  size_t running; /* jobs whose result was not taken */
  bool stopping;
  WorkFetcher *fetcher; /* started by the first request; NULL before */
};

static void
free_secret (char *text)
{
  if (text)
    sodium_memzero (text, strlen (text));
  free (text);
}

void
work_job_clear (WorkJob *job)
{
  free_secret (job->password);
  free_secret (job->form);
  free_secret (job->auth);
  free (job->hash);
  free (job->url);
  *job = (WorkJob){0};
}

void
work_result_clear (WorkResult *result)
{
  free (result->hash);
  free_secret (result->body);
  *result = (WorkResult){0};
}

/* From any thread; takes RESULT over. */
static void
finish (Work *work, const WorkResult *result)
{
  uint64_t one = 1;

  pthread_mutex_lock (&work->mutex);
  work->results = mem_grow (work->results, work->n_results, &work->results_room, sizeof *result);
  work->results[work->n_results++] = *result;
  if (write (work->fd, &one, sizeof one) < 0)
    one = 0; /* the counter is full: it is readable anyway */
  pthread_mutex_unlock (&work->mutex);
}

static void
fetched (void *user_data, const WorkResult *result)
{
  finish (user_data, result);
}

static WorkResult
hash (const WorkJob *job)
{
  WorkResult result = {.type = job->type, .id = job->id};
  char text[WORK_HASH_SIZE] = "";

  if (job->type == WORK_HASH) {
    result.ok
        = crypto_pwhash_str (text, job->password, strlen (job->password), PASSES, MEMORY) == 0;
    result.hash = mem_strndup (text, strlen (text));
  } else {
    result.ok = crypto_pwhash_str_verify (job->hash, job->password, strlen (job->password)) == 0;
  }
  return result;
}

static void *
hash_thread (void *data)
{
  Work *work = data;

  pthread_mutex_lock (&work->mutex);
  while (!work->stopping) {
    if (work->n_hashes == 0) {
      pthread_cond_wait (&work->wake, &work->mutex);
      continue;
    }
    WorkJob job = work->hashes[0];
    memmove (work->hashes, work->hashes + 1, --work->n_hashes * sizeof job);
    pthread_mutex_unlock (&work->mutex);
    WorkResult result = hash (&job);
    work_job_clear (&job);
    finish (work, &result);
    pthread_mutex_lock (&work->mutex);
  }
  pthread_mutex_unlock (&work->mutex);
  return NULL;
}

Work *
work_new (void)
{
  Work *work = mem_new (sizeof *work);

  work->fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  pthread_mutex_init (&work->mutex, NULL);
  pthread_cond_init (&work->wake, NULL);
  if (work->fd >= 0 && pthread_create (&work->thread, NULL, hash_thread, work) == 0)
    return work;
  if (work->fd >= 0)
    close (work->fd);
  free (work);
  return NULL;
}

void
work_free (Work *work)
{
  WorkResult result;

  if (!work)
    return;
  pthread_mutex_lock (&work->mutex);
  work->stopping = true;
  pthread_cond_signal (&work->wake);
  pthread_mutex_unlock (&work->mutex);
  pthread_join (work->thread, NULL);
  if (work->fetcher)
    work_fetcher_free (work->fetcher);
  for (size_t i = 0; i < work->n_hashes; i++)
    work_job_clear (&work->hashes[i]);
  while (work_next (work, &result))
    work_result_clear (&result);
  free (work->results);
  close (work->fd);
  pthread_mutex_destroy (&work->mutex);
  pthread_cond_destroy (&work->wake);
  free (work);
}

int
work_fd (const Work *work)
{
  return work->fd;
}

void
work_start (Work *work, WorkJob *job)
{
  WorkResult refused = {.type = job->type, .id = job->id};

  pthread_mutex_lock (&work->mutex);
  bool room = work->running < WORK_JOBS_MAX;
  work->running++; /* refused ones leave a result, too */
  if (room && job->type != WORK_FETCH) {
    work->hashes[work->n_hashes++] = *job;
    *job = (WorkJob){0};
    pthread_cond_signal (&work->wake);
  }
  pthread_mutex_unlock (&work->mutex);
  if (room && job->type == WORK_FETCH) {
    if (!work->fetcher)
      work->fetcher = work_fetcher_new (fetched, work);
    work_fetcher_start (work->fetcher, job);
  } else if (!room) {
    finish (work, &refused);
  }
  work_job_clear (job);
}

bool
work_next (Work *work, WorkResult *result)
{
  uint64_t count;
  bool found = false;

  pthread_mutex_lock (&work->mutex);
  if (work->n_results > 0) {
    *result = work->results[0];
    memmove (work->results, work->results + 1, --work->n_results * sizeof *result);
    work->running--;
    found = true;
  }
  /* Emptied under the lock, so that no result comes between. */
  if (work->n_results == 0 && read (work->fd, &count, sizeof count) < 0)
    count = 0;
  pthread_mutex_unlock (&work->mutex);
  return found;
}
