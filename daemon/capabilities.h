/* What the process may do: CAP_NET_ADMIN and CAP_NET_RAW, nothing else (DESIGN, "Programs"). */
#pragma once

/* Keeps those of the two capabilities that the process has and gives every other one up for good,
 * also for programs that it might start; sets no_new_privs. Logs when CAP_NET_ADMIN is missing. */
void capabilities_reduce (void);
