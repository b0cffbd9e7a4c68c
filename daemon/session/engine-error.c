#include "session/engine.h"

G_DEFINE_QUARK (engine-error-quark, engine_error)
