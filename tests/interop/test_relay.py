#!/usr/bin/python3
"""Two nodes whose only way is a relay of ours: traffic both ways, what the official client says of the relay,
and the relay's end and return."""

import json
import os
import socket
import ssl
import sys

from lab import Program, tail, warren_relay, wait_for
from scenario import run_pairs
from traffic import transfer


def request(host, address, *requests):
    """The answers to HTTP requests on one TLS connection, made from a host of the lab."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.settimeout(5)
    plain.connect((address, 443))
    answers = []
    with context.wrap_socket(plain) as tls:
        for text in requests:
            tls.sendall(f"{text}\r\nHost: relay\r\n\r\n".encode())
            answers.append(tls.recv(65536).decode())
    return answers


def relay_tests(s, relay):
    address = relay.host.ip4
    with s.test("the relay answers probes twice on one connection, and challenges of portal checks"):
        first, second, third = request(s.a.host, address, "GET /derp/latency-check HTTP/1.1", "HEAD /derp/probe HTTP/1.1",
                                       "GET /generate_204 HTTP/1.1\r\nX-Tailscale-Challenge: ts_relay")
        for answer in (first, second):
            assert answer.startswith("HTTP/1.1 200 ") and "Access-Control-Allow-Origin: *" in answer, answer
        assert third.startswith("HTTP/1.1 204 ") and "X-Tailscale-Response: response ts_relay\r\n" in third, third
    if s.a.kind == "official":
        with s.test("tailscale debug derp finds nothing wrong with the relay, five times"):
            for _ in range(5):
                report = json.loads(s.a.cli("debug", "derp", "901", timeout=60).stdout)
                assert not report.get("Errors"), report
                assert any("Successfully established a DERP connection" in text for text in report["Info"]), report
        with s.test("tailscale netcheck finds the relay"):
            done = s.a.cli("netcheck", timeout=60)
            assert "lab1" in done.stdout and "UDP: true" in done.stdout, done.stdout


def proxy_tests(s, relay):
    """The relay goes behind a proxy that ends TLS and strips every upgrade but WebSocket."""
    folder, address = os.path.join(s.tailnet.dir, "behind"), relay.host.ip4
    os.mkdir(folder)
    here = os.path.dirname(os.path.abspath(__file__))
    behind = Program(relay.host, warren_relay(folder, address, 8443, stun_port=0) + ["--relay-plain"], f"{folder}/relay.log")
    files = os.path.join(s.tailnet.dir, "relay1", "relay1.lab")
    proxy = Program(relay.host, [sys.executable, f"{here}/stripping_proxy.py", "443", f"{files}.crt", f"{files}.key", address,
                                 "8443"], f"{folder}/proxy.log")
    with s.test("behind a proxy that strips other upgrades they reach each other by WebSocket"):
        relay.stop(kill=True)
        behind.start()
        proxy.start()
        try:
            wait_for(lambda: s.a.icmp(s.b.ip4, count=1, check=False) and s.b.icmp(s.a.ip4, count=1, check=False), 60,
                     "they reach each other through the proxy")
            s.tap.note(f"{transfer(s.a, s.b, 10):.0f} Mbit/s")
            log = tail(proxy.log_path, 1000)
            assert "refused" in log and "passed" in log, log
        finally:
            proxy.stop(kill=True)
            behind.stop(kill=True)


def scenario(s):
    a, b, lab = s.a, s.b, s.lab
    relay = s.tailnet.relays[0]
    s.connect()
    with s.test("without UDP between them both report our relay"):
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        b.wait_path(a, "relay")
        assert "DERP(lab1)" in a.ping(b) and "DERP(lab1)" in b.ping(a)
    for near, far in ((a, b), (b, a)):
        with s.test(f"100 MB go through it from {near.name} to {far.name}, checksums equal"):
            s.tap.note(f"{transfer(near, far, 100):.0f} Mbit/s")
            assert a.path(b) == "relay"
    relay_tests(s, relay)
    with s.test("both come back when the relay does"):
        relay.stop(kill=True)
        relay.start()
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False) and b.icmp(a.ip4, count=1, check=False), 40,
                 "they reach each other again")
    with s.test("a node that leaves is gone, and comes back"):
        b.down()
        b.up()
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 20, "it is reached again")
    if a.kind == b.kind == "warren":
        proxy_tests(s, relay)


run_pairs("our relay", scenario, timeout=300, relay_kind="warren")
