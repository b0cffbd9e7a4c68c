"""A tailnet in the NAT laboratory: control server and relays, each on a host of its own.

    with Lab() as lab, Tailnet(lab) as tailnet:
        tailnet.control("routes", Node="exit", Routes=["0.0.0.0/0", "::/0"])
        tailnet.relays[0].stop()

Control is at http://10.77.0.2:8080 (a private address: official clients then never insist on port 443),
relay n at 10.77.n.2, both also by IPv6. The nodes are in nodes.py.
"""

import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "natlab"))

from natlab import Lab, LabError, run  # noqa: E402
from tap import Skip, Tap, skip_all  # noqa: E402,F401


def peers_folder():
    """Where the official programs and our control servers are; ends the test when they cannot be built."""
    if os.geteuid() != 0:
        skip_all("needs root")
    done = subprocess.run([os.path.join(HERE, "peers.sh")], stdout=subprocess.PIPE, text=True, timeout=1800)
    if done.returncode == 77:
        skip_all(done.stdout.strip().removeprefix("skipped: "))
    if done.returncode != 0:
        raise LabError("peers.sh failed")
    return done.stdout.strip()


BROKEN = re.compile(r"Sanitizer|runtime error:|CRITICAL|Assertion|assertion .* failed|SIGABRT|SIGSEGV")


PATIENCE_S = 45  # what takes a moment on a calm machine may take this long on a busy one


def wait_for(predicate, timeout, what):
    """Polls until the predicate gives something true; returns that. The timeout is for a calm machine."""
    began, pause = time.monotonic(), 0.02
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() - began > max(timeout, PATIENCE_S):
            raise LabError(f"waited {time.monotonic() - began:.0f} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)


def tail(path, lines=40, without="\0"):
    """The last lines of a file, those that contain WITHOUT left out."""
    try:
        with open(path, errors="replace") as file:
            return "".join([line for line in file if without not in line][-lines:])
    except FileNotFoundError:
        return ""


def key_pair():
    """A Curve25519 key pair, as hexadecimal text."""
    with tempfile.NamedTemporaryFile() as file:
        run(["openssl", "genpkey", "-algorithm", "X25519", "-outform", "DER", "-out", file.name])
        private = file.read()[-32:]
        public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", file.name, "-pubout", "-outform", "DER"],
                                capture_output=True, check=True).stdout[-32:]
    return private.hex(), public.hex()


class Program:
    """A server of the lab: a child process in a host's namespace, with its output in a file."""

    def __init__(self, host, command, log):
        self.host, self.command, self.log_path = host, command, log
        self.process = None

    def start(self):
        with open(self.log_path, "a") as log:
            self.process = self.host.popen(self.command, stdout=log, stderr=subprocess.STDOUT)

    def stop(self, kill=False):
        if self.running():
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(60)

    def running(self):
        return self.process is not None and self.process.poll() is None


class Control(Program):
    """labcontrol or labregister. Calling it sends a command: control("remove", Node="alpha")."""

    def __init__(self, host, command, log, socket_path, url):
        super().__init__(host, command + ["-commands", f"unix:{socket_path}"], log)
        self.socket_path, self.url = socket_path, url

    def start(self):
        super().start()
        wait_for(lambda: self._listens() or not self.running(), 10, "control server listens")
        if not self.running():
            raise LabError(f"control server ended: {tail(self.log_path, 5)}")

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.socket_path) == 0

    def __call__(self, command, timeout=90, **arguments):
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        try:
            connection.sock.connect(self.socket_path)
            connection.request("POST", f"/{command}", json.dumps(arguments))
            response = connection.getresponse()
            body = response.read().decode()
        except OSError as error:
            raise LabError(f"control command {command}: {error}; its last words: {tail(self.log_path, 5)}")
        finally:
            connection.close()
        if response.status != 200:
            raise LabError(f"control command {command} {arguments}: {body.strip()}")
        return json.loads(body)

    def node(self, name):
        """What the server knows of a node."""
        label = name.split(".")[0]
        return next((n for n in self("nodes") if n["Name"].split(".")[0] == label), None)


class Names:
    """A name server with the lab's names, counting the questions."""

    def __init__(self, host, addresses):
        self.host, self.addresses, self.asked = host, addresses, []
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host.ip4, 53))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(query), client)
            except (OSError, IndexError):
                if self.socket.fileno() < 0:
                    return

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
            at += 1 + query[at]
        name, kind = ".".join(labels), int.from_bytes(query[at + 1:at + 3], "big")
        self.asked.append(name)
        wanted = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        records = [socket.inet_pton(wanted, a) for a in self.addresses.get(name, ())
                   if wanted and (":" in a) == (wanted == socket.AF_INET6)]
        code = 0x8180 if name in self.addresses else 0x8183
        head = query[:2] + struct.pack("!HHHHH", code, 1, len(records), 0, 0)
        answers = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 5, len(r)) + r for r in records)
        return head + query[12:at + 5] + answers

    def close(self):
        self.socket.close()


