#include "base/timer-wheel.h"

/* TimerNode.slot: level in the high byte, index in the low one, or one of these. */
#define SLOT_OVERFLOW 0xfffd
#define SLOT_DUE      0xfffe
#define SLOT_NONE     0xffff

static void
list_init (TimerNode *head)
{
  head->next = head;
  head->prev = head;
  head->deadline_us = TIME_NEVER;
}

static bool
list_empty (const TimerNode *head)
{
  return head->next == head;
}

static void
list_append (TimerNode *head, TimerNode *node)
{
  node->prev = head->prev;
  node->next = head;
  head->prev->next = node;
  head->prev = node;
}

static int64_t
list_earliest (const TimerNode *head)
{
  int64_t earliest = TIME_NEVER;

  for (const TimerNode *node = head->next; node != head; node = node->next)
    earliest = time_min (earliest, node->deadline_us);
  return earliest;
}

static int64_t
tick_of (int64_t time_us)
{
  return time_us / TIMER_WHEEL_TICK_US;
}

void
timer_wheel_init (TimerWheel *wheel, int64_t now_us)
{
  for (int level = 0; level < 2; level++) {
    for (int i = 0; i < TIMER_WHEEL_SLOTS; i++)
      list_init (&wheel->levels[level][i]);
    wheel->occupied[level] = 0;
  }
  list_init (&wheel->overflow);
  list_init (&wheel->due);
  wheel->now_us = now_us;
  wheel->next_us = TIME_NEVER;
  wheel->next_known = true;
  wheel->count = 0;
}

void
timer_node_init (TimerNode *node, uint32_t kind)
{
  node->next = NULL;
  node->prev = NULL;
  node->deadline_us = TIME_NEVER;
  node->kind = kind;
  node->slot = SLOT_NONE;
}

bool
timer_node_armed (const TimerNode *node)
{
  return node->next != NULL;
}

/* Takes NODE off its list and keeps its deadline. */
static void
unhang (TimerWheel *wheel, TimerNode *node)
{
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->next = NULL;
  node->prev = NULL;
  if (node->slot < SLOT_OVERFLOW) {
    unsigned level = node->slot >> 8;
    unsigned index = node->slot & 0xff;
    if (list_empty (&wheel->levels[level][index]))
      wheel->occupied[level] &= ~(UINT64_C (1) << index);
  }
  node->slot = SLOT_NONE;
}

/* Puts NODE where its deadline belongs as seen from wheel->now_us. */
static void
hang (TimerWheel *wheel, TimerNode *node)
{
  int64_t tick = tick_of (node->deadline_us);
  int64_t now_tick = tick_of (wheel->now_us);
  unsigned level, index;

  if (node->deadline_us <= wheel->now_us) {
    node->slot = SLOT_DUE;
    list_append (&wheel->due, node);
    return;
  }
  if (tick - now_tick < TIMER_WHEEL_SLOTS) {
    level = 0;
    index = (unsigned)(tick % TIMER_WHEEL_SLOTS);
  } else if (tick / TIMER_WHEEL_SLOTS - now_tick / TIMER_WHEEL_SLOTS < TIMER_WHEEL_SLOTS) {
    level = 1;
    index = (unsigned)(tick / TIMER_WHEEL_SLOTS % TIMER_WHEEL_SLOTS);
  } else {
    node->slot = SLOT_OVERFLOW;
    list_append (&wheel->overflow, node);
    return;
  }
  node->slot = (uint16_t)(level << 8 | index);
  wheel->occupied[level] |= UINT64_C (1) << index;
  list_append (&wheel->levels[level][index], node);
}

void
timer_wheel_set (TimerWheel *wheel, TimerNode *node, int64_t deadline_us)
{
  timer_wheel_remove (wheel, node);
  if (deadline_us == TIME_NEVER)
    return;
  node->deadline_us = deadline_us;
  hang (wheel, node);
  wheel->count++;
  if (wheel->next_known)
    wheel->next_us = time_min (wheel->next_us, deadline_us);
}

