/* Table of Hostinfo for the requests that carry it. Private to netmap/. */
#pragma once

#include "netmap/hostinfo.h"
#include "netmap/record.h"

extern const RecordType own_hostinfo_type;
