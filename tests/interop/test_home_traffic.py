#!/usr/bin/python3
"""Traffic between nodes of our own coordinator goes on whatever happens there: changes of policy and names, a
restart, a kill. Only what the relay carries stops with it, and comes back by itself."""

import os
import time
import traceback

from home import Home
from lab import Lab, Tap, wait_for
from nodes import chosen_pairs, make_node
from traffic import Datagrams, Stream

RETURN_S = 12  # until what is relayed flows again after the relay's restart


def allow(*more):
    rules = [{"action": "accept", "src": ["*"], "dst": ["*:*"]}, *more]
    return '{"tagOwners": {"tag:x": ["autogroup:member"]}, "acls": ' + str(rules).replace("'", '"') + "}"


def map_requests(home):
    """How many map streams and updates the nodes have asked for."""
    with open(os.path.join(home.dir, "coordinator.log"), encoding="utf-8", errors="replace") as file:
        return file.read().count("/machine/map")


def changes(tap, home, a, b):
    with tap.test("changes of policy, names, routes and members reach nodes on the stream they have, and cost no packet"):
        before = map_requests(home)
        traffic, stream = Datagrams(a, b), Stream(a, b, seconds=4, mbit=5)
        for port in range(5):
            home.set_policy(allow({"action": "accept", "src": ["10.9.9.0/24"], "dst": [f"*:{port + 1}"]}))
            home.run("nodes", "rename", b.name, f"name-{port}")
            home.run("routes", "approve", f"name-{port}", f"10.9.{port}.0/24")
            time.sleep(0.6)
            home.run("nodes", "rename", f"name-{port}", b.name)
        stream.finish()
        traffic.finish()
        home.run("routes", "approve", b.name)
        assert not traffic.lost(), (traffic.lost()[:20], traffic.sent, traffic.errors[:20])
        assert stream.stall() < 2, stream.stall()
        assert map_requests(home) == before, "a node asked for its map anew"


def restart(tap, home, a, b, kill):
    with tap.test(f"with a direct path no packet is lost while the coordinator is {'killed' if kill else 'stopped'} "
                  "and started"):
        a.wait_path(b, "direct")
        b.wait_path(a, "direct")
        addresses, traffic = (a.ip4, b.ip4), Datagrams(a, b)
        time.sleep(0.5)
        home.stop(kill=kill)
        time.sleep(1)
        home.start()
        began = time.monotonic()
        wait_for(lambda: all((home.node(n.name) or {}).get("online") for n in (a, b)), 40, "both are online again")
        tap.note(f"both are back after {time.monotonic() - began:.1f} s")
        traffic.finish()
        assert not traffic.lost(), (traffic.lost()[:20], traffic.sent, traffic.errors[:20])
        assert addresses == (a.ip4, b.ip4)


def relay(tap, lab, home, a, b):
    with tap.test(f"what is relayed flows again within {RETURN_S} s after the relay's restart"):
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        b.wait_path(a, "relay")
        traffic = Datagrams(a, b)
        time.sleep(1)
        home.stop()
        home.start()
        began = traffic.now()
        wait_for(lambda: traffic.now() - began > 1.5 and all(
            len(x) and max(x.values()) > traffic.now() - 0.3 for x in traffic.arrivals), 40, "packets arrive again")
        time.sleep(0.5)
        traffic.finish()
        tap.note(f"silent for {traffic.gap():.1f} s")
        assert traffic.gap() < RETURN_S


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
