#!/usr/bin/python3
"""Two nodes whose only way is a relay of ours: traffic both ways, what the official client says of the relay,
and the relay's end and return."""

import json
import ssl
import socket

from lab import wait_for
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


run_pairs("our relay", scenario, timeout=300, relay_kind="warren")
