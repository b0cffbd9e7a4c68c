#!/usr/bin/python3
"""No official node notices that its peer is not official.

The same five minutes of pings, transfers, path switches, rekeys, restarts and logouts run in two tailnets
at once: in one an official node faces the node under test, in the other an official one. What the facing
node logs (without names, numbers, addresses and keys) and its health warnings may contain nothing that it
does not also say of the official node, in this run or in one of those whose lines are in official-lines.txt (what a
node says depends on chance, above all on a busy machine; --record adds to that file). Lines that remain need a reason
in unnoticed-reasons.txt.
"""

import os
import re
import sys
import time

from lab import HERE, Lab, LabError, Tailnet, Tap
from nodes import chosen_pairs, make_node
from traffic import transfer

NORMAL = [
    (r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)? ", ""),
    (r"(/[\w.-]+){2,}", "PATH"),
    (r'u="[^"]*"', 'u="USER"'),
    (r"(active login: )\S+", r"\1USER"),
    (r"\bexit=\w+", "exit=ID"),
    (r'"profile-[0-9a-f]+"', '"profile-HEX"'),
    (r"(derp-\d+) \(\w+\)", r"\1 (CODE)"),
    (r"((TSMP pong|ICMP response) )[0-9a-f:]+", r"\1HEX"),
    (r"\[[A-Za-z0-9+/]{5}\]", "[KEY]"),
    (r"(nodekey|discokey|mkey|nlpub|tx=|d):?[0-9a-f]{12,64}", r"\1:HEX"),
    (r"\b0x[0-9a-f]+\b", "HEX"),
    (r"https?://[^ \"]+", "URL"),
    (r"\[?[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}(%\w+)?\]?(:\d+)?(/\d+)?", "ADDR"),
    (r"\b\d+\.\d+\.\d+\.\d+(:\d+)?(/\d+)?", "ADDR"),
    (r"\b[0-9a-f]{10,64}\b", "HEX"),
    (r"(?<![a-z0-9])((c|w)r)?(\d+(\.\d+)?(µs|ms|s|m|h))+(?![a-z0-9])", r"\1TIME"),
    (r"\d+", "N"),
    (r"ADDR( \(\w+\))?(, ADDR( \(\w+\))?)+", "ADDR, …"),
    (r"ADDR( \(\w+\))?", "ADDR"),
]


def normalise(line):
    for pattern, replacement in NORMAL:
        line = re.sub(pattern, replacement, line.rstrip())
    return line


def reasons(name):
    """The lines that may remain: regular expressions, each below a comment that says why."""
    with open(os.path.join(HERE, name)) as file:
        return [re.compile(line.strip()) for line in file if line.strip() and not line.startswith("#")]


RECORD = os.path.join(HERE, "official-lines.txt")


def known_lines():
    """What official nodes were seen to log among themselves."""
    with open(RECORD, encoding="utf-8") as file:
        return {line.rstrip("\n") for line in file if not line.startswith("#")}


def record(lines):
    with open(RECORD, encoding="utf-8") as file:
        head = [line for line in file if line.startswith("#")]
    with open(RECORD, "w", encoding="utf-8") as file:
        file.writelines(head + [line + "\n" for line in sorted(lines) if line])


class Side:
    """One tailnet: the official watcher and the node that it faces."""

    def __init__(self, lab, kind):
        self.lab = lab
        self.tailnet = Tailnet(lab, server="labregister").__enter__()
        self.tailnet.control("mode", open=True)
        self.watcher = make_node("official", self.tailnet, lab.host("w"), "watcher")
        self.faced = make_node(kind, self.tailnet, lab.host("f"), "faced")
        self.health = set()
        self.failures = []

    def step(self, name, action):
        try:
            action(self)
        except (LabError, OSError, AssertionError) as error:
            self.failures.append(f"{name} with {self.faced.kind}: {error}")
        self.health.update(normalise(line) for line in self.watcher.status().get("Health") or [])

    def lines(self):
        return {normalise(line) for line in self.watcher.log().splitlines()}


def begin(side):
    for node in (side.watcher, side.faced):
        node.start()
        node.up()
    side.watcher.wait_peer(side.faced)


def pings(side):
    side.watcher.ping(side.faced, count=2)
    side.faced.ping(side.watcher, count=2)
    side.watcher.icmp(side.faced.ip4)
    side.faced.icmp(side.watcher.ip6)


def bulk(side):
    transfer(side.watcher, side.faced, 20)
    transfer(side.faced, side.watcher, 20)


def restart(side):
    side.faced.stop()
    side.faced.start()
    side.faced.wait_running()


def killed(side):
    side.faced.kill9()
    side.faced.start()
    side.faced.wait_running()


def down_and_up(side):
    side.faced.down()
    time.sleep(3)
    side.faced.up()


def logout_and_in(side):
    side.faced.logout()
    time.sleep(3)
    side.faced.up()
    side.watcher.wait_peer(side.faced)


def trickle(sides, seconds):
    """An echo a second each way in both tailnets."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for side in sides:
            for near, far in ((side.watcher, side.faced_ip), (side.faced, side.watcher_ip)):
                near.icmp(far, count=1, check=False)
        time.sleep(1)


def script(sides, tap):
    def step(name, action):
        tap.note(f"{time.monotonic() - started:5.0f} s {name}")
        for side in sides:
            side.step(name, action)

    started = time.monotonic()
    step("begin", begin)
    for side in sides:
        side.faced_ip, side.watcher_ip = side.faced.ip4, side.watcher.ip4
    step("pings", pings)
    step("bulk", bulk)
    for n in range(2):
        step("UDP blocked", lambda side: side.lab.block_udp(side.watcher.host, side.faced.host))
        trickle(sides, 15)
        step("pings by relay", pings)
        step("UDP allowed", lambda side: side.lab.unblock_udp(side.watcher.host, side.faced.host))
        trickle(sides, 12)
        step("pings", pings)
    tap.note("rekeys")
    trickle(sides, 130)
    step("restart", restart)
    trickle(sides, 5)
    step("down and up", down_and_up)
    trickle(sides, 5)
    step("killed and started", killed)
    trickle(sides, 5)
    time.sleep(20)
    step("logout and in", logout_and_in)
    step("pings", pings)
    step("cable cut", lambda side: side.lab.cut(side.faced.host))
    trickle(sides, 8)
    step("cable back", lambda side: side.lab.mend(side.faced.host))
    trickle(sides, 15)
    step("pings", pings)


def main():
    kind = chosen_pairs(("official/warren",))[0][1]
    tap = Tap(f"unnoticed: {kind}", timeout=600)
    with Lab() as one, Lab() as two:
        sides = Side(one, kind), Side(two, "official")
        try:
            script(sides, tap)
            for side in sides:
                with tap.test(f"the script ran to its end facing the {side.faced.kind} node"):
                    assert not side.failures, "\n".join(side.failures)
            allowed = reasons("unnoticed-reasons.txt")
            with tap.test("the official node logs nothing of this peer that it does not log of an official one"):
                known = known_lines() | sides[1].lines()
                if "--record" in sys.argv:
                    record(known)
                more = [line for line in sorted(sides[0].lines() - known)
                        if not any(pattern.search(line) for pattern in allowed)]
                assert not more, "\n" + "\n".join(more)
            with tap.test("and has no other health warnings"):
                more = sides[0].health - sides[1].health
                assert not more, more
        finally:
            for side in sides:
                side.tailnet.__exit__()
    tap.finish()


if __name__ == "__main__":
    sys.exit(main())
