/* HTTP requests of work.c, with libsoup on a thread with a main context of its own: the only place
 * in the coordinator that knows GLib. Redirects are not followed, no cookies are kept, an answer is
 * bounded in time and size. Used by work.c alone. */
#pragma once

#include "coordinator/work.h"

typedef struct WorkFetcher WorkFetcher;

/* DONE is called on the fetcher's thread, once for each job; it takes the result's texts over. */
WorkFetcher *
work_fetcher_new (void (*done) (void *user_data, const WorkResult *result), void *user_data);
/* Breaks off what is under way. */
void work_fetcher_free (WorkFetcher *fetcher);
/* Takes the job's texts over. */
void work_fetcher_start (WorkFetcher *fetcher, WorkJob *job);
