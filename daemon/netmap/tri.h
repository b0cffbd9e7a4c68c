/* A statement that may be missing: true, false, or nothing said (JSON null or absent). */
#pragma once

#include <stdint.h>

typedef int8_t Tri;
#define TRI_UNKNOWN ((Tri)-1)
#define TRI_FALSE   ((Tri)0)
#define TRI_TRUE    ((Tri)1)
