/* What the server keeps beside its database: keys and the relay's certificate, made at first use.
 */
#pragma once

#include "coordinator/certificate-files.h"
#include "coordinator/relay.h"
#include "coordinator/server.h"
#include "netmap/derp-map.h"
#include "wire/tls.h"

/* The Curve25519 key in DIR/NAME, made when there is none. False after an error told on stderr. */
bool server_load_key (const char *dir, const char *name, uint8_t key[KEY_SIZE]);

/* PATH (in DIR) holds TEXT, on disk and private, or what it held before. False after an error told
 * on stderr. */
bool server_write_file (const char *dir, const char *path, const char *text);

/* The text of a small file, malloc'd; NULL and errno when it cannot be read. */
char *server_read_file (const char *path);

/* TLS for the control address with the certificate in FILES; NULL and *ERROR (malloc'd). */
TlsContext *server_load_tls (const CertificateFiles *files, char **error);

/* Starts the relay of OPTIONS, if there is one, and describes it for the nodes: *RELAY and *MAP are
 * NULL without. False after an error told on stderr. */
bool server_open_relay (const ServerOptions *options, Relay **relay, DerpMap **map);
