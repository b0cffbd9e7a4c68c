#!/usr/bin/python3
"""Official nodes find nothing wrong with our coordinator and relay.

The same script of pings, transfers, path switches, policies, routes, restarts, expiry, logout and removal runs in
three tailnets at once, two official nodes in each: on our coordinator, on the official test control server
(labcontrol), and, for what that one cannot do, on the server built from official parts (labregister), the latter two
with the official relay. What the nodes log (without names, numbers, addresses and keys) and their health warnings on
ours may contain no error that they do not also tell on one of the others, in this run or in one of those whose lines
are in official-lines.txt (what a node says depends on chance, above all on a busy machine; --record adds to that file).
Errors that remain need a reason in home-log-reasons.txt; other lines are only noted.
"""

import json
import re
import sys
import threading
import time

from home import Home
from lab import Lab, Tailnet, Tap, wait_for
from nodes import make_node
from test_unnoticed import known_lines, normalise, reasons, record
from traffic import connects, is_shut, reaches, transfer

ONLY_22 = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"]}]}'
ALLOW_ALL = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}'
ERROR = re.compile(r"err|fail|warn|unexpected|invalid|unknown|cannot|could not|unable|bad|broken|refused|denied|reset"
                   r"|timed? ?out|deadline|mismatch|malformed|unsupported|missing|EOF|panic|closing", re.IGNORECASE)
SUBNET = ["192.168.60.0/24", "192.168.61.0/24"]


class Ours:
    """Our coordinator and relay."""

    name = "ours"

    def __init__(self, lab):
        self.tailnet = Home(lab).__enter__()
        self.key = self.tailnet.run("keys", "create", "--reusable").strip()

    def set_filter(self, only_22):
        self.tailnet.set_policy(ONLY_22 if only_22 else ALLOW_ALL)

    def routes(self, node, routes):
        self.tailnet.run("routes", "approve", node.name, *routes)

    def rename(self, node, name):
        self.tailnet.run("nodes", "rename", node.name, name)

    def expire(self, node):
        self.tailnet.run("nodes", "expire", node.name)

    def remove(self, node):
        self.tailnet.run("nodes", "remove", node.name)

    def restart(self, kill):
        self.tailnet.stop(kill=kill)
        self.tailnet.start()


