#include "wire/tls.h"

#include "wire/tls-records.h"
#include "wire/tls-verify.h"

#include "base/bytes.h"

#include "base/ip.h"

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct TlsContext
{
  SSL_CTX *ctx;
};

/* Of the application data, caught while a server shakes hands. */
typedef struct
{
  uint8_t client[TLS_SECRET_MAX], server[TLS_SECRET_MAX];
  size_t client_size, server_size;
} Secrets;

struct Tls
{
  SSL *ssl;             /* NULL: RECORDS have taken over */
  TlsRecords *records;  /* of a server, once open */
  Secrets *secrets;     /* while a server shakes hands */
  int version;          /* once open */
  const uint8_t *input; /* ciphertext from the peer during tls_receive, borrowed */
  size_t input_size;
  Buffer waiting; /* ciphertext from the peer that was not read yet, before INPUT */
  Buffer out;     /* ciphertext for the peer */
  Buffer *sink;   /* where ciphertext goes now: OUT or the caller's */
  TlsState state;
  TlsVerify verify;
  TlsCertProblem problem;
  char *check_name;
  char *sni; /* NULL: none was sent */
  uint8_t pin[TLS_PIN_SIZE];
  char error[256];
};

/* --- Contexts ------------------------------------------------------------------------------ */

static void
report (char **error, const char *what)
{
  unsigned long code = ERR_get_error ();
  const char *reason = code ? ERR_reason_error_string (code) : NULL;

  if (error && asprintf (error, "%s: %s", what, reason ? reason : "unknown error") < 0)
    abort ();
  ERR_clear_error ();
}

