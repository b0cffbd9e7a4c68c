#!/usr/bin/python3
"""Throws boundary, wrong and oversized values at every method of the contract, at a living daemon.

As root everything may happen but a crash. As a user that polkit (which is not there) refuses, nothing at all may
change. WARREN_FUZZ_SEED repeats a run; WARREN_FUZZ_ROUNDS says how many values each method gets.
"""
import os
import random
import re
import xml.etree.ElementTree as ElementTree

import harness
from harness import MANAGER, PREFIX, Caller, Stage, Tap, create_session

harness.isolate()

SEED = int(os.environ.get("WARREN_FUZZ_SEED", "1"))
ROUNDS = int(os.environ.get("WARREN_FUZZ_ROUNDS", "40"))
STRANGER = 5
BROKEN = re.compile("Sanitizer|runtime error|CRITICAL")
KEYS = ["AuthKey", "Force", "AcceptServerKey", "Hostname", "Tags", "Ephemeral", "Preferences", "Peers", "Locale",
        "AcceptDns", "AcceptRoutes", "ShieldsUp", "ExitNode", "ExitNodeAllowLan", "AutoConnect", "Port", "Proxy", "Mtu",
        "AdvertiseRoutes", "RunSsh", "", "ü", "x" * 300]
TEXTS = ["", "x", "auto:any", "100.64.0.1", "fd7a:115c:a1e0::1", "nodekey:" + "0" * 64, "https://127.0.0.1:1",
         "http://127.0.0.1:9", "file:///etc/passwd", "../../etc", "tag:a", "%s%n%s", "\\u0001\\u007f", "ü€😀", "a" * 253,
         "a" * 5000, "a" * 300000, "disco", "tcp", "-" * 64, "127.0.0.1:99999", "[::1]:80", "\\n"]
NUMBERS = {"y": (0, 255), "q": (0, 65535), "u": (0, 2**32 - 1), "t": (0, 2**64 - 1), "x": (-2**63, 2**63 - 1),
           "i": (-2**31, 2**31 - 1)}
NAMES = {"y": "byte", "q": "uint16", "u": "uint32", "t": "uint64", "x": "int64", "i": "int32"}


class Generator:
    """GVariant texts of any type."""

    def __init__(self, seed, session):
        self.random, self.session = random.Random(seed), session

    def number(self, kind):
        low, high = NUMBERS[kind]
        return f"{NAMES[kind]} {self.random.choice([low, high, 0, 1, high // 2, self.random.randint(low, high)])}"

    def text(self):
        return "'" + self.random.choice(TEXTS).replace("'", "") + "'"

    def any(self, depth):
        kind = self.random.choice(["s", "b", "u", "q", "x", "as", "a{sv}"] if depth < 6 else ["s", "b", "u"])
        return self.value(kind, depth + 1)

    def value(self, kind, depth=0):
        if kind in NUMBERS:
            return self.number(kind)
        if kind == "b":
            return self.random.choice(["true", "false"])
        if kind == "s":
            return self.text()
        if kind == "o":
            paths = [self.session, "/", MANAGER, self.session + "0", "/org/warrenvpn/Daemon1/Session/" + "0" * 200]
            return f"objectpath '{self.random.choice(paths)}'"
        if kind == "v":
            return f"<{self.any(depth)}>"
        if kind == "a{sv}":
            pairs = [f"'{key}': <{self.any(depth)}>"
                     for key in self.random.sample(KEYS, self.random.choice([0, 1, 1, 2, 5, len(KEYS)]))]
            return f"@a{{sv}} {{{', '.join(pairs)}}}"
        if kind.startswith("a"):
            items = [self.value(kind[1:], depth + 1) for _ in range(self.random.choice([0, 1, 3, 100]))]
            return f"@{kind} [{', '.join(items)}]"
        raise AssertionError(f"the interface has a type that this program cannot make: {kind}")

    def arguments(self, kinds):
        if self.random.random() < 0.15:  # not what the method takes
            kinds = self.random.choice([[], kinds + ["s"], ["u"] * len(kinds), ["s"] * len(kinds), ["a{sv}"]])
        values = [self.value(kind) for kind in kinds]
        return "(" + ", ".join(values) + ("," if len(values) == 1 else "") + ")"


def methods():
    for interface in ElementTree.parse(harness.XML).getroot().iter("interface"):
        for method in interface.iter("method"):
            kinds = [a.get("type") for a in method.iter("arg") if a.get("direction") == "in"]
            yield interface.get("name").removeprefix(PREFIX + "."), method.get("name"), kinds


def throw(stage, caller, session, seed, skip=()):
    """Every method, ROUNDS times each. Returns how many calls were answered."""
    answered = 0
    for interface, method, kinds in methods():
        if method in skip:
            continue
        generator = Generator(f"{seed}/{interface}.{method}", session)
        for _ in range(ROUNDS):
            path = harness.path_of(interface, session)
            arguments = generator.arguments(kinds)
            answer = caller.call(path, interface, method, arguments, timeout=30)
            assert stage.daemon.poll() is None, (interface, method, arguments[:500], stage.log("daemon")[-4000:])
            assert "NoReply" not in answer.get("error", ""), (interface, method, arguments[:500], answer)
            answered += 1
    return answered


def main():
    tap = Tap(f"values thrown at the bus, seed {SEED}", timeout=400)
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("daemon")[-6000:])
        stage.start_daemon()
        session = create_session(stage.caller(0))
        stage.caller(0).call(session, "Session", "Disconnect")
        harness.create_network(stage.caller(0))
        with tap.test("a user who may do nothing changes nothing, whatever the values"):
            before = stage.identity_hash(), stage.caller(0).value(session, "Session", "Preferences")
            tap.note(f"{throw(stage, Caller(stage.address, STRANGER), session, SEED)} calls")
            assert (stage.identity_hash(), stage.caller(0).value(session, "Session", "Preferences")) == before
        with tap.test("root's values never stop the daemon"):
            tap.note(f"{throw(stage, stage.caller(0), session, SEED, skip=('RemoveSession', 'Delete', 'Stop'))} calls")
            tap.note(f"{throw(stage, stage.caller(0), session, SEED + 1)} calls")
        with tap.test("it still answers, remembers and stops cleanly"):
            assert "value" in stage.caller(0).get(MANAGER, "Manager", "Sessions")
            assert stage.stop_daemon() == 0, stage.log("daemon")[-4000:]
            log = stage.log("daemon").splitlines()
            broken = [n for n, line in enumerate(log) if BROKEN.search(line)]
            assert not broken, "\n".join(line[:500] for line in log[max(broken[0] - 3, 0):broken[0] + 40])
            stage.start_daemon()
            assert stage.stop_daemon() == 0
    tap.finish()


main()
