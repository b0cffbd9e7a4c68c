#!/usr/bin/python3
"""Copies of a network while it changes, and networks made of copies."""
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "natlab"))

from tap import Tap  # noqa: E402  (found through the line above)

PROGRAM = sys.argv[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, folder, name):
        self.dir = os.path.join(folder, name)
        self.port = free_port()
        self.process = None

    def start(self):
        at = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen([PROGRAM, "serve", "--data-dir", self.dir, "--url", f"http://{at}", "--listen", at],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 5
        while self.run("status", check=False).returncode != 0:
            assert time.monotonic() < end and self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.02)
        return self

    def stop(self):
        self.process.terminate()
        assert self.process.wait(5) == 0, self.process.stderr.read()

    def run(self, *words, check=True):
        done = subprocess.run([PROGRAM, "--data-dir", self.dir, *words], capture_output=True, text=True, timeout=30)
        assert not check or done.returncode == 0, (words, done)
        return done

    def json(self, *words):
        return json.loads(self.run(*words, "--json").stdout)

    def key(self):
        with open(os.path.join(self.dir, "server.key"), encoding="ascii") as file:
            return file.read()


def online(tap, folder, server):
    users, stop = [], threading.Event()

    def change():
        while not stop.is_set():
            name = f"user{len(users)}"
            server.run("users", "create", name)
            users.append(name)

    copies = []
    with tap.test("copies of a network that changes all the time are whole, and hold what was answered before"):
        worker = threading.Thread(target=change)
        worker.start()
        try:
            for i in range(8):
                path, before = os.path.join(folder, f"copy{i}"), len(users)
                server.run("backup", path)
                copies.append((path, before))
        finally:
            stop.set()
            worker.join()
        for path, before in copies:
            assert os.stat(path).st_mode & 0o777 == 0o600
            database = sqlite3.connect(path)
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            names = {json.loads(value)["login"]
                     for (value,) in database.execute("SELECT value FROM record WHERE kind = 'user'")}
            assert set(users[:before]) <= names, (path, before, len(names))
            files = {name for (name,) in database.execute("SELECT name FROM record WHERE kind = 'file'")}
            assert "server.key" in files, files
            database.close()
        tap.note(f"{len(users)} changes meanwhile, {copies[-1][1]} in the last copy at least")
    with tap.test("a file that is there is not written over, and no rest of a copy stays"):
        assert server.run("backup", copies[0][0], check=False).returncode == 1
        assert not [name for name in os.listdir(server.dir) if name.startswith("backup-")]
    return copies[-1]


def restoring(tap, folder, server, copy):
    path, users = copy
    key = server.key()
    with tap.test("a running server is not restored"):
        done = server.run("restore", path, check=False)
        assert done.returncode == 1 and "runs" in done.stderr, done
    server.run("users", "create", "later")
    server.stop()
    with tap.test("another folder becomes the same network, with its key"):
        other = Server(folder, "other")
        other.run("restore", path)
        other.start()
        assert other.key() == key
        assert len(other.json("users", "list")) > users
        assert "later" not in other.run("users", "list").stdout
        other.stop()
    with tap.test("what was there before is kept aside, whole"):
        done = server.run("restore", path)
        aside = done.stdout.split()[-1]
        assert sqlite3.connect(os.path.join(aside, "coordinator.db")).execute(
            "SELECT count(*) FROM record WHERE value LIKE '%\"later\"%'").fetchone() == (1,)
        server.start()
        assert "later" not in server.run("users", "list").stdout and server.key() == key
        server.stop()
        assert "incoming.db" not in os.listdir(server.dir), os.listdir(server.dir)


def refusing(tap, folder, server, copy):
    def changed(name, *sql):
        path = os.path.join(folder, name)
        shutil.copy(copy[0], path)
        database = sqlite3.connect(path)
        for line in sql:
            database.execute(line)
        database.commit()
        database.close()
        return path

    torn = os.path.join(folder, "torn")
    with open(copy[0], "rb") as whole, open(torn, "wb") as part:
        data = bytearray(whole.read())
        data[len(data) // 2:len(data) // 2 + 4096] = os.urandom(4096)
        part.write(data)
    text = os.path.join(folder, "text")
    with open(text, "w", encoding="ascii") as file:
        file.write("no database at all, but long enough to look like one\n" * 100)
    bad = {
        "a damaged copy": torn,
        "another file": text,
        "no file": os.path.join(folder, "nowhere"),
        "a copy of a newer version": changed("newer", "PRAGMA user_version = 77"),
        "a record that cannot be read": changed("record", "UPDATE record SET value = '{\"id\":' WHERE kind = 'user'"),
        "a copy without the server's key": changed("keyless", "DELETE FROM record WHERE name = 'server.key'"),
    }
    for what, path in bad.items():
        with tap.test(f"{what} changes nothing"):
            before = sorted(os.listdir(server.dir)), os.stat(os.path.join(server.dir, "coordinator.db")).st_mtime_ns
            done = server.run("restore", path, check=False)
            assert done.returncode == 1 and path in done.stderr, done
            after = sorted(os.listdir(server.dir)), os.stat(os.path.join(server.dir, "coordinator.db")).st_mtime_ns
            assert before == after, (before, after)
    with tap.test("the network is still what it was"):
        server.start()
        assert len(server.json("users", "list")) > copy[1]
        server.stop()


def main():
    tap = Tap("copies of a network", timeout=100)
    folder = tempfile.mkdtemp(prefix="warren-backup-")
    server = Server(folder, "first").start()
    try:
        copy = online(tap, folder, server)
        restoring(tap, folder, server, copy)
        refusing(tap, folder, server, copy)
    finally:
        if server.process.poll() is None:
            server.process.kill()
        shutil.rmtree(folder)
    tap.finish()


main()