class Official:
    """An official control server with the official relay."""

    key = None

    def __init__(self, lab, server):
        self.name = server
        self.tailnet = Tailnet(lab, server=server).__enter__()
        if server == "labregister":
            self.tailnet.control("mode", open=True)

    def set_filter(self, only_22):
        rule = {"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 22, "Last": 22}}], "IPProto": [6]}
        self.tailnet.control("filter", **({"Rules": [rule]} if only_22 else {}))

    def routes(self, node, routes):
        self.tailnet.control("routes", Node=node.name, Routes=routes)

    def rename(self, node, name):
        full = self.tailnet.control.node(node.name)["Name"]
        self.tailnet.control("node", Node=node.name, Name=name + full[full.index("."):] if "." in full else name)

    def expire(self, node):
        if self.name == "labregister":
            self.tailnet.control("expire", node=node.name)
        else:
            self.tailnet.control("node", Node=node.name, Expire=True)

    def remove(self, node):
        self.tailnet.control("remove", Node=node.name)

    def restart(self, kill):
        self.tailnet.control.stop(kill=kill)
        self.tailnet.relays[0].stop(kill=kill)
        self.tailnet.relays[0].start()
        self.tailnet.control.start()


class Side:
    """One tailnet with its two nodes."""

    def __init__(self, lab, server):
        self.lab, self.server = lab, server
        self.a, self.b = (make_node("official", server.tailnet, lab.host(name), full)
                          for name, full in (("a", "alpha"), ("b", "beta")))
        self.nodes = (self.a, self.b)
        self.health, self.failures = {}, []
        self.up_s = []  # how long each `up` took

    def step(self, name, action):
        try:
            action(self)
        except Exception as error:  # the script goes on; the test fails at its end
            self.failures.append(f"{name} on {self.server.name}: {error!r}")
        for node in self.nodes:
            for line in node.status().get("Health") or []:
                self.health.setdefault(normalise(line), name)

    def up(self, node):
        started = time.monotonic()
        node.up(auth_key=self.server.key)
        self.up_s.append(time.monotonic() - started)

    def lines(self):
        return {normalise(line) for node in self.nodes for line in node.log().splitlines()}


def begin(side):
    for node in side.nodes:
        node.start()
        side.up(node)
    side.a.wait_peer(side.b)
    side.b.wait_peer(side.a)


def pings(side):
    side.a.ping(side.b, count=2)
    side.b.ping(side.a, count=2)
    side.a.icmp(side.b.ip4)
    side.b.icmp(side.a.ip6)


def bulk(side):
    transfer(side.a, side.b, 10)
    transfer(side.b, side.a, 10)


def is_content(report):
    return "UDP: true" in report and "Nearest DERP" in report and "unknown" not in report


def questions(side):
    """What the command line of an official node asks."""
    a, b = side.a, side.b
    wait_for(lambda: is_content(a.cli("netcheck").stdout), 20, "netcheck finds the relay")
    assert f"{b.ip4}" in a.cli("whois", b.ip4).stdout
    assert "pong" in a.cli("ping", "--tsmp", "-c=1", "--timeout=30s", b.ip4).stdout
    assert "pong" in a.cli("ping", "--icmp", "-c=1", "--timeout=30s", b.ip4).stdout
    region = next(iter(json.loads(a.cli("debug", "derp-map").stdout)["Regions"].values()))
    derp = a.cli("debug", "derp", region["RegionCode"]).stdout
    assert side.server.name != "ours" or "Successfully established a DERP connection" in derp, derp
    a.cli("status", "--peers", "--active")
    a.cli("dns", "status")
    a.cli("debug", "netmap")
    a.cli("debug", "prefs")
    a.cli("metrics")


def only_22(side):
    side.server.set_filter(True)
    wait_for(lambda: is_shut(side.a, side.b, 2222), 10, "port 2222 is shut")
    assert reaches(side.a, side.b, 22)


def all_allowed(side):
    side.server.set_filter(False)
    wait_for(lambda: connects(side.a, side.b, 2222, timeout=3), 10, "port 2222 is open")


def subnet(side):
    side.b.set("--advertise-routes=" + ",".join(SUBNET))
    side.a.set("--accept-routes")
    side.server.routes(side.b, SUBNET)
    side.a.wait_peer(side.b, lambda p: p and p.get("PrimaryRoutes"), what="serves a subnet")
    side.server.routes(side.b, [])
    side.b.set("--advertise-routes=")


def exit_node(side):
    side.b.set("--advertise-exit-node")
    side.server.routes(side.b, ["0.0.0.0/0", "::/0"])
    side.a.wait_peer(side.b, lambda p: p and p.get("ExitNodeOption"), what="offers to be an exit node")
    side.a.set(f"--exit-node={side.b.ip4}")
    side.a.icmp(side.b.ip4)
    side.a.set("--exit-node=")
    side.server.routes(side.b, [])
    side.b.set("--advertise-exit-node=false")


def rename(side):
    side.server.rename(side.b, "bravo")
    wait_for(lambda: any(p["DNSName"].startswith("bravo.") for p in side.a.status()["Peer"].values()), 10, "the name")
    side.b.name = "bravo"
    side.server.rename(side.b, "beta")
    side.b.name = "beta"
    side.a.wait_peer(side.b)


def restart_node(side):
    side.b.stop()
    side.b.start()
    side.b.wait_running()


def down_and_up(side):
    side.b.down()
    side.up(side.b)


def expire(side):
    side.server.expire(side.b)
    wait_for(lambda: side.b.state() == "NeedsLogin", 10, "the key has expired")
    side.b.cli("up", "--force-reauth", f"--login-server={side.server.tailnet.control.url}", "--hostname=beta",
               "--accept-dns=false", "--timeout=90s", *([f"--auth-key={side.server.key}"] if side.server.key else []))
    side.a.wait_peer(side.b)
    side.a.icmp(side.b.ip4)


def logout_and_in(side):
    side.b.logout()
    time.sleep(1)
    side.up(side.b)
    side.a.wait_peer(side.b)
    side.a.icmp(side.b.ip4)


def restarted(side, kill=False):
    side.server.restart(kill)


def removed(side):
    side.server.remove(side.b)
    side.a.wait_peer(side.b, lambda p: p is None, what="is gone")


# What each server can show.
EVERY, CONTROL, REGISTER = ("ours", "labcontrol", "labregister"), ("ours", "labcontrol"), ("ours", "labregister")


def script(sides, tap):
    started = time.monotonic()

    def step(name, action, where=EVERY, wait=0, starts=False):
        """An action on every side that can do it, at once, except when it starts programs."""
        chosen = [side for side in sides if side.server.name in where]
        if starts:
            for side in chosen:
                side.step(name, action)
        else:
            threads = [threading.Thread(target=side.step, args=(name, action)) for side in chosen]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        time.sleep(wait)
        tap.note(f"{time.monotonic() - started:5.0f} s {name}")

    step("begin", begin, starts=True)
    step("pings", pings)
    step("bulk", bulk)
    step("questions", questions)
    step("UDP blocked", lambda side: side.lab.block_udp(side.a.host, side.b.host), wait=8)
    step("pings by relay", pings)
    step("UDP allowed", lambda side: side.lab.unblock_udp(side.a.host, side.b.host), wait=6)
    step("only port 22", only_22, CONTROL)
    step("all allowed", all_allowed, CONTROL)
    step("subnet", subnet, CONTROL)
    step("exit node", exit_node, CONTROL)
    step("rename", rename, CONTROL)
    step("restart", restart_node, starts=True)
    step("down and up", down_and_up)
    step("expired and back", expire, REGISTER)
    step("logout and in", logout_and_in, REGISTER)
    step("server and relay restarted", restarted, REGISTER, starts=True)
    step("pings", pings, REGISTER)
    step("server and relay killed", lambda side: restarted(side, True), REGISTER, starts=True)
    step("pings", pings, REGISTER)
    step("removed", removed, wait=3)


def main():
    tap = Tap("the log of official nodes on our coordinator", timeout=300)
    with Lab() as one, Lab() as two, Lab() as three:
        servers = []
        try:
            servers += [Ours(one)]
            servers += [Official(two, "labcontrol")]
            servers += [Official(three, "labregister")]
            sides = [Side(lab, server) for lab, server in zip((one, two, three), servers)]
            script(sides, tap)
            for side in sides:
                with tap.test(f"the script ran to its end on {side.server.name}"):
                    assert not side.failures, "\n".join(side.failures)
            tap.note("seconds until connected: " + ", ".join(f"{s.server.name} {s.up_s[0]:.2f}" for s in sides))
            allowed = reasons("home-log-reasons.txt")
            with tap.test("official nodes log no error on our coordinator that they do not log on an official server"):
                known = known_lines() | sides[1].lines() | sides[2].lines()
                if "--record" in sys.argv:
                    record(known)
                more = [line for line in sorted(sides[0].lines() - known)
                        if not any(pattern.search(line) for pattern in allowed)]
                tap.note("new, but no errors:\n  " + "\n  ".join(line for line in more if not ERROR.search(line)))
                more = [line for line in more if ERROR.search(line)]
                assert not more, "\n" + "\n".join(more)
            with tap.test("and have no other health warnings"):
                more = {line: step for line, step in sides[0].health.items()
                        if line not in sides[1].health and line not in sides[2].health}
                assert not more, more
        finally:
            for server in servers:
                server.tailnet.__exit__()
    tap.finish()


if __name__ == "__main__":
    sys.exit(main())
