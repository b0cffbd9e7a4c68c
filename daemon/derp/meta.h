/* The certificate by which a relay tells its own key inside the TLS handshake, so that a client may
 * log in without waiting for it (spec/derp.md §3.4). Any thread. */
#pragma once

#include "derp/frame.h"
#include "wire/tls.h"

/* The key that CERTIFICATE tells; false when it is an ordinary one. */
bool derp_meta_key (X509 *certificate, DerpPublic *key);

/* The relay's key when TLS allows a fast start: version 1.3 and a meta certificate in the chain. */
bool derp_fast_start_key (const Tls *tls, DerpPublic *key);
