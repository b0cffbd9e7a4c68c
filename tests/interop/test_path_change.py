#!/usr/bin/python3
"""A connection carries 10 Mbit/s both ways for a minute while the direct path goes and comes back."""

from lab import wait_for
from pace import Pace
from scenario import run_pairs
from traffic import Stream

BLOCKED, ALLOWED, END = 15, 35, 60


def scenario(s):
    a, b = s.a, s.b
    s.connect()
    a.wait_path(b, "direct")
    b.wait_path(a, "direct")
    with Pace() as pace:
        traffic(s, a, b, pace)


def traffic(s, a, b, pace):
    lab, stream = s.lab, Stream(a, b, END)
    with s.test("relayed while UDP is blocked, as both report it"):
        stream.wait_until(BLOCKED)
        lab.block_udp(a.host, b.host)
        stream.wait_until(ALLOWED - 2)
        assert a.path(b) == "relay" and b.path(a) == "relay", (a.path(b), b.path(a))
    stream.wait_until(ALLOWED)
    lab.unblock_udp(a.host, b.host)
    with s.test("direct again when UDP is allowed, as both report it"):
        wait_for(lambda: a.path(b) == b.path(a) == "direct", 10, "a direct path, as both report it")
        back = stream.now() - ALLOWED
        s.tap.note(f"direct after {back:.1f} s")
    with s.test("no reset, and every byte arrived at both ends"):
        stream.finish()
    calm, blocked, after = stream.stall(0, BLOCKED - 1), stream.stall(BLOCKED - 1, ALLOWED - 1), stream.stall(ALLOWED - 1)
    s.tap.note(f"longest stalls: {calm:.2f} s before, {blocked:.2f} s after blocking, {after:.2f} s after unblocking")
    with s.test("direct within 10 s; the longest stall is at most 8 s after blocking and 1 s after unblocking"):
        more = pace.allowance(1)
        s.tap.note(f"the machine took {pace.slowness:.1f} times as long as a calm one")
        assert blocked <= 8 * more and after <= more and back <= 10 * more, (blocked, after, back)


run_pairs("a path change under traffic", scenario, timeout=150)
