/* DERP in WebSocket messages, for clients behind proxies that pass nothing else (spec/derp.md §3.6,
 * RFC 6455): the server's side.
 *
 * DERP is a byte stream in binary messages whose borders mean nothing. No extensions, no text.
 * Pure; owned by the client's worker. */
#pragma once

#include "wire/buffer.h"
#include "wire/http1.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_WEB_SOCKET_MESSAGE 16384 /* bytes that we put into one message */

typedef struct RelayWebSocket RelayWebSocket;

/* Answers the upgrade; false when the request does not ask for one properly. */
bool relay_web_socket_accept (const Http1Head *head, Buffer *out);

RelayWebSocket *relay_web_socket_new (void);
void relay_web_socket_free (RelayWebSocket *ws);

/* Takes the messages at DATA apart in place: what they carry moves to the front; its size. Pongs
 * and the answer to a close go to OUT. False: the peer broke the protocol or closed. */
bool relay_web_socket_read (RelayWebSocket *ws, uint8_t *data, size_t size, size_t *carried,
                            Buffer *out);

/* The head of a binary message of SIZE bytes, at most 10. */
size_t relay_web_socket_head (size_t size, uint8_t out[10]);
