#!/usr/bin/python3
"""kill -9 at twenty seeded instants: nothing stays behind that the next start does not repair.

The seed is printed; --seed N replays the same instants.
"""

import random
import subprocess
import sys
import time

from host_state import difference, snapshot
from lab import wait_for
from scenario import run_pairs
from test_exit_node import refused_with
from traffic import Sniffer, of_host

SEED = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 20261123
ROUNDS = 20


def background(node, *arguments):
    """A command whose end nobody waits for."""
    return node.host.popen(node.cli_command() + list(arguments), env=node.environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def prefixes(rng, count):
    return [f"172.{rng.randrange(16, 32)}.{rng.randrange(256)}.0/24" for _ in range(count)]


# Each: (name, what is begun, the longest time in seconds until the kill)
def registering(s, rng):
    s.a.logout()
    background(s.a, "up", f"--login-server={s.control.url}", "--hostname=alpha", "--accept-routes")


def rotating(s, rng):
    background(s.a, "up", "--force-reauth", f"--login-server={s.control.url}", "--hostname=alpha", "--accept-routes")


def map_applied(s, rng):
    s.control("synth", Count=rng.randrange(1, 300))


def routes(s, rng):
    s.control("routes", Node="beta", Routes=["0.0.0.0/0", "::/0", *prefixes(rng, 60)])


def starting(s, rng):
    s.a.stop()
    s.a.launch()


def exit_node_switched(s, rng):
    background(s.a, "set", f"--exit-node={rng.choice([s.b.ip4, ''])}")


def state_written(s, rng):
    background(s.a, "set", f"--hostname=alpha-{rng.randrange(1000)}")


def stopping(s, rng):
    s.a.process.terminate()


def going_down(s, rng):
    background(s.a, "down")


INSTANTS = [(registering, 0.4), (rotating, 0.3), (map_applied, 0.1), (routes, 0.15), (starting, 0.5),
            (exit_node_switched, 0.2), (state_written, 0.1), (stopping, 0.2), (going_down, 0.2)]


def comes_back(s, machine):
    """After a kill: the next start is Running by itself or after another `up`, with the same identity."""
    a = s.a
    a.abandon()  # nothing to do but after a round that failed half way
    if a.process is not None:
        a.process.wait(30)
    a.start()
    wait_for(lambda: a.state() in ("Running", "Stopped", "NeedsLogin"), 20, "a settled state")
    if a.state() != "Running":
        a.up("--accept-routes")
    a.wait_running()
    assert s.control.node("beta"), "the control server lost a node"
    nodes = [n for n in s.control("nodes") if n["Machine"] == machine]
    assert any(a.ip4 in address for n in nodes for address in n["Addresses"]), "another machine key"
    wait_for(lambda: a.icmp(s.b.ip4, count=1, check=False), 15, "echoes come back")


def scenario(s):
    a, b = s.a, s.b
    rng = random.Random(SEED)
    s.tap.note(f"seed {SEED}")
    web = s.lab.server("web", "20.99.0", "2a00:77:99")
    before = snapshot(a.host)
    b.start().up()
    b.set("--advertise-exit-node")
    s.control("routes", Node="beta", Routes=["0.0.0.0/0", "::/0"])
    a.start()
    a.up("--accept-routes")
    a.wait_peer(b, lambda p: p and p.get("ExitNodeOption"), what="offers to be an exit node")
    machine = s.control.node("alpha")["Machine"]

    with s.test("a clean stop leaves the host as it was before the first start"):
        a.stop()
        assert not difference(before, snapshot(a.host)), difference(before, snapshot(a.host))
    with s.test("killed with an exit node selected: blocked until --cleanup, then as before the first start"):
        a.start()
        a.wait_running()
        a.set(f"--exit-node={b.ip4}")
        wait_for(lambda: a.peer(b)["ExitNode"], 5, "the exit node is in use")
        with Sniffer(s.lab.core, a.host.uplink, of_host(web)) as sniffer:
            a.kill9()
            errors = refused_with(a.host, web, 4), refused_with(a.host, web, 6)
            assert errors == ("EHOSTUNREACH", "EHOSTUNREACH"), errors
        assert not sniffer.packets, sniffer.packets[:3]
        a.cleanup()
        assert not difference(before, snapshot(a.host)), difference(before, snapshot(a.host))
    for n in range(ROUNDS):
        begin, longest = INSTANTS[n % len(INSTANTS)]
        delay = rng.uniform(0, longest)
        with s.test(f"killed {delay * 1000:.0f} ms into {begin.__name__}, the next start repairs everything"):
            comes_back(s, machine)
            begin(s, rng)
            time.sleep(delay)
            a.kill9()
            assert a.tun not in [link["ifname"] for link in a.host.ip_json("link", "show")], "the device is there"
            comes_back(s, machine)
            a.stop()
            assert not difference(before, snapshot(a.host)), difference(before, snapshot(a.host))


if __name__ == "__main__":
    run_pairs("kill -9 at any instant", scenario, timeout=400, pairs=("warren/official",))
