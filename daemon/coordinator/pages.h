/* The pages that people see in a browser: HTML without scripts, escaped, readable at any width and
 * in the dark (spec/control-protocol.md §17.4).
 *
 * Only makes text of what it is given; who may see or do what is decided in sign-in.c. Any thread.
 */
#pragma once

#include "base/ip.h"
#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* What every page is given; texts are borrowed and escaped when shown. */
typedef struct
{
  const char *network;    /* its domain */
  const char *account;    /* login of who is signed in; NULL: nobody */
  const char *form_token; /* for the page's own form; "" when it has none */
  const char *out_token;  /* for the form that signs out */
  const char *error;      /* what went wrong with the last try; NULL: nothing */
  const char *provider;   /* host of the identity provider; NULL: none */
} Page;

/* A device that waits. */
typedef struct
{
  const char *id;
  const char *name, *system, *tags; /* as the device says; "" when it does not */
  const char *key;                  /* fingerprint of its machine key */
  IpAddr from;
  const char *login;         /* put into the form */
  bool unfolded;             /* the form is open, beside an identity provider */
  const char *const *people; /* logins whose device it may become; NULL-ended; NULL: no choice */
} PageDevice;

/* Content-Security-Policy and the like, in their wire form; static. */
const char *pages_headers (void);

void page_device (Buffer *out, const Page *page, const PageDevice *device);
/* TITLE and TEXT, no form. */
void page_message (Buffer *out, const Page *page, const char *title, const char *text);
/* Sets a password: for LOGIN, with CODE filled in when the link brought one. */
void page_password (Buffer *out, const Page *page, const char *login, const char *code);
void page_home (Buffer *out, const Page *page);