def warren_relay(folder, address, port, stun_port=3478, every=None):
    """The command of a relay of ours that serves strangers, with a coordinator that nobody asks."""
    from nodes import find_program  # pylint: disable=import-outside-toplevel,cyclic-import
    return [find_program("warren-coordinator"), "serve", "--data-dir", os.path.join(folder, "data"),
            "--url", f"http://{address}:8081", "--listen", f"{address}:0",
            "--relay-url", f"https://{address}:{port}", "--relay-listen", f"{every or address}:{port}", "--relay-open",
            "--stun-port", str(stun_port)]


class Tailnet:
    """Control server and relays. `server` is "labcontrol" or "labregister"; `tls` (labregister only)
    serves https://control.lab:443 with certificates of the test authority in `ca_file`. With
    `by_name` the relays are in the map without addresses: nodes have to look them up. `relay_kind` is
    "official" or "warren": whose relays they are."""

    def __init__(self, lab, server="labcontrol", relays=1, tls=False, by_name=False, relay_kind="official", options=()):
        self.lab, self.server, self.tls, self.by_name, self.relay_kind = lab, server, tls, by_name, relay_kind
        self.bin = peers_folder()
        self.dir = tempfile.mkdtemp(prefix="warren-lab-")
        os.chmod(self.dir, 0o711)
        self.nodes = []
        self.relays = [self._relay(n + 1) for n in range(relays)]
        with open(self._file("derp.json"), "w") as file:
            json.dump(self.derp_map(), file)
        self.control_host = lab.server("control", "10.77.0", "2a00:77:7700")
        self.control = self._control(server, options)
        if relay_kind == "warren" and not tls:
            self.ca_file = self._file("relay1/relay1.lab.crt")  # nodes trust its certificate, which is no pinned one
        names = {f"relay{n}.lab": [r.host.ip4, r.host.ip6] for n, r in enumerate(self.relays, 1)}
        names["control.lab"] = [self.control_host.ip4]
        self.names = Names(lab.server("names", "10.77.53"), names)

    def __enter__(self):
        for relay in self.relays:
            relay.start()
        self.control.start()
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

    def _file(self, name):
        return os.path.join(self.dir, name)

    def _control(self, server, options):
        command = [os.path.join(self.bin, server), "-derp-map", self._file("derp.json"), *options]
        url = f"http://{self.control_host.ip4}:8080"
        self.ca_file = None
        if server == "labregister":
            command += ["-state", self._file("control-state.json")]
        if self.tls:
            url, self.ca_file = "https://control.lab", self._file("ca.pem")
            command += ["-listen-tls", ":443", "-tls-dir", self.dir, "-url", url]
        else:
            command += ["-listen", ":8080", "-url", url]
        return Control(self.control_host, command, self._file("control.log"), self._file("control.sock"), url)

    def _relay(self, n):
        host = self.lab.server(f"relay{n}", f"10.77.{n}", f"2a00:77:77{n:02x}")
        folder = self._file(f"relay{n}")
        os.mkdir(folder)
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
             "30", "-subj", f"/CN=relay{n}.lab", "-addext", f"subjectAltName=DNS:relay{n}.lab",
             "-keyout", f"{folder}/relay{n}.lab.key", "-out", f"{folder}/relay{n}.lab.crt"])
        if self.relay_kind == "warren":
            command = warren_relay(folder, host.ip4, 443, every="[::]")
            command += ["--relay-certificate", f"{folder}/relay{n}.lab.crt", "--relay-key", f"{folder}/relay{n}.lab.key"]
            return Program(host, command, self._file(f"relay{n}.log"))
        command = [os.path.join(self.bin, "derper"), "-hostname", f"relay{n}.lab", "-certmode", "manual", "-certdir",
                   folder, "-a", ":443", "-http-port", "80", "-stun", "-c", f"{folder}/key"]
        return Program(host, command, self._file(f"relay{n}.log"))

    def derp_map(self):
        regions = {}
        for n, relay in enumerate(self.relays, 1):
            region = 900 + n
            node = {"Name": f"{region}a", "RegionID": region, "HostName": f"relay{n}.lab", "IPv4": relay.host.ip4,
                    "IPv6": relay.host.ip6, "STUNPort": 3478, "DERPPort": 443, "InsecureForTests": True}
            if self.by_name:
                del node["IPv4"], node["IPv6"]
            regions[str(region)] = {"RegionID": region, "RegionCode": f"lab{n}", "RegionName": f"Lab {n}",
                                    "Nodes": [node]}
        return {"Regions": regions}

    def reports(self):
        """Lines in which one of our daemons says that something is broken inside."""
        found = []
        for node in self.nodes:
            if node.kind == "warren":
                lines = tail(node.log_path, 1000000).splitlines()
                found += [f"{node.name}: {line}" for line in lines if BROKEN.search(line)]
        return "\n".join(found[:20])

    def evidence(self):
        """The ends of all logs, for a failed test."""
        programs = [("control", self.control.log_path, 6)]
        programs += [(f"relay {n}", relay.log_path, 4) for n, relay in enumerate(self.relays, 1)]
        programs += [(f"{node.name} ({node.kind})", node.log_path, 60) for node in self.nodes]
        return "".join(f"--- {name}\n{tail(path, lines, without='debug: api:')}" for name, path, lines in programs)
