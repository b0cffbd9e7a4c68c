#!/usr/bin/python3
"""kill -9 of the coordinator at two hundred seeded instants under load: nothing acknowledged is lost, nothing is half.

    test_coordinator_crash.py [--seed N] [--rounds N]

Writers change keys, devices, users, routes, the policy and DNS through the command socket, each only what is its own,
and note what was begun and what was acknowledged; devices register through the protocol. After each restart
everything must be as its last acknowledged change left it, or as the change left it that was under way.
"""

import argparse
import json
import random
import sqlite3
import subprocess
import tempfile
import threading
import time

from loopback import Coordinator, Refused, Unanswered
from nodes import find_program

WRITERS = 3
LONGEST = 0.12  # seconds of load before a kill
ADDRESSES_AT_START = 6


class Ledger:
    """What one writer knows of its own things: {thing: [values that it may have]}."""

    def __init__(self):
        self.values = {}

    def known(self, thing):
        return self.values[thing][0] if thing in self.values else None

    def change(self, thing, value, act):
        """Runs ACT, which makes THING be VALUE; None: gone. Passes on that the server went away."""
        before = self.known(thing)
        self.values[thing] = [before, value]
        try:
            act()
        except Refused:
            self.values[thing] = [before]
            raise
        self.values[thing] = [value]

    def settle(self, found):
        """After a restart: {thing: value or None} must be among what may be; returns what is wrong."""
        wrong = []
        for thing, allowed in self.values.items():
            value = found.get(thing)
            if value not in allowed:
                wrong.append(f"{thing} is {value}, but was acknowledged as one of {allowed}")
            self.values[thing] = [value]
        return wrong


class Writer(threading.Thread):
    def __init__(self, server, number, ledger, seed, devices):
        super().__init__(daemon=True)
        self.server, self.number, self.ledger = server, number, ledger
        self.random = random.Random(seed)
        self.devices = devices
        self.done, self.error = 0, None

    def run(self):
        try:
            while True:
                self.random.choice([self.create_key, self.revoke_key, self.create_user, self.set_policy, self.rename,
                                    self.tag, self.approve_routes, self.set_dns])()
                self.done += 1
        except (OSError, Unanswered):
            return  # killed
        except Exception as error:  # noqa: BLE001 what a thread dies of must be told
            self.error = error

    def create_key(self):
        """The key's id is known only with the answer: one that nobody was told may be there as well."""
        options = self.random.sample(["--reusable", "--ephemeral", "--expires=24h"], self.random.randint(0, 2))
        answer = json.loads(self.server.command("keys", "create", "--json", *options))
        self.ledger.values[("key", answer["id"])] = ["valid"]

    def revoke_key(self):
        keys = [thing for thing in self.ledger.values if thing[0] == "key" and self.ledger.known(thing) == "valid"]
        if keys:
            thing = self.random.choice(keys)
            self.ledger.change(thing, "revoked", lambda: self.server.command("keys", "revoke", thing[1]))

    def create_user(self):
        name = f"w{self.number}-{self.random.randrange(10**9)}@example.com"
        self.ledger.change(("user", name), "member", lambda: self.server.command("users", "create", name))

    def set_policy(self):
        if self.number == 0:
            text = '{"tagOwners": {"tag:a": [], "tag:b": []}, // ' + str(self.random.randrange(10**9)) + "\n}\n"
            self.ledger.change(("policy",), text, lambda: self.server.command("policy", "set", text=text))

    def set_dns(self):
        if self.number == 1:
            address = f"10.0.{self.random.randrange(250)}.53"
            self.ledger.change(("dns",), address, lambda: self.server.command("dns", "set", address))

    def device(self):
        return self.random.choice(self.devices) if self.devices else None

    def rename(self):
        key = self.device()
        if key and (old := self.ledger.known(("name", key))):
            new = f"w{self.number}-n{self.random.randrange(10**9)}"
            self.ledger.change(("name", key), new, lambda: self.server.command("nodes", "rename", old, new))

    def tag(self):
        key = self.device()
        if key and (name := self.ledger.known(("name", key))):
            tags = self.random.choice(["tag:a", "tag:b", "tag:a,tag:b"])
            self.ledger.change(("tags", key), tags, lambda: self.server.command("nodes", "tag", name, tags))

    def approve_routes(self):
        key = self.device()
        if key and (name := self.ledger.known(("name", key))):
            routes = sorted({f"10.{self.random.randrange(200)}.0.0/16" for _ in range(2)})
            self.ledger.change(("routes", key), routes,
                               lambda: self.server.command("routes", "approve", name, *routes))