void
timer_wheel_remove (TimerWheel *wheel, TimerNode *node)
{
  if (!timer_node_armed (node))
    return;
  unhang (wheel, node);
  if (node->deadline_us == wheel->next_us)
    wheel->next_known = false;
  node->deadline_us = TIME_NEVER;
  wheel->count--;
}

/* Hangs every node of a list again; those that stay where they are end up behind LAST. */
static void
rehang_all (TimerWheel *wheel, TimerNode *head)
{
  TimerNode *last = head->prev;

  while (!list_empty (head)) {
    TimerNode *node = head->next;
    unhang (wheel, node);
    hang (wheel, node);
    if (node == last)
      break;
  }
}

/* Turns the wheel to NOW_US: every node whose deadline has passed ends on the due list. */
static void
advance (TimerWheel *wheel, int64_t now_us)
{
  int64_t from = tick_of (wheel->now_us);
  int64_t to = tick_of (now_us);
  int64_t from_turn = from / TIMER_WHEEL_SLOTS;
  int64_t to_turn = to / TIMER_WHEEL_SLOTS;

  wheel->now_us = now_us;
  if (to - from >= TIMER_WHEEL_SLOTS)
    from = to - TIMER_WHEEL_SLOTS + 1;
  for (int64_t tick = from; tick <= to; tick++) {
    unsigned index = (unsigned)(tick % TIMER_WHEEL_SLOTS);
    if (wheel->occupied[0] & UINT64_C (1) << index)
      rehang_all (wheel, &wheel->levels[0][index]);
  }
  if (to_turn == from_turn)
    return;
  if (to_turn - from_turn > TIMER_WHEEL_SLOTS)
    from_turn = to_turn - TIMER_WHEEL_SLOTS;
  for (int64_t turn = from_turn + 1; turn <= to_turn; turn++) {
    unsigned index = (unsigned)(turn % TIMER_WHEEL_SLOTS);
    if (wheel->occupied[1] & UINT64_C (1) << index)
      rehang_all (wheel, &wheel->levels[1][index]);
  }
  rehang_all (wheel, &wheel->overflow);
}

TimerNode *
timer_wheel_expire (TimerWheel *wheel, int64_t now_us)
{
  if (now_us > wheel->now_us) {
    /* To look for the earliest would cost more than to turn. */
    if (!wheel->next_known || wheel->next_us <= now_us
        || tick_of (now_us) != tick_of (wheel->now_us))
      advance (wheel, now_us);
    else
      wheel->now_us = now_us;
  }
  if (list_empty (&wheel->due))
    return NULL;
  TimerNode *node = wheel->due.next;
  timer_wheel_remove (wheel, node);
  return node;
}

int64_t
timer_wheel_next (TimerWheel *wheel)
{
  if (wheel->next_known)
    return wheel->next_us;

  int64_t next = list_earliest (&wheel->due);
  int64_t position[2] = {tick_of (wheel->now_us), tick_of (wheel->now_us) / TIMER_WHEEL_SLOTS};
  static const int64_t width_us[2] = {TIMER_WHEEL_TICK_US, TIMER_WHEEL_TURN_US};
  for (int level = 0; level < 2; level++) {
    uint64_t occupied = wheel->occupied[level];
    if (occupied == 0)
      continue;
    /* Slots follow each other in time from the present one on; the first one that holds nodes holds
     * the earliest, unless an earlier one is known that ends before it begins. */
    unsigned start = (unsigned)(position[level] % TIMER_WHEEL_SLOTS);
    uint64_t rotated
        = start == 0 ? occupied : occupied >> start | occupied << (TIMER_WHEEL_SLOTS - start);
    unsigned ahead = (unsigned)__builtin_ctzll (rotated);
    if (next > (position[level] + ahead) * width_us[level])
      next = time_min (next,
                       list_earliest (&wheel->levels[level][(start + ahead) % TIMER_WHEEL_SLOTS]));
  }
  if (next > (position[1] + TIMER_WHEEL_SLOTS) * TIMER_WHEEL_TURN_US)
    next = time_min (next, list_earliest (&wheel->overflow));
  wheel->next_us = next;
  wheel->next_known = true;
  return next;
}
