#!/usr/bin/python3
"""A full disk under the coordinator: a clear error, nothing lost, map streams go on, and it recovers when there is room.

The data directory is a small tmpfs in a mount namespace of the test's own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

from loopback import Coordinator, Refused
from ts2021 import Session, map_request, registration, server_key

INSIDE = "--inside"
SIZE = "4m"


def fill(folder):
    """Takes every byte that is left."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return path


def wait_until(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def create_key(server):
    return json.loads(server.command("keys", "create", "--json"))["id"]


def keys(server):
    return {key["id"] for key in server.json("keys", "list")}


def takes_changes(server):
    try:
        server.command("users", "create", f"user{time.monotonic_ns()}@example.com")
        return True
    except Refused:
        return False


class Scene:
    def __init__(self, server):
        self.server = server
        self.key = server_key(server.url)
        self.auth = server.command("keys", "create", "--reusable").strip()
        self.acknowledged = {create_key(server) for _ in range(5)}
        self.node, self.other, self.machine = os.urandom(32), os.urandom(32), os.urandom(32)
        self.sessions = []
        for private, machine in ((self.node, os.urandom(32)), (self.other, self.machine)):
            session = self.connect(machine)
            assert session.request("/machine/register", registration(private, self.auth))[0] == 200
        self.stream = self.sessions[0].begin("/machine/map", map_request(self.node))
        self.sessions[0].first_bytes(self.stream)

    def connect(self, machine):
        session = Session("127.0.0.1", self.server.port, self.key, machine)
        self.sessions.append(session)
        return session

    def stream_tells(self, port):
        """The other device has another endpoint, and the open stream says so."""
        status, _ = self.connect(self.machine).request(
            "/machine/map", map_request(self.other, False, Endpoints=[f"192.0.2.9:{port}"], OmitPeers=True))
        assert status == 200, f"a light update was answered with {status}"
        answer = self.sessions[0].answers[self.stream]
        while f"192.0.2.9:{port}".encode() not in answer[1]:
            assert not answer[2], "the stream ended"
            self.sessions[0].step()

    def full(self):
        self.filler = fill(self.server.data_dir)
        try:
            while True:
                self.acknowledged.add(create_key(self.server))
        except Refused as error:
            assert "full" in str(error), error

    def refuses_changes_with_a_reason(self):
        for words in (("keys", "create"), ("users", "create", "zoe@example.com"), ("nodes", "remove", "by-hand")):
            try:
                self.server.command(*words)
                raise AssertionError(f"{words} was acknowledged")
            except Refused as error:
                assert "full" in str(error) and "nothing was changed" in str(error), error
        status, text = self.connect(os.urandom(32)).request("/machine/register", registration(os.urandom(32), self.auth))
        assert status == 503 and b"full" in text, (status, text)
        assert "full" in self.server.log()

    def reads_and_streams_go_on(self):
        assert len(self.server.json("nodes", "list")) == 2
        assert self.acknowledged <= keys(self.server)
        with urllib.request.urlopen(self.server.url + "/health", timeout=5) as answer:
            assert answer.status == 200
        self.stream_tells(4001)
        self.stream_tells(4002)

    def a_post_is_turned_away(self):
        try:
            urllib.request.urlopen(self.server.url + "/register/x", data=b"a=b", timeout=5)
            raise AssertionError("a page took a change")
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.code

    def recovers_without_a_restart(self):
        os.unlink(self.filler)
        wait_until(lambda: takes_changes(self.server))
        self.acknowledged.add(create_key(self.server))
        self.stream_tells(4003)
        self.acknowledged |= keys(self.server)  # what waited is kept by now, too

    def nothing_acknowledged_is_lost(self):
        self.server.kill()
        self.server.launch()
        self.server.wait()
        assert self.acknowledged == keys(self.server), self.acknowledged ^ keys(self.server)
        assert len(self.server.json("nodes", "list")) == 2

    def killed_while_full_it_has_what_was_acknowledged(self):
        self.full()
        self.server.kill()
        self.server.launch()
        try:
            self.server.wait()
        except AssertionError as error:  # it may say that it cannot, and why
            assert "full" in str(error) or "space" in str(error), error
            os.unlink(self.filler)
            self.server.launch()
            self.server.wait()
        found = keys(self.server)
        assert self.acknowledged <= found, self.acknowledged - found


def inside():
    checks = ["full", "refuses_changes_with_a_reason", "reads_and_streams_go_on", "a_post_is_turned_away",
              "recovers_without_a_restart", "nothing_acknowledged_is_lost", "killed_while_full_it_has_what_was_acknowledged"]
    print(f"1..{len(checks)}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="warren-disk-") as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + SIZE, "none", data], check=True)
        try:
            with Coordinator(folder) as server:
                scene = Scene(server)
                for number, name in enumerate(checks, 1):
                    try:
                        getattr(scene, name)()
                        print(f"ok {number} - /coordinator/disk/{name.replace('_', '-')}", flush=True)
                    except Exception:  # noqa: BLE001 every fault is a failed check
                        failed = True
                        print(f"not ok {number} - /coordinator/disk/{name.replace('_', '-')}")
                        print(name, traceback.format_exc(), server.log()[-600:], file=sys.stderr, flush=True)
        finally:
            subprocess.run(["umount", "-l", data], check=False)
    sys.exit(failed)


if __name__ == "__main__":
    if INSIDE in sys.argv:
        inside()
    if os.geteuid() != 0:
        print("1..0 # SKIP a mount namespace needs root")
        sys.exit(0)
    os.execvp("unshare", ["unshare", "-m", sys.executable, os.path.abspath(__file__), INSIDE])
