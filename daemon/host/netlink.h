/* One rtnetlink socket for requests with answers, on top of libmnl.
 *
 * Requests are gathered and sent in batches with one acknowledgement at the end of each, which
 * makes 10,000 routes three times faster (spec/linux-host.md §2.6). Errors of single requests are
 * reported through a filter. Main thread; used inside host only. */
#pragma once

#include <glib.h>
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Netlink Netlink;

/* Which answers count as success besides success itself. */
typedef enum
{
  NETLINK_STRICT,
  NETLINK_MAY_EXIST,   /* of an addition: EEXIST */
  NETLINK_MAY_BE_GONE, /* of a deletion: ENOENT, ESRCH, EADDRNOTAVAIL */
} NetlinkTolerance;

/* BUS is NETLINK_ROUTE. NULL with errno when there is no socket. */
Netlink *netlink_new (int bus);
void netlink_free (Netlink *netlink);

/* Starts a request of TYPE with FLAGS (NLM_F_REQUEST is added); the caller puts header and
 * attributes and calls netlink_commit. */
struct nlmsghdr *netlink_begin (Netlink *netlink, uint16_t type, uint16_t flags);

/* Queues the begun request. */
void netlink_commit (Netlink *netlink, NetlinkTolerance tolerance);

/* Sends what is queued and waits for the answers. Returns 0 or the first errno that was not
 * ignored; requests behind a failed one are carried out all the same. */
int netlink_flush (Netlink *netlink);

/* Sends one dump request and calls CALLBACK for each message of the answer. False with errno. */
bool
netlink_dump (Netlink *netlink, const struct nlmsghdr *request, mnl_cb_t callback, void *user_data);

/* Sends one request and calls CALLBACK for the message that answers it. False with errno. */
bool netlink_query (Netlink *netlink, struct nlmsghdr *request, mnl_cb_t callback, void *user_data);
