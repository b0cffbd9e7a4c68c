#include "coordinator/server-keep.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN   "coordinator"
#define RETRY_US USEC_PER_SEC

struct Keep
{
  Store *store;
  StoreRecord *waiting; /* name and value are owned */
  size_t n, room;
  int64_t retry_us;
  char *problem;
};

Keep *
keep_new (Store *store)
{
  Keep *keep = mem_new (sizeof *keep);

  keep->store = store;
  return keep;
}

static void
clear_waiting (Keep *keep)
{
  for (size_t i = 0; i < keep->n; i++) {
    free ((char *)keep->waiting[i].name);
    free ((char *)keep->waiting[i].value);
  }
  free (keep->waiting);
  keep->waiting = NULL;
  keep->n = keep->room = 0;
}

void
keep_free (Keep *keep)
{
  if (!keep)
    return;
  clear_waiting (keep);
  free (keep->problem);
  free (keep);
}

static char *
copy (const char *text)
{
  return text ? mem_strndup (text, strlen (text)) : NULL;
}

/* The newest of a name stands for all before it. */
static void
wait_for_room (Keep *keep, const StoreRecord *record)
{
  for (size_t i = 0; i < keep->n; i++) {
    StoreRecord *old = &keep->waiting[i];
    if (strcmp (old->table, record->table) != 0 || strcmp (old->name, record->name) != 0)
      continue;
    free ((char *)old->value);
    old->value = copy (record->value);
    return;
  }
  keep->waiting = mem_grow (keep->waiting, keep->n, &keep->room, sizeof *keep->waiting);
  keep->waiting[keep->n++]
      = (StoreRecord){record->table, copy (record->name), copy (record->value)};
}

static void
note_failure (Keep *keep, const char *reason, int64_t now_us)
{
  if (!keep->problem)
    log_error (DOMAIN, "%s; nothing that was promised is lost, and it is tried again", reason);
  free (keep->problem);
  keep->problem = copy (reason);
  keep->retry_us = now_us + RETRY_US;
}

static void
try_waiting (Keep *keep, int64_t now_us)
{
  char *error = NULL;

  if (store_commit (keep->store, keep->waiting, keep->n, &error)) {
    log_info (DOMAIN, "the disk takes changes again; %zu waited", keep->n);
    clear_waiting (keep);
    free (keep->problem);
    keep->problem = NULL;
  } else {
    note_failure (keep, error ? error : "could not keep a change", now_us);
  }
  free (error);
}

bool
keep_records (Keep *keep, const StoreRecord *records, size_t n, int64_t now_us)
{
  char *error = NULL;

  if (n == 0)
    return true;
  if (!keep->problem && store_commit (keep->store, records, n, &error))
    return true;
  for (size_t i = 0; i < n; i++)
    wait_for_room (keep, &records[i]);
  if (!keep->problem)
    note_failure (keep, error ? error : "could not keep a change", now_us);
  else if (now_us >= keep->retry_us)
    try_waiting (keep, now_us);
  free (error);
  return !keep->problem;
}

void
keep_retry (Keep *keep, int64_t now_us)
{
  if (keep->problem && now_us >= keep->retry_us)
    try_waiting (keep, now_us);
}

const char *
keep_problem (const Keep *keep)
{
  return keep->problem;
}
