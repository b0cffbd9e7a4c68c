/* The layer between a socket to a proxy and what travels through it: TLS to the proxy if it wants
 * that, then CONNECT (RFC 9110 §9.3.6) or SOCKS5 (RFC 1928, 1929), then bytes in both directions.
 *
 * No socket here: what the socket gave goes in with proxy_layer_feed, what it must be given comes
 * out with proxy_layer_take. Bytes that the server sent in one breath with the proxy's answer are
 * not lost. Which proxy is wire/proxy.h. Belongs to one thread. */
#pragma once

#include "wire/buffer.h"
#include "wire/proxy.h"
#include "wire/tls.h"

typedef struct ProxyLayer ProxyLayer;

typedef enum
{
  PROXY_LAYER_OPENING, /* wait for the proxy */
  PROXY_LAYER_OPEN,    /* what is sent goes to the server */
  PROXY_LAYER_FAILED,  /* proxy_layer_error says why */
} ProxyLayerState;

/* A way to HOST (name or IP literal) and PORT. TLS, a client context, is needed for PROXY_HTTPS
 * alone and must live longer. HOST NULL: an HTTP proxy that is asked with whole URLs, so that
 * nothing but its TLS comes first. The first bytes are ready for proxy_layer_take. */
ProxyLayer *proxy_layer_new (const Proxy *proxy, TlsContext *tls, const char *host, uint16_t port);
void proxy_layer_free (ProxyLayer *layer);

/* Bytes from the socket; appends what the server sent to IN. */
ProxyLayerState proxy_layer_feed (ProxyLayer *layer, const void *data, size_t size, Buffer *in);

/* Bytes for the server; only while open. */
void proxy_layer_send (ProxyLayer *layer, const void *data, size_t size);

/* Appends to OUT what the socket must be given. */
void proxy_layer_take (ProxyLayer *layer, Buffer *out);

ProxyLayerState proxy_layer_state (const ProxyLayer *layer);

/* Text for a person that names the proxy and no password; "" when nothing failed. */
const char *proxy_layer_error (const ProxyLayer *layer);
