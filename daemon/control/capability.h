/* The capability version that Warren announces, in this one place (control-protocol.md §14).
 *
 * It goes into /key?v=, the Noise initiation and its prologue, and every "Version". Raising it
 * promises the semantics of every row of that table up to the number. */
#pragma once

#define CONTROL_CAPABILITY_VERSION 131
