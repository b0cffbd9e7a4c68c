#include "base/wall-time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NANOS_PER_SEC 1000000000

WallTime
wall_time_unset (void)
{
  return (WallTime){.seconds = WALL_TIME_UNSET};
}

bool
wall_time_is_unset (WallTime t)
{
  return t.seconds == WALL_TIME_UNSET && t.nanos == 0;
}

WallTime
wall_time_now (void)
{
  struct timespec ts;

  clock_gettime (CLOCK_REALTIME, &ts);
  return (WallTime){.seconds = ts.tv_sec, .nanos = (int32_t)ts.tv_nsec};
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t
days_from_date (int64_t year, unsigned month, unsigned day)
{
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

static void
date_from_days (int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t doe = days - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;

  *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
  *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
  *year = yoe + era * 400 + (*month <= 2);
}

typedef struct
{
  const char *p;
  const char *end;
} Text;

static bool
take_number (Text *t, int digits, unsigned *out)
{
  unsigned value = 0;

  for (int i = 0; i < digits; i++) {
    if (t->p == t->end || *t->p < '0' || *t->p > '9')
      return false;
    value = value * 10 + (unsigned)(*t->p++ - '0');
  }
  *out = value;
  return true;
}

static bool
take_char (Text *t, const char *any_of)
{
  if (t->p == t->end || *t->p == '\0' || !strchr (any_of, *t->p))
    return false;
  t->p++;
  return true;
}

static bool
take_fraction (Text *t, int32_t *nanos)
{
  int32_t scale = NANOS_PER_SEC / 10;
  const char *start = t->p;

  *nanos = 0;
  for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++, scale /= 10)
    *nanos += (*t->p - '0') * scale;
  return t->p > start;
}

static bool
take_offset (Text *t, int64_t *seconds)
{
  unsigned hours, minutes;

  *seconds = 0;
  if (take_char (t, "Zz"))
    return true;
  bool negative = t->p < t->end && *t->p == '-';
  if (!take_char (t, "+-") || !take_number (t, 2, &hours) || !take_char (t, ":")
      || !take_number (t, 2, &minutes) || hours > 23 || minutes > 59)
    return false;
  *seconds = (int64_t)hours * 3600 + minutes * 60;
  if (negative)
    *seconds = -*seconds;
  return true;
}

bool
wall_time_parse (const char *text, size_t length, WallTime *out)
{
  Text t = {text, text + length};
  unsigned year, month, day, hour, minute, second;
  int32_t nanos = 0;
  int64_t offset;

  if (!take_number (&t, 4, &year) || !take_char (&t, "-") || !take_number (&t, 2, &month)
      || !take_char (&t, "-") || !take_number (&t, 2, &day) || !take_char (&t, "Tt ")
      || !take_number (&t, 2, &hour) || !take_char (&t, ":") || !take_number (&t, 2, &minute)
      || !take_char (&t, ":") || !take_number (&t, 2, &second))
    return false;
  if (take_char (&t, ".,") && !take_fraction (&t, &nanos))
    return false;
  if (!take_offset (&t, &offset) || t.p != t.end)
    return false;
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
    return false;
  int64_t days = days_from_date (year, month, day);
  int64_t check_year;
  unsigned check_month, check_day;
  date_from_days (days, &check_year, &check_month, &check_day);
  if (check_month != month || check_day != day)
    return false;
  out->seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
  out->nanos = nanos;
  return true;
}

size_t
wall_time_format (WallTime t, char out[WALL_TIME_TEXT_MAX])
{
  int64_t days = t.seconds / 86400;
  int64_t rest = t.seconds % 86400;
  int64_t year;
  unsigned month, day;

  if (rest < 0) {
    rest += 86400;
    days--;
  }
  date_from_days (days, &year, &month, &day);
  int n = snprintf (out, WALL_TIME_TEXT_MAX, "%04d-%02u-%02uT%02d:%02d:%02d", (int)(year % 10000),
                    month, day, (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
  if (t.nanos > 0) {
    n += snprintf (out + n, WALL_TIME_TEXT_MAX - (size_t)n, ".%09d", t.nanos % NANOS_PER_SEC);
    while (out[n - 1] == '0')
      n--;
  }
  out[n++] = 'Z';
  out[n] = '\0';
  return (size_t)n;
}

int
wall_time_compare (WallTime a, WallTime b)
{
  if (a.seconds != b.seconds)
    return a.seconds < b.seconds ? -1 : 1;
  return (a.nanos > b.nanos) - (a.nanos < b.nanos);
}

WallTime
wall_time_add_us (WallTime t, int64_t micros)
{
  int64_t nanos = t.nanos + micros % 1000000 * 1000;

  t.seconds += micros / 1000000 + nanos / NANOS_PER_SEC;
  nanos %= NANOS_PER_SEC;
  if (nanos < 0) {
    nanos += NANOS_PER_SEC;
    t.seconds--;
  }
  t.nanos = (int32_t)nanos;
  return t;
}
