#!/usr/bin/python3
"""A connection carries 10 Mbit/s both ways for a minute while the direct path goes and comes back."""

import time

from scenario import run_pairs
from traffic import Stream

BLOCKED, ALLOWED, END = 15, 35, 60


def scenario(s):
    a, b, lab = s.a, s.b, s.lab
    s.connect()
    a.wait_path(b, "direct")
    stream = Stream(a, b, END)
    with s.test("relayed while UDP is blocked, as both report it"):
        stream.wait_until(BLOCKED)
        lab.block_udp(a.host, b.host)
        stream.wait_until(ALLOWED - 2)
        assert a.path(b) == "relay" and b.path(a) == "relay", (a.path(b), b.path(a))
    stream.wait_until(ALLOWED)
    lab.unblock_udp(a.host, b.host)
    with s.test("direct within 10 s of UDP being allowed, as both report it"):
        while stream.now() < ALLOWED + 10 and not (a.path(b) == b.path(a) == "direct"):
            time.sleep(0.2)
        s.tap.note(f"direct after {stream.now() - ALLOWED:.1f} s")
        assert a.path(b) == b.path(a) == "direct", (a.path(b), b.path(a))
    with s.test("no reset, and every byte arrived at both ends"):
        stream.finish()
    calm, blocked, after = stream.stall(0, BLOCKED - 1), stream.stall(BLOCKED - 1, ALLOWED - 1), stream.stall(ALLOWED - 1)
    s.tap.note(f"longest stalls: {calm:.2f} s before, {blocked:.2f} s after blocking, {after:.2f} s after unblocking")
    with s.test("the longest stall is at most 8 s after blocking and 1 s after unblocking"):
        assert blocked <= 8 and after <= 1, (blocked, after)


run_pairs("a path change under traffic", scenario, timeout=150)
