/* Preferences as the dictionary of the bus (spec/desktop.md §8.8). Pure; main thread. */
#pragma once

#include "session/preferences.h"

#include <gio/gio.h>

/* Every key of this version, as a floating a{sv}. */
GVariant *preference_keys_to_variant (const Preferences *prefs);

/* Applies CHANGES (a{sv}) to PREFS, all or nothing. ERROR is of the domain BUS_ERROR. */
bool preference_keys_apply (Preferences *prefs, GVariant *changes, GError **error);
