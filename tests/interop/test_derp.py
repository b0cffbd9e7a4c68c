#!/usr/bin/python3
"""The relay client alone against the real derper: over TLS with fast start, with the upgrade, and without TLS.
The same against our relay, and what OpenSSL's client sees of that one's certificates and keys."""

import hashlib
import os
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from lab import peers_folder, warren_relay
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


def pin_of(path):
    with open(path, encoding="ascii") as file:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()


def statement(holds, text):
    return f"{'ok' if holds else 'not ok'} 0 - ours: {text}"


def client_of_openssl(port, dialogue):
    """What `openssl s_client` prints when each line is typed after the answer to the one before: (line, answer)."""
    client = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-showcerts", "-crlf"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""

    def read_until(answer):
        nonlocal said
        begin, end = len(said), time.monotonic() + 45
        while answer not in said[begin:] and select.select([client.stdout], [], [], max(0, end - time.monotonic()))[0]:
            piece = os.read(client.stdout.fileno(), 65536)
            if not piece:
                break
            said += piece

    read_until(b"Verify return code")
    for line, answer in dialogue:
        try:
            client.stdin.write(line)
            client.stdin.flush()
        except BrokenPipeError:
            break  # what it said so far tells why
        read_until(answer)
    client.terminate()
    client.wait()
    return said.decode(errors="replace")


def certificates_and_keys(port):
    ask = b"GET /generate_204 HTTP/1.1\nHost: x\n\n", b"204 No Content"
    said = client_of_openssl(port, [ask, (b"K\n", b"KEYUPDATE"), ask, (b"k\n", b"KEYUPDATE"), ask])
    chain = [f"-----BEGIN CERTIFICATE-----{part.split('-----END')[0]}-----END CERTIFICATE-----\n"
             for part in said.split("-----BEGIN CERTIFICATE-----")[1:]]
    last = chain[-2] if len(chain) > 2 else chain[-1] if chain else ""
    last = subprocess.run(["openssl", "x509", "-noout", "-serial", "-subject"], input=last,
                          capture_output=True, text=True, check=False).stdout
    meta = "serial=02" in last and "CN = derpkey" in last
    updates = "TLSv1.3" in said and said.count("204 No Content") == 3
    if not (meta and updates):
        print(f"openssl s_client said:\n{said}\nthe last certificate: {last}", file=sys.stderr)
    return [statement(meta, "the meta certificate is last in the chain"),
            statement(updates, "keys may be updated, with and without ours")]


def ours(folder):
    """Our relay: the probe with and without fast start, and OpenSSL's client."""
    port, lines = free_port(), []
    log = open(os.path.join(folder, "warren.log"), "a", encoding="utf-8")
    certificate = os.path.join(folder, "relay.lab.crt")
    command = warren_relay(folder, "127.0.0.1", port, stun_port=0)
    command += ["--relay-certificate", certificate, "--relay-key", os.path.join(folder, "relay.lab.key")]
    relay = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        lines += probe(port, "slow")
        lines += probe(port, "fast", pin_of(certificate))
        lines = [line.replace("fast:", "ours, fast:").replace("slow:", "ours, slow:") for line in lines]
        lines += certificates_and_keys(port)
    finally:
        relay.terminate()
        relay.wait()
    return lines


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
        pin = pin_of(certificate)
        relays = [start(folder, port, "-certmode", "manual", "-certdir", folder), start(folder, plain_port)]
        try:
            lines += probe(port, "fast", pin)
            lines += probe(port, "slow")
            lines += probe(plain_port, "plain")
            if find_program("warren-coordinator"):
                lines += ours(folder)
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
        verdict, text = line.split(" - ", 1)
        print(f"{'not ok' if verdict.startswith('not') else 'ok'} {count} - {text}")
    print(f"1..{count}")
    sys.exit(any(line.startswith("not ok") for line in lines))


main()
