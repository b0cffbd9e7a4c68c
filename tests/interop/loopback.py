"""warren-coordinator on the loopback address, and its command socket, without namespaces and without other programs."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from nodes import find_program

NO_INPUT = 0xFFFFFFFF


class Unanswered(Exception):
    """The server went away before it answered."""


class Refused(Exception):
    """The server answered that it will not."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Coordinator:
    """`arguments` go to `serve`; `inside` is a prefix that runs it elsewhere (a namespace)."""

    def __init__(self, folder=None, arguments=(), inside=()):
        self.owned = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="warren-loopback-")
        self.data_dir = os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "coordinator.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.arguments, self.inside = list(arguments), list(inside)
        self.process = None

    def __enter__(self):
        self.launch()
        self.wait()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if self.owned:
            shutil.rmtree(self.folder, ignore_errors=True)

    def launch(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*self.inside, find_program("warren-coordinator"), "serve", "--data-dir", self.data_dir, "--url",
                 self.url, "--listen", f"127.0.0.1:{self.port}", *self.arguments], stdout=log, stderr=log)

    def wait(self, seconds=40):
        """Until it answers; what it said when it ended instead."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("the coordinator ended: " + self.log())
            try:
                self.command("status")
                return
            except (OSError, Unanswered):
                time.sleep(0.01)
        raise AssertionError("the coordinator does not answer: " + self.log())

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])

    def command(self, *words, text=None, timeout=60):
        """The answer to a command; Refused, Unanswered, or an OSError when nobody listens."""
        request = struct.pack("<I", len(words))
        for word in words:
            request += struct.pack("<I", len(word.encode())) + word.encode()
        request += struct.pack("<I", NO_INPUT) if text is None else struct.pack("<I", len(text.encode())) + text.encode()
        answer = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(os.path.join(self.data_dir, "control.sock"))
            try:
                connection.sendall(request)
                while piece := connection.recv(65536):
                    answer += piece
            except (ConnectionError, BrokenPipeError) as error:
                raise Unanswered(str(error)) from error
        if not answer:
            raise Unanswered("no answer")
        if answer[0] != 0:
            raise Refused(answer[1:].decode(errors="replace"))
        return answer[1:].decode()

    def json(self, *words):
        return json.loads(self.command(*words, "--json"))
