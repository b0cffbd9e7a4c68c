#!/usr/bin/python3
"""The control server or the relay dies: what runs goes on, and everything comes back by itself."""

import re

from lab import wait_for
from pace import Pace
from scenario import run_pairs
from traffic import Stream, transfer


def connected(s, node):
    entry = s.control.node(node.name)
    return entry and entry["Streams"] > 0


def undisturbed(s, outage):
    """A connection that carries bytes both ways does not stall while something dies that it does not need."""
    with Pace() as pace:
        stream = Stream(s.a, s.b, seconds=6)
        stream.wait_until(1)
        outage()
        stream.finish()
        s.tap.note(f"longest stall {stream.stall():.2f} s")
        assert stream.stall() < pace.allowance(1), (stream.stall(), pace.slowness)


def scenario(s):
    a, b, lab = s.a, s.b, s.lab
    relay = s.tailnet.relays[0]
    s.control("mode", open=True)
    s.connect()
    a.wait_path(b, "direct")
    addresses = a.addresses()
    with s.test("with the control server killed, traffic goes on"):
        undisturbed(s, lambda: s.control.stop(kill=True))
        transfer(a, b, 20)
    with s.test("and path changes and new handshakes too"):
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        lab.unblock_udp(a.host, b.host)
        a.wait_path(b, "direct")
        a.icmp(b.ip4)
    if a.kind == "warren":
        with s.test("the daemon restarted meanwhile comes up from disk and reaches its peer"):
            a.stop()
            a.start()
            a.wait_running()
            assert a.addresses() == addresses
            a.icmp(b.ip4, count=5)
            b.icmp(a.ip4)
            transfer(b, a, 20)
        with s.test("killed and started again, too"):
            a.kill9()
            a.start()
            a.wait_running()
            a.icmp(b.ip4, count=5)
        with s.test("a peer that speaks in the session before the kill is answered"):
            address = a.ip4
            a.kill9()
            a.start()
            a.wait_state("Running")
            said = b.host.run("ping", "-n", "-c15", "-i0.2", "-W5", address)
            first = int(re.search(r"icmp_seq=(\d+)", said).group(1))
            s.tap.note(f"after {(first - 1) * 0.2:.1f} s")
        with s.test("and finds the direct way again although it cannot hear of us"):
            b.wait_path(a, "direct", timeout=10)
    with s.test("the control server back, both nodes return to it"):
        s.control.start()
        s.control("mode", open=True)
        for node in (a, b):
            wait_for(lambda: connected(s, node), 60, f"{node.name} has a map stream again")
        b.wait_peer(a, lambda p: p and p["Online"], what="is online")
    if a.kind == "warren":
        with s.test("and echoes go on as peers hear of each other again"):
            wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 5, "echoes come back")
    if a.kind == "warren":  # official nodes go on asking the dead process
        with s.test("a map stream that ends on a dying server is opened again on a new connection"):
            s.control("end", Node="alpha", Dead=True)
            wait_for(lambda: connected(s, a), 30, "the stream is back")
    with s.test("with the relay killed, the direct path carries on"):
        undisturbed(s, lambda: relay.stop(kill=True))
    with s.test("the relay back, both nodes return to it and it carries traffic"):
        relay.start()
        wait_for(lambda: s.relay_knows(a) and s.relay_knows(b), 60, "both nodes are connected to the relay")
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        transfer(a, b, 5)
        lab.unblock_udp(a.host, b.host)
    with s.test("a cut cable is survived"):
        lab.cut(a.host)
        wait_for(lambda: not a.icmp(b.ip4, count=1, check=False), 5, "the cable is cut")
        lab.mend(a.host)
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 30, "traffic is back")
        wait_for(lambda: connected(s, a), 60, "the map stream is back")


run_pairs("outages", scenario, timeout=300, server="labregister")
