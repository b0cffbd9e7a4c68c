/* The keys of a tailnet and their text forms (spec/control-protocol.md §2).
 *
 * Each kind is a type of its own, so that a machine key cannot be passed for a node key. 32 zero
 * bytes mean "not set". Private keys are plain structs: whoever owns one keeps it in memory from
 * secret_new () or wipes it with sodium_memzero (). Any thread. */
#pragma once

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_SIZE          32
#define LOCK_PRIVATE_SIZE 64  /* Ed25519 seed and public key */
#define KEY_TEXT_MAX      144 /* longest text form and its NUL */
#define KEY_SHORT_MAX     20  /* longest short form and its NUL */

typedef enum
{
  KEY_MACHINE_PUBLIC,   /* mkey: */
  KEY_NODE_PUBLIC,      /* nodekey: */
  KEY_DISCO_PUBLIC,     /* discokey: */
  KEY_CHALLENGE_PUBLIC, /* chalpub: */
  KEY_LOCK_PUBLIC,      /* nlpub:, also parsed as tlpub: */
  KEY_PRIVATE,          /* privkey:, machine and node */
  KEY_LOCK_PRIVATE,     /* nlpriv: */
} KeyKind;

#define DEFINE_KEY_TYPE(Type, size)                                                                \
  typedef struct                                                                                   \
  {                                                                                                \
    uint8_t bytes[size];                                                                           \
  } Type

DEFINE_KEY_TYPE (MachinePublic, KEY_SIZE);
DEFINE_KEY_TYPE (MachinePrivate, KEY_SIZE);
DEFINE_KEY_TYPE (NodePublic, KEY_SIZE);
DEFINE_KEY_TYPE (NodePrivate, KEY_SIZE);
DEFINE_KEY_TYPE (DiscoPublic, KEY_SIZE);
DEFINE_KEY_TYPE (DiscoPrivate, KEY_SIZE);
DEFINE_KEY_TYPE (LockPublic, KEY_SIZE);
DEFINE_KEY_TYPE (LockPrivate, LOCK_PRIVATE_SIZE);

/* Reads the text form of a key of KIND into OUT (32 bytes, 64 for KEY_LOCK_PRIVATE). The prefix is
 * case-sensitive, the hex digits are not, the length is exact. False leaves OUT unspecified. */
bool key_parse (KeyKind kind, const char *text, size_t length, void *out);

/* Writes the text form and a NUL to OUT; returns its length without the NUL. */
size_t key_format (KeyKind kind, const void *key, char out[KEY_TEXT_MAX]);

/* Writes the short form for logs, "[2J47r]" or "d:dc2cca31e8e43bbd"; empty for the zero key. */
void key_short (KeyKind kind, const void *key, char out[KEY_SHORT_MAX]);

/* A fresh clamped Curve25519 private key. */
void key_generate (Random *random, uint8_t out[KEY_SIZE]);

/* The Curve25519 public key of PRIVATE. */
void key_public (const uint8_t private_key[KEY_SIZE], uint8_t out[KEY_SIZE]);

/* A fresh Ed25519 key pair for tailnet lock. */
void lock_key_generate (Random *random, LockPrivate *out);
void lock_key_public (const LockPrivate *private_key, LockPublic *out);

/* True when all SIZE bytes are zero. Constant time. */
bool key_is_zero (const void *key, size_t size);

/* Equality in constant time. */
bool key_equal (const void *a, const void *b, size_t size);

/* Memory for secrets: locked, guarded, wiped by secret_free. Aborts when there is none left. */
void *secret_new (size_t size);
void secret_free (void *secret);

#define key_zero(key)  key_is_zero ((key)->bytes, sizeof (key)->bytes)
#define key_same(a, b) key_equal ((a)->bytes, (b)->bytes, sizeof (a)->bytes)
