/* The queue of things that path has decided to do, in order. Net thread, inside path only. */
#pragma once

#include "path/path.h"

typedef struct
{
  PathAction *items;
  size_t room;
  size_t first;
  size_t count;
} PathActions;

/* A new action of TYPE at the end, zeroed, to be filled; valid until the next one is added. */
PathAction *actions_add (PathActions *actions, PathActionType type);
bool actions_take (PathActions *actions, PathAction *out);
void actions_free (PathActions *actions);
