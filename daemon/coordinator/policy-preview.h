/* `warren-coordinator policy preview` and `policy check`: what a policy file would mean, without a
 * running server. */
#pragma once

/* Prints, as a JSON object by node name, what every node of NODES_PATH would get from POLICY_PATH.
 * Exit code: 0, 1 for a bad policy or node list (told on stderr), 2 for a file that cannot be read.
 */
int policy_preview (const char *policy_path, const char *nodes_path);

/* Checks the policy and runs the tests inside; NODES_PATH may be NULL (no nodes). Same exit codes.
 */
int policy_check (const char *policy_path, const char *nodes_path);
