#include "session/boot-timer.h"

#include "base/clock.h"

#include <glib-unix.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct BootTimer
{
  int fd;
  guint source;
  int64_t deadline_us;
  void (*callback) (void *user_data);
  void *user_data;
};

static gboolean
timer_fired (int fd, GIOCondition condition, void *user_data)
{
  BootTimer *timer = user_data;
  uint64_t count;
  if (read (fd, &count, sizeof count) != sizeof count)
    return G_SOURCE_CONTINUE;
  timer->deadline_us = TIME_NEVER;
  timer->callback (timer->user_data);
  return G_SOURCE_CONTINUE;
}

BootTimer *
boot_timer_new (void (*callback) (void *user_data), void *user_data)
{
  BootTimer *timer = g_new0 (BootTimer, 1);
  timer->fd = timerfd_create (CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer->fd < 0)
    g_error ("timerfd_create: %s", g_strerror (errno));
  timer->deadline_us = TIME_NEVER;
  timer->callback = callback;
  timer->user_data = user_data;
  timer->source = g_unix_fd_add (timer->fd, G_IO_IN, timer_fired, timer);
  return timer;
}

void
boot_timer_free (BootTimer *timer)
{
  if (!timer)
    return;
  g_source_remove (timer->source);
  close (timer->fd);
  g_free (timer);
}

void
boot_timer_set (BootTimer *timer, int64_t deadline_us)
{
  if (timer->deadline_us == deadline_us)
    return;
  timer->deadline_us = deadline_us;
  struct itimerspec spec = {0};
  if (deadline_us != TIME_NEVER) {
    int64_t at = deadline_us > 0 ? deadline_us : 1; /* zero would switch it off */
    spec.it_value.tv_sec = at / USEC_PER_SEC;
    spec.it_value.tv_nsec = (at % USEC_PER_SEC) * 1000;
  }
  timerfd_settime (timer->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}
