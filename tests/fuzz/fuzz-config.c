/* The coordinator's configuration file: what is read is whole, what is refused names its line. */
#include "coordinator/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Config config;
  char *error = NULL;
  size_t n_keys;
  const ConfigKey *keys = config_keys (&n_keys);

  config_init (&config);
  if (config_read (&config, (const char *)data, size, &error))
    config_check (&config);
  else
    assert (error && error[0]);
  free (error);
  /* The same text as the value of each option. */
  if (size < 256) {
    char value[256];
    memcpy (value, data, size);
    value[size] = '\0';
    for (size_t i = 0; i < n_keys; i++) {
      error = NULL;
      if (!config_set_option (&config, keys[i].option, value, &error))
        assert (error);
      free (error);
    }
    error = NULL;
    assert (!config_set_option (&config, "no-such-option", value, &error) && error);
    free (error);
  }
  config_clear (&config);
  return 0;
}