def register(server, folder, name, key):
    """A device joins by the protocol; (process, node key or None)."""
    return subprocess.Popen([find_program("control-probe"), server.url, "--auth-key", key, "--hostname", name,
                             "--state", f"{folder}/{name}", "--seconds", "5"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def found_now(server):
    """Everything that a ledger may ask for."""
    found = {}
    for key in server.json("keys", "list"):
        found[("key", key["id"])] = key["state"]
    for user in server.json("users", "list"):
        found[("user", user["login"])] = user["role"]
    for node in server.json("nodes", "list"):
        if "pending" not in node:
            found[("name", node["nodeKey"])] = node["name"]
            found[("tags", node["nodeKey"])] = ",".join(node["tags"])
            found[("routes", node["nodeKey"])] = sorted(node["approvedRoutes"])
    found[("policy",)] = server.command("policy", "get")
    found[("dns",)] = ",".join(server.json("dns", "get")["nameservers"])
    return found


class Joiner(threading.Thread):
    """One device that registers by a one-shot key while the server dies."""

    def __init__(self, server, folder, number):
        super().__init__(daemon=True)
        self.server, self.folder, self.name = server, folder, f"joiner-{number}"
        self.key_id, self.registered, self.process = None, False, None

    def run(self):
        try:
            answer = json.loads(self.server.command("keys", "create", "--json"))
        except (OSError, Unanswered):
            return
        self.key_id = answer["id"]
        self.process = register(self.server, self.folder, self.name, answer["key"])
        for line in self.process.stdout:
            if " registered " in line:
                self.registered = True
                break
        self.process.kill()
        self.process.wait()

    def wrong(self, server):
        """A node without its key used, or the other way round, would be half a registration."""
        if not self.key_id:
            return []
        state = {key["id"]: key["state"] for key in server.json("keys", "list")}.get(self.key_id)
        there = any(node["name"] == self.name and "pending" not in node for node in server.json("nodes", "list"))
        wrong = []
        if there != (state == "used"):
            wrong.append(f"{self.name} is {'' if there else 'not '}there and its key is {state}")
        if self.registered and not there:
            wrong.append(f"{self.name} was told that it is registered, and is not there")
        return wrong


def setting_up(server, folder):
    """Devices that the writers share out among themselves, by node key."""
    server.command("policy", "set", text='{"tagOwners": {"tag:a": [], "tag:b": []}}')
    key = server.command("keys", "create", "--reusable").strip()
    probes = [register(server, folder, f"device-{n}", key) for n in range(ADDRESSES_AT_START)]
    for probe in probes:
        for line in probe.stdout:
            if " registered " in line:
                break
        probe.kill()
        probe.wait()
    return sorted(node["nodeKey"] for node in server.json("nodes", "list"))


def run_round(server, number, rng, ledgers, devices, folder):
    """Load, kill, restart, check. What is wrong."""
    writers = [Writer(server, n, ledgers[n], rng.random(), devices[n::WRITERS]) for n in range(WRITERS)]
    joiner = Joiner(server, folder, number) if number % 4 == 0 else None
    for thread in writers + ([joiner] if joiner else []):
        thread.start()
    time.sleep(rng.uniform(0, LONGEST) + (0.15 if joiner else 0))
    server.kill()
    if joiner and joiner.process:
        joiner.process.kill()
    for thread in writers + ([joiner] if joiner else []):
        thread.join(10)
    wrong = [f"a writer: {w.error!r}" for w in writers if w.error]
    if number % 10 == 0:  # the start itself dies, too
        server.launch()
        time.sleep(rng.uniform(0, 0.03))
        server.kill()
    if number % 20 == 0:
        with sqlite3.connect(f"file:{server.data_dir}/coordinator.db?mode=ro", uri=True) as database:
            verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            wrong.append("the database: " + verdict)
    server.launch()
    server.wait()
    found = found_now(server)
    for ledger in ledgers:
        wrong += ledger.settle(found)
    if joiner:
        wrong += joiner.wrong(server)
    return sum(w.done for w in writers), wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    print("1..1", flush=True)
    print(f"# seed {options.seed}", flush=True)
    ledgers = [Ledger() for _ in range(WRITERS)]
    changes, failures, started = 0, [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="warren-probes-") as folder, Coordinator() as server:
        devices = setting_up(server, folder)
        found = found_now(server)
        for n, key in enumerate(devices):
            for what in ("name", "tags", "routes"):
                ledgers[n % WRITERS].values[(what, key)] = [found[(what, key)]]
        for number in range(options.rounds):
            done, wrong = run_round(server, number, rng, ledgers, devices, folder)
            changes += done
            failures += [f"round {number}: {text}" for text in wrong]
            if failures:
                break
    for text in failures[:10]:
        print(text, file=sys.stderr)
    print(f"# {changes} acknowledged changes in {time.monotonic() - started:.0f} s")
    print(f"{'not ok' if failures else 'ok'} 1 - /coordinator/{options.rounds}-kills-lose-nothing-acknowledged")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
