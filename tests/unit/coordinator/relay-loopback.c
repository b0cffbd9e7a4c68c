#include "relay-loopback.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static uint16_t
free_port (void)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *)&address, size), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&address, &size), ==, 0);
  close (fd);
  return ntohs (address.sin_port);
}

void
loopback_prepare (Loopback *rig)
{
  char *error = NULL;

  *rig = (Loopback){.at = {ip_from_v4 (INADDR_LOOPBACK), free_port ()}};
  g_assert_true (relay_certificate_make ("127.0.0.1", &rig->certificate));
  rig->context = tls_client_context_new (NULL, &error);
  key_generate (random_system (), rig->private_key);
}

void
loopback_start (Loopback *rig, RelayOptions options)
{
  g_autofree char *listen = g_strdup_printf ("127.0.0.1:%u", rig->at.port);
  char *error = NULL;

  options.listen = listen;
  options.certificate_pem = rig->certificate.certificate_pem;
  options.key_pem = rig->certificate.key_pem;
  options.private_key = rig->private_key;
  rig->relay = relay_new (&options, &error);
  g_assert_nonnull (rig->relay);
}

void
loopback_init (Loopback *rig, RelayOptions options)
{
  loopback_prepare (rig);
  loopback_start (rig, options);
}

void
loopback_clear (Loopback *rig)
{
  relay_free (rig->relay);
  relay_certificate_clear (&rig->certificate);
  tls_context_free (rig->context);
}

bool
loopback_all_up (const DerpNode *nodes, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (!nodes[i].up)
      return false;
  return true;
}

void
loopback_open (Loopback *rig, DerpNode *nodes, size_t count, const uint8_t *private_key)
{
  for (size_t i = 0; i < count; i++)
    g_assert_true (derp_node_open (&nodes[i], rig->context, &rig->at, private_key));
  WAIT_FOR (nodes, count, loopback_all_up (nodes, count));
}

void
loopback_close (DerpNode *nodes, size_t count)
{
  for (size_t i = 0; i < count; i++)
    derp_node_close (&nodes[i]);
}
