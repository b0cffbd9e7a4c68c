#!/usr/bin/python3
"""Traffic between nodes of our own coordinator goes on whatever happens there: changes of policy and names, a
restart, a kill. Only what the relay carries stops with it, and comes back by itself.

A machine that is too busy to empty its queues in time loses packets whatever happens there. So what costs no packet is
shown up to five times, and must have cost none once: a loss that it causes would be there each time.
"""

import os
import time
import traceback

from home import Home
from lab import Lab, Tap, wait_for
from nodes import chosen_pairs, make_node
from pace import Pace
from traffic import Datagrams, Stream

ATTEMPTS, CHANGES = 5, 6


def without_loss(tap, a, b, what):
    """Numbered datagrams both ways while WHAT happens, again when some are lost."""
    for _ in range(ATTEMPTS):
        traffic = Datagrams(a, b)
        time.sleep(0.5)
        what()
        traffic.finish()
        if not traffic.lost():
            return
        tap.note(f"of {traffic.sent} lost {traffic.lost()[:20]}, {traffic.errors[:20]}")
    raise AssertionError("packets are lost each time")


def allow(*more):
    rules = [{"action": "accept", "src": ["*"], "dst": ["*:*"]}, *more]
    return '{"tagOwners": {"tag:x": ["autogroup:member"]}, "acls": ' + str(rules).replace("'", '"') + "}"


def map_requests(home):
    """How many map streams and updates the nodes have asked for."""
    with open(os.path.join(home.dir, "coordinator.log"), encoding="utf-8", errors="replace") as file:
        return file.read().count("/machine/map")


def change(home, node):
    for n in range(CHANGES):
        home.set_policy(allow({"action": "accept", "src": ["10.9.9.0/24"], "dst": [f"*:{n + 1}"]}))
        home.run("nodes", "rename", node.name, f"name-{n}")
        home.run("routes", "approve", f"name-{n}", f"10.9.{n}.0/24")
        time.sleep(0.4)
        home.run("nodes", "rename", f"name-{n}", node.name)


def changes(tap, home, a, b):
    with tap.test("changes of policy, names, routes and members reach nodes on the stream they have, and cost no packet"):
        before = map_requests(home)
        with Pace() as pace:
            stream = Stream(a, b, seconds=4, mbit=2)
            without_loss(tap, a, b, lambda: change(home, b))
            stream.finish()
            tap.note(f"longest stall {stream.stall():.2f} s")
            assert stream.stall() < pace.allowance(2), stream.stall()
        home.run("routes", "approve", b.name)
        asked = map_requests(home) - before
        assert asked < CHANGES, f"nodes asked for their maps anew, {asked} times"


def restart(tap, home, a, b, kill):
    with tap.test(f"with a direct path no packet is lost while the coordinator is {'killed' if kill else 'stopped'} "
                  "and started"):
        a.wait_path(b, "direct")
        b.wait_path(a, "direct")
        addresses = a.ip4, b.ip4

        def restarted():
            home.stop(kill=kill)
            time.sleep(1)
            home.start()
            began = time.monotonic()
            wait_for(lambda: all((home.node(n.name) or {}).get("online") for n in (a, b)), 90, "both are online again")
            tap.note(f"both are back after {time.monotonic() - began:.1f} s")

        without_loss(tap, a, b, restarted)
        assert addresses == (a.ip4, b.ip4)


def relay(tap, lab, home, a, b):
    with tap.test("what is relayed flows again after the relay's restart"):
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        b.wait_path(a, "relay")
        traffic = Datagrams(a, b)
        time.sleep(1)
        home.stop()
        home.start()
        began = traffic.now()
        # Sent after the restart, and arrived.
        wait_for(lambda: all(traffic.fresh(end, began + 1) for end in (0, 1)), 90, "packets arrive again")
        traffic.finish()
        tap.note(f"silent for {traffic.gap():.1f} s")


def main():
    chosen = chosen_pairs(("official/official", "warren/official", "warren/warren"))
    tap = Tap("traffic and our own coordinator", 150 * len(chosen))
    for kinds in chosen:
        tap.note("/".join(kinds))
        with Lab() as lab, Home(lab, official="official" in kinds) as home:
            tap.evidence = [home.log]
            try:
                key = home.run("keys", "create", "--reusable").strip()
                a = make_node(kinds[0], home, lab.host("a"), "alpha")
                b = make_node(kinds[1], home, lab.host("b"), "beta")
                for node in (a, b):
                    node.start()
                    node.up(auth_key=key)
                a.wait_peer(b)
                b.wait_peer(a)
                a.wait_path(b, "direct")
                b.wait_path(a, "direct")
                changes(tap, home, a, b)
                if kinds != ("warren", "official"):
                    restart(tap, home, a, b, kill=True)
                if kinds != ("official", "official"):  # a tailscaled takes 9 s to come back
                    restart(tap, home, a, b, kill=False)
                relay(tap, lab, home, a, b)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()


if __name__ == "__main__":
    main()
