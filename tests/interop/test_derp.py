#!/usr/bin/python3
"""The relay client alone against the real derper: over TLS with fast start, with the upgrade, and without TLS."""

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from lab import peers_folder
from nodes import find_program
from tap import skip_all


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(folder, port, *arguments):
    log = open(os.path.join(folder, "derper.log"), "a", encoding="utf-8")
    return subprocess.Popen([os.path.join(peers_folder(), "derper"), "-hostname", "relay.lab", "-stun=false", "-http-port", "-1",
                             "-c", os.path.join(folder, f"key{port}"), "-a", f"127.0.0.1:{port}", *arguments], stdout=log, stderr=log)


def probe(port, way, *arguments):
    """Runs the probe until the relay listens; gives its statements."""
    for _ in range(100):
        done = subprocess.run([find_program("derp-probe"), f"127.0.0.1:{port}", "relay.lab", way, *arguments],
                              capture_output=True, text=True, timeout=60, check=False)
        if "Connection refused" not in done.stderr:
            return [line for line in done.stdout.splitlines() if not line.startswith("1..")]
        time.sleep(0.1)
    return ["not ok 0 - the relay listens"]


def main():
    if not os.path.exists(os.path.join(peers_folder(), "derper")):
        skip_all("needs the official relay, see tests/interop/peers.sh")
    if not find_program("derp-probe"):
        skip_all("needs derp-probe in $WARREN_BUILD")
    lines = []
    port, plain_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="warren-derp-") as folder:
        certificate = os.path.join(folder, "relay.lab.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "30", "-subj", "/CN=relay.lab", "-addext", "subjectAltName=DNS:relay.lab", "-keyout",
                        os.path.join(folder, "relay.lab.key"), "-out", certificate], check=True, capture_output=True)
        with open(certificate, encoding="ascii") as file:
            pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
        relays = [start(folder, port, "-certmode", "manual", "-certdir", folder), start(folder, plain_port)]
        try:
            lines += probe(port, "fast", pin)
            lines += probe(port, "slow")
            lines += probe(plain_port, "plain")
        finally:
            for relay in relays:
                relay.terminate()
                relay.wait()
    count = 0
    for line in lines:
        if line.startswith("#"):
            print(line)
            continue
        count += 1
        verdict, statement = line.split(" - ", 1)
        print(f"{'not ok' if verdict.startswith('not') else 'ok'} {count} - {statement}")
    print(f"1..{count}")
    sys.exit(any(line.startswith("not ok") for line in lines))


main()
