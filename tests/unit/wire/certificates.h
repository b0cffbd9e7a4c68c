/* Throw-away certificates for tests: made on the fly, never stored. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

typedef struct
{
  char *certificate;  /* PEM */
  char *key;          /* PEM */
  uint8_t digest[32]; /* SHA-256 of the DER */
} TestCertificate;

/* A certificate for the DNS name or IP literal NAME, signed by ISSUER or by itself when NULL, valid
 * from now + FROM_DAYS to now + TO_DAYS. IS_CA: it may sign others. */
TestCertificate test_certificate_new (const char *name, const TestCertificate *issuer, bool is_ca,
                                      int from_days, int to_days);
void test_certificate_clear (TestCertificate *certificate);
