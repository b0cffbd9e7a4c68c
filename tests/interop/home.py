"""A tailnet of our own: warren-coordinator with its relay and STUN on one host of the NAT laboratory.

    with Lab() as lab, Home(lab) as tailnet:
        key = tailnet.run("keys", "create", "--reusable").strip()
"""

import json
import os
import shutil
import subprocess
import tempfile

from lab import Names, peers_folder, tail, wait_for
from natlab import LabError, run
from nodes import find_program


class Home:
    """Looks like lab.Tailnet to the nodes; `url` is what they log in to."""

    def __init__(self, lab, official=True):
        self.lab = lab
        self.bin = peers_folder() if official else None
        self.dir = tempfile.mkdtemp(prefix="warren-lab-")
        os.chmod(self.dir, 0o711)
        self.nodes = []
        self.ca_file = None
        self.host = lab.server("home", "10.77.0", "2a00:77:7700")
        self.names = Names(lab.server("names", "10.77.53"), {"home.lab": [self.host.ip4]})
        self.data_dir = os.path.join(self.dir, "data")
        self.url = f"http://{self.host.ip4}:8080"
        self.control = self  # nodes ask their tailnet's control for its url
        self.process = None
        self.options = []  # more options of serve

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.names.close()
        for node in self.nodes:
            node.abandon()
        self.lab.close()
        if os.environ.get("WARREN_KEEP_LOGS"):
            print(f"# logs are in {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        command = [find_program("warren-coordinator"), "serve", "-v", "--data-dir", self.data_dir, "--url", self.url,
                   "--listen", f"{self.host.ip4}:8080", "--relay-url", f"https://{self.host.ip4}:8443",
                   "--relay-listen", f"{self.host.ip4}:8443", "--stun-port", "3478", *self.options]
        with open(os.path.join(self.dir, "coordinator.log"), "a") as log:
            self.process = self.host.popen(command, stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: self.answers() or self.process.poll() is not None, 10, "the coordinator answers")
        if self.process.poll() is not None:
            raise LabError("the coordinator ended: " + self.log())

    def stop(self, kill=False):
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(60)

    def log(self):
        return tail(os.path.join(self.dir, "coordinator.log"))

    def answers(self):
        return subprocess.run([find_program("warren-coordinator"), "--data-dir", self.data_dir, "status"],
                              capture_output=True, check=False).returncode == 0

    def node(self, name):
        """What the coordinator knows of a device, None when it knows none."""
        return next((node for node in self.json("nodes", "list") if node["name"] == name), None)

    def set_policy(self, text):
        path = os.path.join(self.dir, "policy.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.run("policy", "set", path)

    def run(self, *words):
        return run([find_program("warren-coordinator"), "--data-dir", self.data_dir, *words])

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))
