#!/usr/bin/python3
"""What the coordinator answers to clients that ask in all the ways they may, and to those that ask wrongly
(spec/control-protocol.md sections 17.1 and 19, numbers 35, 37 and 40)."""

import base64
import http.client
import json
import os
import sys
import traceback

from loopback import Coordinator
from ts2021 import Noise, Session, map_request, node_key, registration, server_key


class Scene:
    def __init__(self, server):
        self.server = server
        self.key = server_key(server.url)
        self.auth = server.command("keys", "create", "--reusable").strip()

    def http(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        out = answer.status, answer.read() if answer.status != 101 else b"", answer
        connection.close()
        return out

    def session(self, **more):
        return Session("127.0.0.1", self.server.port, self.key, timeout=30, **more)

    def the_key_wants_a_version(self):
        for path in ("/key", "/key?v=", "/key?v=abc", "/key?x=1", "/key?xv=1", "/key?v=1x"):
            assert self.http("GET", path)[0] == 400, path
        status, body, answer = self.http("GET", "/key?v=131")
        assert status == 200 and answer.getheader("Content-Type") == "application/json"
        found = json.loads(body)
        assert found["legacyPublicKey"] == "mkey:" + "0" * 64 and found["publicKey"] == "mkey:" + self.key.hex()

    def an_upgrade_is_whole_or_refused(self):
        good = base64.b64encode(Noise(self.key, os.urandom(32)).initiation).decode()
        names = {"Connection": "upgrade", "Upgrade": "tailscale-control-protocol", "X-Tailscale-Handshake": good}
        for method in ("POST", "GET"):
            assert self.http(method, "/ts2021", headers=names)[0] == 101, method
        odd = {"connection": "Upgrade", "UPGRADE": "Tailscale-Control-Protocol", "x-tailscale-handshake": good}
        assert self.http("POST", "/ts2021", headers=odd)[0] == 101
        for change in ({"Upgrade": None}, {"Upgrade": "h2c"}, {"X-Tailscale-Handshake": None}, {"X-Tailscale-Handshake": "!!"},
                       {"X-Tailscale-Handshake": good[:40]}, {"X-Tailscale-Handshake": good + good},
                       {"X-Tailscale-Handshake": base64.b64encode(bytes(101)).decode()}):
            headers = {name: value for name, value in {**names, **change}.items() if value is not None}
            status, body, _ = self.http("POST", "/ts2021", headers=headers)
            assert status == 400 and body.strip(), (change, status, body)

    def other_routes_answer_in_their_way(self):
        assert self.http("GET", "/health")[0] == 200 and self.http("HEAD", "/health")[0] == 200
        assert self.http("GET", "/generate_204")[0] == 204
        assert self.http("HEAD", "/machine/ping-response?id=unknown")[0] == 404
        assert self.http("GET", "/nowhere")[0] == 404 and self.http("POST", "/key?v=131", b"x")[0] == 405
        assert self.http("GET", "/register/" + "0" * 32)[0] == 404

    def relays_of_others_ask_whom_to_serve(self):
        node = os.urandom(32)
        with self.session() as session:
            assert session.request("/machine/register", registration(node, self.auth))[0] == 200
        for private, allowed in ((node, True), (os.urandom(32), False)):
            question = json.dumps({"NodePublic": node_key(private), "Source": "192.0.2.1"})
            status, body, _ = self.http("POST", "/verify", question)
            assert status == 200 and json.loads(body) == {"Allow": allowed}, body
        assert self.http("POST", "/verify", "{")[0] == 400
        assert json.loads(self.http("POST", "/verify", "{}")[1]) == {"Allow": False}
        assert self.http("POST", "/verify", json.dumps({"NodePublic": "x" * 5000}))[0] == 413

    def second_connections_and_reads_with_a_body_are_served(self):
        node, machine = os.urandom(32), os.urandom(32)
        with self.session(machine=machine) as session:
            assert session.request("/machine/register", registration(node, self.auth))[0] == 200
        with self.session(machine=machine, authority="unused") as session:
            status, body = session.request("/machine/map", map_request(node, False, OmitPeers=True), method="GET")
            assert status == 200 and not body, (status, body)
            status, body = session.wait(session.begin("/machine/map", map_request(node, False)))
            assert status == 200 and not body, (status, body)
            stream = session.begin("/machine/map", map_request(node, Compress="gzip"))
            assert b'"Node"' in session.first_bytes(stream)[1]  # what is not known is left alone

    def old_clients_are_told_why(self):
        with self.session(version=112) as session:
            status, body = session.request("/machine/register", {**registration(os.urandom(32), self.auth), "Version": 112})
            assert status == 400 and b"update" in body, (status, body)

    def what_is_no_request_is_told_so(self):
        with self.session() as session:
            for body in (b"", b"{", b"[]", b"\0\1", b'{"NodeKey":5}'):
                assert session.request("/machine/register", body)[0] in (200, 400), body
                assert session.request("/machine/map", body)[0] in (400, 404), body
            status, body = session.request("/machine/register", {"Version": 131})
            assert status == 200 and json.loads(body)["Error"], body
        for path in ("/machine/set-dns", "/machine/x", "/key?v=131", "/"):
            with self.session() as session:
                assert session.request(path, b"{}")[0] in (404, 501), path

    def a_key_of_another_machine_is_refused(self):
        node = os.urandom(32)
        with self.session() as session:
            assert session.request("/machine/register", registration(node, self.auth))[0] == 200
        with self.session() as session:
            _, body = session.request("/machine/register", registration(node, self.auth))
            assert "another machine" in json.loads(body)["Error"]
            assert session.wait(session.begin("/machine/map", map_request(node, False)))[0] == 404


def main():
    checks = [name for name in vars(Scene) if not name.startswith("_") and name not in ("http", "session")]
    print(f"1..{len(checks)}", flush=True)
    failed = False
    with Coordinator() as server:
        scene = Scene(server)
        for number, name in enumerate(checks, 1):
            try:
                getattr(scene, name)()
                print(f"ok {number} - /coordinator/protocol/{name.replace('_', '-')}", flush=True)
            except Exception:  # noqa: BLE001 every fault is a failed check
                failed = True
                print(f"not ok {number} - /coordinator/protocol/{name.replace('_', '-')}")
                print(name, traceback.format_exc(), server.log()[-600:], file=sys.stderr, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