static TlsContext *
context_new (const SSL_METHOD *method)
{
  TlsContext *context = calloc (1, sizeof *context);

  if (!context || !(context->ctx = SSL_CTX_new (method)))
    abort ();
  SSL_CTX_set_min_proto_version (context->ctx, TLS1_2_VERSION);
  SSL_CTX_set_mode (context->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                                      | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode (context->ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options (context->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets (context->ctx, 0);
  return context;
}

void
tls_context_free (TlsContext *context)
{
  if (!context)
    return;
  SSL_CTX_free (context->ctx);
  free (context);
}

/* True when the system keeps its roots under the hashes of their names, one file each. */
static bool
has_hashed_roots (void)
{
  DIR *dir = opendir (X509_get_default_cert_dir ());
  struct dirent *entry;
  bool found = false;

  if (!dir)
    return false;
  while (!found && (entry = readdir (dir)))
    found = strspn (entry->d_name, "0123456789abcdef") == 8 && entry->d_name[8] == '.';
  closedir (dir);
  return found;
}

/* From the directory only the roots that are asked for are read; the file with all of them would
 * cost almost a megabyte for each context. */
static int
use_system_roots (SSL_CTX *ctx)
{
  bool chosen = getenv (X509_get_default_cert_file_env ()) != NULL
                || getenv (X509_get_default_cert_dir_env ()) != NULL;

  return !chosen && has_hashed_roots () ? SSL_CTX_set_default_verify_dir (ctx)
                                        : SSL_CTX_set_default_verify_paths (ctx);
}

/* A pinned certificate has no chain, and where nothing is judged nothing is looked for: the roots
 * would be searched for an issuer on the disk, each time. */
static int
verify_chain (X509_STORE_CTX *store, void *data)
{
  const SSL *ssl = X509_STORE_CTX_get_ex_data (store, SSL_get_ex_data_X509_STORE_CTX_idx ());
  const Tls *tls = SSL_get_app_data (ssl);

  if (tls->verify != TLS_VERIFY_PIN && tls->verify != TLS_VERIFY_NONE)
    return X509_verify_cert (store);
  X509_STORE_CTX_set_error (store, X509_V_OK);
  return 1;
}

TlsContext *
tls_client_context_new (const char *ca_file, char **error)
{
  TlsContext *context = context_new (TLS_client_method ());
  int ok = ca_file ? SSL_CTX_load_verify_file (context->ctx, ca_file)
                   : use_system_roots (context->ctx);

  if (ok != 1) {
    report (error, ca_file ? ca_file : "system certificates");
    tls_context_free (context);
    return NULL;
  }
  SSL_CTX_set_cert_verify_callback (context->ctx, verify_chain, NULL);
  return context;
}

static bool
use_chain (SSL_CTX *ctx, const char *pem)
{
  BIO *bio = BIO_new_mem_buf (pem, -1);
  X509 *leaf = PEM_read_bio_X509_AUX (bio, NULL, NULL, NULL);
  X509 *next;
  bool ok = leaf && SSL_CTX_use_certificate (ctx, leaf) == 1;

  X509_free (leaf);
  while (ok && (next = PEM_read_bio_X509 (bio, NULL, NULL, NULL)))
    if (SSL_CTX_add0_chain_cert (ctx, next) != 1) {
      X509_free (next);
      ok = false;
    }
  BIO_free (bio);
  return ok;
}

static bool
use_key (SSL_CTX *ctx, const char *pem)
{
  BIO *bio = BIO_new_mem_buf (pem, -1);
  EVP_PKEY *key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);
  bool ok = key && SSL_CTX_use_PrivateKey (ctx, key) == 1 && SSL_CTX_check_private_key (ctx) == 1;

  EVP_PKEY_free (key);
  BIO_free (bio);
  return ok;
}

/* Selects "http/1.1" where it is offered; goes on without ALPN otherwise (derp.md §3.3). */
static int
select_alpn (SSL *ssl, const unsigned char **out, unsigned char *out_length,
             const unsigned char *in, unsigned in_length, void *data)
{
  static const unsigned char http1[] = "\x08http/1.1";
  unsigned char *chosen;

  if (SSL_select_next_proto (&chosen, out_length, http1, sizeof http1 - 1, in, in_length)
      != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* The line is LABEL CLIENT-RANDOM SECRET, in hex: the only way by which OpenSSL gives its secrets.
 */
static void
catch_secret (const SSL *ssl, const char *line)
{
  Tls *tls = SSL_get_app_data (ssl);
  const char *hex = strrchr (line, ' ');
  bool client = strncmp (line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
  size_t size = hex ? strlen (hex + 1) / 2 : 0;

  if (!tls->secrets || size > TLS_SECRET_MAX
      || (!client && strncmp (line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0)
      || !hex_decode (hex + 1, 2 * size, client ? tls->secrets->client : tls->secrets->server,
                      size))
    return;
  *(client ? &tls->secrets->client_size : &tls->secrets->server_size) = size;
}

TlsContext *
tls_server_context_new (const char *certificate_pem, const char *key_pem, char **error)
{
  TlsContext *context = context_new (TLS_server_method ());

  if (!use_chain (context->ctx, certificate_pem) || !use_key (context->ctx, key_pem)) {
    report (error, "certificate and key");
    tls_context_free (context);
    return NULL;
  }
  ERR_clear_error ();
  SSL_CTX_set_alpn_select_cb (context->ctx, select_alpn, NULL);
  SSL_CTX_set_keylog_callback (context->ctx, catch_secret);
  /* Half the work for the same purpose; who cannot do AES quickly says so by its order. */
  SSL_CTX_set_ciphersuites (context->ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                          "TLS_AES_256_GCM_SHA384");
  SSL_CTX_set_options (context->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  return context;
}

bool
tls_server_context_add_certificate (TlsContext *context, const uint8_t *der, size_t size)
{
  X509 *certificate = d2i_X509 (NULL, &der, (long)size);

  if (certificate && SSL_CTX_add0_chain_cert (context->ctx, certificate) == 1)
    return true;
  X509_free (certificate);
  ERR_clear_error ();
  return false;
}

/* --- Connections --------------------------------------------------------------------------- */

/* OpenSSL's view of a Tls: it reads the caller's bytes where they are and writes to the sink, so an
 * idle connection keeps no buffers. */
static int
bio_read (BIO *bio, char *out, int size)
{
  Tls *tls = BIO_get_data (bio);
  size_t n = (size_t)size;

  BIO_clear_retry_flags (bio);
  if (tls->waiting.size > 0) {
    n = n < tls->waiting.size ? n : tls->waiting.size;
    memcpy (out, tls->waiting.data, n);
    buffer_consume (&tls->waiting, n);
  } else if (tls->input_size > 0) {
    n = n < tls->input_size ? n : tls->input_size;
    memcpy (out, tls->input, n);
    tls->input += n;
    tls->input_size -= n;
  } else {
    BIO_set_retry_read (bio);
    return -1;
  }
  return (int)n;
}

static int
bio_write (BIO *bio, const char *data, int size)
{
  Tls *tls = BIO_get_data (bio);

  BIO_clear_retry_flags (bio);
  buffer_append (tls->sink, data, (size_t)size);
  return size;
}

static long
bio_control (BIO *bio, int command, long number, void *pointer)
{
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void
make_bio_method (void)
{
  bio_method = BIO_meth_new (BIO_get_new_index () | BIO_TYPE_SOURCE_SINK, "warren");
  if (!bio_method || !BIO_meth_set_read (bio_method, bio_read)
      || !BIO_meth_set_write (bio_method, bio_write)
      || !BIO_meth_set_ctrl (bio_method, bio_control))
    abort ();
}

static Tls *
tls_new (TlsContext *context)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  Tls *tls = calloc (1, sizeof *tls);
  BIO *bio;

  pthread_once (&once, make_bio_method);
  if (!tls || !(tls->ssl = SSL_new (context->ctx)) || !(bio = BIO_new (bio_method)))
    abort ();
  tls->sink = &tls->out;
  BIO_set_data (bio, tls);
  BIO_set_init (bio, 1);
  SSL_set_bio (tls->ssl, bio, bio);
  return tls;
}

static char *
copy_text (const char *text)
{
  char *copy = text ? strdup (text) : NULL;

  if (text && !copy)
    abort ();
  return copy;
}

Tls *
tls_client_new (TlsContext *context, const TlsClientOptions *options)
{
  Tls *tls = tls_new (context);
  const char *name = options->check_name ? options->check_name : options->server_name;
  IpAddr ip;

  tls->verify = options->verify;
  memcpy (tls->pin, options->pin, TLS_PIN_SIZE);
  tls->check_name = copy_text (name);
  if (options->server_name
      && !ip_parse (options->server_name, strlen (options->server_name), &ip)) {
    tls->sni = copy_text (options->server_name);
    SSL_set_tlsext_host_name (tls->ssl, options->server_name);
  }
  if (options->alpn_http1)
    SSL_set_alpn_protos (tls->ssl, (const unsigned char *)"\x08http/1.1", 9);
  if (name && ip_parse (name, strlen (name), &ip))
    X509_VERIFY_PARAM_set1_ip_asc (SSL_get0_param (tls->ssl), name);
  else if (name)
    SSL_set1_host (tls->ssl, name);
  SSL_set_app_data (tls->ssl, tls);
  /* The verdict is read after the handshake, so that one path serves all four modes. */
  SSL_set_verify (tls->ssl, SSL_VERIFY_NONE, NULL);
  SSL_set_connect_state (tls->ssl);
  tls_read (tls, NULL);
  return tls;
}

Tls *
tls_server_new (TlsContext *context)
{
  Tls *tls = tls_new (context);

  tls->verify = TLS_VERIFY_NONE;
  tls->secrets = calloc (1, sizeof *tls->secrets);
  SSL_set_app_data (tls->ssl, tls);
  SSL_set_accept_state (tls->ssl);
  return tls;
}

static void
forget_secrets (Tls *tls)
{
  if (tls->secrets)
    OPENSSL_cleanse (tls->secrets, sizeof *tls->secrets);
  free (tls->secrets);
  tls->secrets = NULL;
}

void
tls_free (Tls *tls)
{
  if (!tls)
    return;
  SSL_free (tls->ssl);
  tls_records_free (tls->records);
  forget_secrets (tls);
  buffer_free (&tls->waiting);
  buffer_free (&tls->out);
  free (tls->check_name);
  free (tls->sni);
  free (tls);
}

static void
fail (Tls *tls, const char *text)
{
  tls->state = TLS_FAILED;
  snprintf (tls->error, sizeof tls->error, "%s", text);
  ERR_clear_error ();
}

static void
fail_ssl (Tls *tls, int ssl_error)
{
  unsigned long code = ERR_peek_error ();
  const char *reason = code ? ERR_reason_error_string (code) : NULL;

  if (ssl_error == SSL_ERROR_SYSCALL || !reason)
    reason = "connection broken";
  fail (tls, reason);
}

/* A server that has shaken hands by TLS 1.3 goes on without OpenSSL's object, which is large. It
 * has read no record beyond the handshake's last, and written none. */
static void
take_over (Tls *tls)
{
  const Secrets *secrets = tls->secrets;
  const SSL_CIPHER *cipher = SSL_get_current_cipher (tls->ssl);

  if (secrets && tls->version == TLS1_3_VERSION && secrets->client_size > 0
      && secrets->client_size == secrets->server_size && SSL_pending (tls->ssl) == 0)
    tls->records = tls_records_new (SSL_CIPHER_get_protocol_id (cipher), secrets->client,
                                    secrets->server, secrets->client_size);
  forget_secrets (tls);
  if (!tls->records)
    return;
  SSL_free (tls->ssl);
  tls->ssl = NULL;
}

/* Judges the server's certificate once the handshake is over. */
static void
judge (Tls *tls)
{
  tls->state = TLS_OPEN;
  tls->version = SSL_version (tls->ssl);
  if (SSL_is_server (tls->ssl)) {
    take_over (tls);
    return;
  }
  if (tls->verify == TLS_VERIFY_NONE)
    return;
  if (tls->verify == TLS_VERIFY_PIN)
    tls->problem = tls_verify_pin (tls->ssl, tls->pin, tls->sni, tls->error, sizeof tls->error);
  else
    tls->problem = tls_verify_chain (tls->ssl, tls->check_name, tls->error, sizeof tls->error);
  if (tls->problem != TLS_CERT_OK && tls->verify != TLS_VERIFY_WARN)
    tls->state = TLS_FAILED;
}

void
tls_feed (Tls *tls, const void *ciphertext, size_t size)
{
  buffer_append (&tls->waiting, ciphertext, size);
}

static void
handshake (Tls *tls)
{
  ERR_clear_error ();
  int n = SSL_do_handshake (tls->ssl);
  if (n == 1) {
    judge (tls);
    return;
  }
  int error = SSL_get_error (tls->ssl, n);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
    fail_ssl (tls, error);
}

/* Whole records are opened where they are; the begin of another waits. */
static void
open_records (Tls *tls, Buffer *plain)
{
  size_t used;

  if (tls->waiting.size > 0) {
    buffer_append (&tls->waiting, tls->input, tls->input_size);
    tls->input_size = 0;
  }
  bool kept = tls->waiting.size > 0;
  TlsRecordsResult result
      = tls_records_open (tls->records, kept ? tls->waiting.data : tls->input,
                          kept ? tls->waiting.size : tls->input_size, &used, plain, tls->sink);
  if (kept) {
    buffer_consume (&tls->waiting, used);
  } else {
    tls->input += used;
    tls->input_size -= used;
  }
  if (result == TLS_RECORDS_CLOSED)
    tls->state = TLS_CLOSED;
  else if (result == TLS_RECORDS_FAILED)
    fail (tls, "broken record");
}

static void
read_records (Tls *tls, Buffer *plain)
{
  if (tls->records && tls->state == TLS_OPEN) {
    open_records (tls, plain);
    return;
  }
  while (tls->state == TLS_OPEN) {
    size_t n = 0;
    uint8_t *room = buffer_reserve (plain, 16384);
    ERR_clear_error ();
    if (SSL_read_ex (tls->ssl, room, 16384, &n) == 1) {
      buffer_commit (plain, n);
      continue;
    }
    int error = SSL_get_error (tls->ssl, 0);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
      break;
    if (error == SSL_ERROR_ZERO_RETURN)
      tls->state = TLS_CLOSED;
    else
      fail_ssl (tls, error);
  }
}

TlsState
tls_read (Tls *tls, Buffer *plain)
{
  if (tls->state == TLS_HANDSHAKING)
    handshake (tls);
  if (plain)
    read_records (tls, plain);
  if (tls->waiting.size == 0)
    buffer_free (&tls->waiting);
  return tls->state;
}

TlsState
tls_receive (Tls *tls, const void *ciphertext, size_t size, Buffer *plain)
{
  tls->input = ciphertext;
  tls->input_size = size;
  tls_read (tls, plain);
  buffer_append (&tls->waiting, tls->input, tls->input_size);
  tls->input = NULL;
  tls->input_size = 0;
  return tls->state;
}

bool
tls_write (Tls *tls, const void *plain, size_t size)
{
  const uint8_t *data = plain;

  if (tls->state != TLS_OPEN)
    return false;
  if (tls->records) {
    if (!tls_records_seal (tls->records, plain, size, tls->sink))
      fail (tls, "encryption failed");
    return tls->state == TLS_OPEN;
  }
  while (size > 0) {
    size_t n = 0;
    ERR_clear_error ();
    if (SSL_write_ex (tls->ssl, data, size, &n) != 1) {
      /* a memory BIO never makes it wait, so this is final */
      fail_ssl (tls, SSL_get_error (tls->ssl, 0));
      return false;
    }
    data += n;
    size -= n;
  }
  return true;
}

bool
tls_write_to (Tls *tls, const void *plain, size_t size, Buffer *ciphertext)
{
  tls_take (tls, ciphertext);
  tls->sink = ciphertext;
  bool ok = tls_write (tls, plain, size);
  tls->sink = &tls->out;
  return ok;
}

void
tls_close (Tls *tls)
{
  if (tls->state == TLS_OPEN && tls->records)
    tls_records_close (tls->records, tls->sink);
  else if (tls->state == TLS_OPEN)
    SSL_shutdown (tls->ssl);
  ERR_clear_error ();
}

bool
tls_take (Tls *tls, Buffer *ciphertext)
{
  if (tls->out.size == 0)
    return false;
  if (!ciphertext->base) {
    *ciphertext = tls->out;
    tls->out = (Buffer){0};
  } else {
    buffer_append (ciphertext, tls->out.data, tls->out.size);
    buffer_free (&tls->out);
  }
  return true;
}

/* --- Facts --------------------------------------------------------------------------------- */

TlsState
tls_state (const Tls *tls)
{
  return tls->state;
}

const char *
tls_error (const Tls *tls)
{
  return tls->error;
}

TlsCertProblem
tls_certificate_problem (const Tls *tls)
{
  return tls->problem;
}

size_t
tls_peer_certificates (const Tls *tls)
{
  STACK_OF (X509) *chain = tls->ssl ? SSL_get_peer_cert_chain (tls->ssl) : NULL;

  return chain ? (size_t)sk_X509_num (chain) : 0;
}

X509 *
tls_peer_certificate (const Tls *tls, size_t index)
{
  return tls->ssl ? sk_X509_value (SSL_get_peer_cert_chain (tls->ssl), (int)index) : NULL;
}

int
tls_version (const Tls *tls)
{
  return tls->version;
}
