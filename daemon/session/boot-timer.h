/* A deadline of CLOCK_BOOTTIME on the GLib main loop: unlike GLib's own time-outs it counts the
 * time that the computer slept. Main thread. */
#pragma once

#include <stdint.h>

typedef struct BootTimer BootTimer;

/* CALLBACK runs once at each deadline that boot_timer_set names. */
BootTimer *boot_timer_new (void (*callback) (void *user_data), void *user_data);
void boot_timer_free (BootTimer *timer);

/* At DEADLINE_US (base/clock), at once if it has passed, never with TIME_NEVER. */
void boot_timer_set (BootTimer *timer, int64_t deadline_us);
