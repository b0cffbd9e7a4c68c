/* The state directory (DESIGN, "State on disk"): identity that must never be lost, cache that may.
 *
 *     machine-key            one per installation
 *     disco-key              one per installation; may be lost
 *     active                 id of the profile that owns the tunnel
 *     profiles/<id>/identity keys, preferences, user
 *     profiles/<id>/netmap   last network map
 *
 * Identity is written to a temporary file, flushed, renamed, and its directory flushed before a
 * function returns true; only then may the effect be announced or sent. A file of an unknown format
 * or a damaged one is kept, named and refused. Main thread. */
#pragma once

#include "session/profile.h"
#include "session/store-files.h"

#define STORE_ERROR store_error_quark ()
GQuark store_error_quark (void);

typedef enum
{
  STORE_ERROR_FAILED,     /* the message says what was tried */
  STORE_ERROR_FULL,       /* no space, or quota */
  STORE_ERROR_UNREADABLE, /* unknown format or damaged; the message names the file */
} StoreError;

#define STORE_CACHE_MAX (64u << 20) /* bytes of one cache file */

typedef struct Store Store;

/* A profile's file that could not be used: kept as it is. */
typedef struct
{
  char id[PROFILE_ID_SIZE];
  char *path;
  char *reason;
} StoreRefusal;

/* Opens DIRECTORY (made 0700 when missing) with FILES (borrowed). Nothing is read yet. */
Store *store_open (const char *directory, StoreFiles *files, GError **error);
void store_close (Store *store);

/* The installation's machine key, made and saved the first time. False with an error when it cannot
 * be read or saved: then no profile may be used. */
bool store_machine_key (Store *store, Random *random, MachinePrivate *out, GError **error);

/* The installation's disco key: the one of the last run, so that peers who cannot hear of another
 * one while the control server is away still find us (spec/path-finding.md §1 has one for each
 * run). It is cache: one that cannot be read is replaced, one that cannot be saved holds for this
 * run. */
void store_disco_key (Store *store, Random *random, DiscoPrivate *out);

/* Every profile on disk, in the order of creation; unusable ones go to REFUSALS (StoreRefusal). */
GPtrArray *store_load_profiles (Store *store, GPtrArray **refusals);

/* Saves the identity of PROFILE durably. */
bool store_save_profile (Store *store, const Profile *profile, GError **error);

/* Forgets the profile ID with everything that belongs to it. */
bool store_remove_profile (Store *store, const char *id, GError **error);

/* The active profile's id, "" for none. A damaged file counts as none. */
bool store_save_active (Store *store, const char *id, GError **error);
void store_load_active (Store *store, char out[PROFILE_ID_SIZE]);

/* The cached network map of a profile: bytes that the caller understands. NULL when there is none;
 * failing to save it loses nothing but a faster start. */
GBytes *store_load_netmap (Store *store, const char *id);
bool
store_save_netmap (Store *store, const char *id, const void *data, size_t size, GError **error);
void store_remove_netmap (Store *store, const char *id);
