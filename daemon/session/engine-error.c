#include "session/engine.h"

GQuark
engine_error_quark (void)
{
  return g_quark_from_static_string ("warren-engine-error");
}
