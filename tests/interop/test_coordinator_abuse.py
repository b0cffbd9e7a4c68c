#!/usr/bin/python3
"""Who means ill gets nowhere at the coordinator: refused, with bounded memory, and others notice nothing.

A member with an open map stream and its commands stand for the others: after each check it must be told of a change
within seconds, and the server's memory must not have grown much.
"""

import base64
import ctypes
import http.client
import json
import os
import random
import socket
import ssl
import sys
import threading
import time
import traceback

from loopback import Coordinator, Refused, free_port
from ts2021 import Noise, Session, machine_key, map_request, node_key, public, registration, server_key, sodium

GROWTH_KB = 24 * 1024
ROUTES = ["/", "/key", "/key?v=131", "/health", "/generate_204", "/register/", "/register/" + "a" * 24, "/oidc/callback?state=x&code=y",
          "/password", "/sign-out", "/ts2021", "/machine/map", "/machine/register", "/bootstrap-dns?q=x", "/derp", "/x/../..%00",
          "/" + "a" * 4000]
HOSTILE = "<script>alert(1)</script>\"'&--><img src=x onerror=alert(2)>"
SEED = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 20261123


class Scene:
    def __init__(self, server):
        self.server = server
        self.random = random.Random(SEED)
        self.key = server_key(server.url)
        self.auth = server.command("keys", "create", "--reusable").strip()
        self.member, self.member_machine = os.urandom(32), os.urandom(32)
        self.session = self.connect(self.member_machine)
        assert self.session.request("/machine/register", registration(self.member, self.auth))[0] == 200
        self.stream = self.session.begin("/machine/map", map_request(self.member))
        self.session.first_bytes(self.stream)
        self.changes = 0

    def connect(self, machine=None):
        return Session("127.0.0.1", self.server.port, self.key, machine)

    def others_notice_nothing(self):
        """The member is told of a change of itself while its stream stays open."""
        self.changes += 1
        name = f"member-{self.changes}"
        old = next(n["name"] for n in self.server.json("nodes", "list") if n.get("nodeKey") == node_key(self.member))
        self.server.command("nodes", "rename", old, name)
        end = time.monotonic() + 30
        while name.encode() not in self.session.answers[self.stream][1]:
            assert time.monotonic() < end and not self.session.answers[self.stream][2], "the member's stream is not told"
            self.session.step()
        self.session.answers[self.stream][1] = b""

    def http(self, method, path, body=None, headers=None):
        """(status, text) of a request on a connection of its own; status 0: closed without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=40)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=40)

    def sign_in_page(self, machine, node, hostname="waiting"):
        """A device that waits for approval: (session, id of its page)."""
        session = self.connect(machine)
        body = registration(node)
        body["Hostinfo"]["Hostname"] = hostname
        status, answer = session.request("/machine/register", body)
        assert status == 200, (status, answer)
        url = json.loads(answer)["AuthURL"]
        return session, url, url.rpartition("/")[2]

    # ------------------------------------------------------------------------------------------------------------

    def floods_at_every_route_are_answered_and_forgotten(self):
        def flood(seed):
            rng = random.Random(seed)
            connection = None
            for _ in range(150):
                try:
                    connection = connection or http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=40)
                    connection.request(rng.choice(["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"]), rng.choice(ROUTES),
                                       headers={"Cookie": "s=" + "x" * rng.randrange(200)})
                    answer = connection.getresponse()
                    answer.read()
                    statuses.add(answer.status)
                except (OSError, http.client.HTTPException):
                    connection = None

        statuses = set()
        threads = [threading.Thread(target=flood, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert statuses and not statuses & {500, 502}, statuses

    def bytes_that_are_no_protocol_end_the_connection(self):
        for n in range(200):
            with self.raw() as connection:
                try:
                    connection.sendall(self.random.randbytes(self.random.randrange(1, 3000)) + b"\r\n\r\n")
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass
        for _ in range(20):
            session = self.connect()
            session.socket.sendall(b"\x04\x00\x40" + self.random.randbytes(64))
            try:
                while session.socket.recv(4096):
                    pass
            except OSError:
                pass
            session.close()

    def oversized_heads_and_bodies_are_refused(self):
        status, _ = self.http("GET", "/key", headers={f"X-{n}": "y" * 1000 for n in range(60)})
        assert status in (0, 400, 413, 431), status
        status, _ = self.http("POST", "/register/x", headers={"Content-Length": str(1 << 30)}, body=b"a" * 4096)
        assert status in (0, 400, 413), status
        with self.raw() as connection:
            connection.sendall(b"POST /register/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            sent = 0
            try:
                while sent < 64 << 20:
                    connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                    sent += 65536
            except OSError:
                pass
            assert sent < 16 << 20, f"{sent} bytes of a body without an end were taken"
        with self.connect() as session:
            try:
                status, _ = session.request("/machine/register", b"{" + b" " * (3 << 20))
                assert status in (0, 400, 413), status
            except OSError:
                pass

    def slow_clients_are_put_out(self):
        slow = [self.raw() for _ in range(200)]
        for number, connection in enumerate(slow):
            connection.sendall([b"G", b"POST /ts2021 HTTP/1.1\r\n", b"POST /register/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"][number % 3])
        idle = [self.connect() for _ in range(20)]
        open_ends = idle[0].begin("/machine/register", b"{", end=False)
        started = time.monotonic()
        self.others_notice_nothing()
        assert time.monotonic() - started < 30, "others waited for slow clients"
        for connection in slow + [session.socket for session in idle]:
            connection.settimeout(max(0.1, started + 80 - time.monotonic()))
            try:
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass
            connection.close()  # a timeout would have been raised: it was still open
        assert open_ends

    def without_a_descriptor_left_the_idlest_makes_room(self):
        with Coordinator(inside=["prlimit", "--nofile=100"]) as small:
            key, auth = server_key(small.url), small.command("keys", "create", "--reusable").strip()
            node = os.urandom(32)
            with Session("127.0.0.1", small.port, key) as member:
                assert member.request("/machine/register", registration(node, auth))[0] == 200
                stream = member.begin("/machine/map", map_request(node))
                member.first_bytes(stream)
                idle = [socket.create_connection(("127.0.0.1", small.port), timeout=40) for _ in range(300)]
                started = time.monotonic()
                self.register_late(small, key, auth, started + 30)
                small.command("nodes", "rename", "by-hand", "still-here")
                while b"still-here" not in member.answers[stream][1]:
                    member.step()
                assert time.monotonic() - started < 40, "others waited for those who ask for nothing"
                for connection in idle:
                    connection.close()

    def register_late(self, server, key, auth, deadline):
        """One that comes while descriptors are short; it may be given up itself while it is slow to say a word."""
        while True:
            try:
                with Session("127.0.0.1", server.port, key, timeout=30) as late:
                    assert late.request("/machine/register", registration(os.urandom(32), auth))[0] == 200
                    return
            except (OSError, ConnectionError):
                if time.monotonic() > deadline:
                    raise

    def answers_that_nobody_reads_do_not_pile_up(self):
        before = self.server.rss_kb()
        connection = self.raw()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(2)
        sent = 0
        try:
            while sent < 32 << 20:
                sent += connection.send(b"GET /key?v=131 HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        except OSError:
            pass
        grown = self.server.rss_kb() - before
        connection.close()
        assert grown < GROWTH_KB, f"{grown} KB for answers to {sent} bytes of requests"

    def a_member_cannot_use_anothers_node_key(self):
        with self.connect() as session:
            assert session.request("/machine/register", registration(os.urandom(32), self.auth))[0] == 200
            for stream in (True, False):
                status, body = session.wait(session.begin("/machine/map", map_request(self.member, stream)))
                assert 400 <= status < 500 and b"Peers" not in body, (status, body)
            status, body = session.request("/machine/register", registration(self.member, self.auth))
            assert status >= 400 or b'"Error":"' in body and b'"Error":""' not in body, (status, body)
            # nor end it, by its old key or by a logout
            for more in ({"OldNodeKey": node_key(self.member)}, {"Expiry": "2001-01-01T00:00:00Z"}):
                private = self.member if "Expiry" in more else os.urandom(32)
                session.request("/machine/register", registration(private, self.auth, **more))
        mine = [n for n in self.server.json("nodes", "list") if n.get("nodeKey") == node_key(self.member)]
        assert len(mine) == 1 and mine[0]["online"] and not mine[0]["expired"], mine

    def forged_followups_gain_nothing(self):
        victim, thief = os.urandom(32), os.urandom(32)
        session, url, ident = self.sign_in_page(os.urandom(32), victim)
        with self.connect() as other:
            for forged in (url, self.server.url + "/register/" + "0" * len(ident), "http://127.0.0.1:1/register/" + ident, "x"):
                stream = other.begin("/machine/register", registration(thief, Followup=forged))
            self.server.command("nodes", "approve", ident)
            end = time.monotonic() + 3
            other.socket.settimeout(1)
            try:
                while time.monotonic() < end and not other.answers[stream][2]:
                    other.step()
            except OSError:
                pass
            for status, body, _ in other.answers.values():
                assert b'"MachineAuthorized":true' not in body, body
        keys = {node["nodeKey"] for node in self.server.json("nodes", "list") if "pending" not in node}
        assert node_key(victim) in keys and node_key(thief) not in keys
        session.close()

    def a_name_that_two_strangers_use_approves_neither(self):
        """Who calls himself like a device that somebody expects must not be let in for it."""
        first, second = (self.sign_in_page(os.urandom(32), os.urandom(32), "laptop-of-ada") for _ in range(2))
        for verb in ("approve", "deny"):
            try:
                self.server.command("nodes", verb, "laptop-of-ada")
                raise AssertionError("one of two was chosen")
            except Refused as error:
                assert "id" in str(error), error
        self.server.command("nodes", "deny", first[2])
        self.server.command("nodes", "approve", "laptop-of-ada")
        second[0].close()

    def one_shot_keys_and_handshakes_do_not_replay(self):
        once = self.server.command("keys", "create").strip()
        first, second = os.urandom(32), os.urandom(32)
        with self.connect() as session:
            assert session.request("/machine/register", registration(first, once))[0] == 200
        with self.connect() as session:
            _, body = session.request("/machine/register", registration(second, once))
            assert b"already used" in body, body
        assert node_key(second) not in {n.get("nodeKey") for n in self.server.json("nodes", "list")}
        noise = Noise(self.key, self.member_machine)
        head = ("POST /ts2021 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n"
                "X-Tailscale-Handshake: " + base64.b64encode(noise.initiation).decode() + "\r\n\r\n")
        for _ in range(3):  # whoever repeats a handshake without its key can say nothing
            with self.raw() as connection:
                connection.sendall(head.encode() + b"\x04\x00\x20" + os.urandom(32))
                connection.settimeout(5)
                while connection.recv(4096):
                    pass

    def hostile_names_stay_text_in_pages(self):
        session, _, ident = self.sign_in_page(os.urandom(32), os.urandom(32), HOSTILE)
        status, page = self.http("GET", "/register/" + ident)
        text = page.decode()
        assert status == 200 and "<script" not in text and "<img" not in text, text
        status, page = self.http("GET", "/register/" + ident + "?error=%3Cscript%3E1")
        assert b"<script" not in page
        session.close()

    def nothing_is_approved_by_get_or_from_elsewhere(self):
        session, _, ident = self.sign_in_page(os.urandom(32), os.urandom(32), "csrf")
        path = "/register/" + ident
        for _ in range(2):
            self.http("GET", path)
            self.http("HEAD", path)
        form = "action=approve&approve=1&login=owner&password=x&code=1"
        for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Origin": "http://evil.example"},
                        {"Origin": "http://evil.example", "Cookie": "warren=x; session=x"}):
            status, _ = self.http("POST", path, form, {"Content-Type": "application/x-www-form-urlencoded", **headers})
            assert status in (200, 303, 400, 403, 404, 429) and status != 500, status
        assert any(node.get("pending") == ident for node in self.server.json("nodes", "list")), "it was approved"
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=40)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        policy = answer.getheader("Content-Security-Policy") or ""
        assert "frame-ancestors 'none'" in policy and "unsafe-inline" not in policy, policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff" and answer.getheader("Referrer-Policy") == "no-referrer"
        connection.close()
        session.close()

    def more_streams_than_anybody_needs_are_ended(self):
        before = self.server.rss_kb()
        node, machine = os.urandom(32), os.urandom(32)
        with self.connect(machine) as session:
            assert session.request("/machine/register", registration(node, self.auth))[0] == 200
            try:
                for _ in range(300):
                    session.begin("/machine/map", map_request(node))
                session.begin("/machine/map", map_request(node), stream=(1 << 31) - 1)
                end = time.monotonic() + 2
                session.socket.settimeout(1)
                while time.monotonic() < end:
                    session.step()
            except TimeoutError:
                pass
            except ConnectionError:
                session.answers.clear()  # all of them ended with the connection
            still = sum(not answer[2] for answer in session.answers.values())
        assert self.server.rss_kb() - before < GROWTH_KB
        assert still <= 130, f"{still} streams are open"

    def strangers_are_not_served_by_the_relay(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.server.relay_port), timeout=40) as plain, context.wrap_socket(plain) as relay:
            relay.sendall(b"GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n\r\n")
            data = b""
            while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 45:
                piece = relay.recv(4096)
                assert piece, data
                data += piece
            theirs = data.partition(b"\r\n\r\n")[2][13:45]  # type, length and eight bytes of magic stand before the key
            private, nonce, info = os.urandom(32), os.urandom(24), b'{"version":2}'
            sealed = ctypes.create_string_buffer(len(info) + 16)
            sodium.crypto_box_easy(sealed, info, ctypes.c_ulonglong(len(info)), nonce, theirs, private)
            body = public(private) + nonce + sealed.raw
            relay.sendall(b"\x02" + len(body).to_bytes(4, "big") + body)
            # a packet to the member: nothing may come of it
            relay.sendall(b"\x04" + (32 + 8).to_bytes(4, "big") + public(self.member) + b"unwanted")
            relay.settimeout(10)
            answer = b""
            try:
                while piece := relay.recv(4096):
                    answer += piece
            except (ConnectionError, ssl.SSLError):
                pass  # closed: refused
            assert b"\x03\x00\x00" not in answer[:3], answer  # no ServerInfo for strangers

    def many_devices_that_wait_are_bounded(self):
        before = self.server.rss_kb()
        for _ in range(300):
            session = self.connect()
            body = registration(os.urandom(32))
            body["Hostinfo"]["Hostname"] = "x" * 200
            status, _ = session.request("/machine/register", body)
            assert status in (200, 429), status
            session.close()
        assert self.server.rss_kb() - before < GROWTH_KB
        waiting = [node for node in self.server.json("nodes", "list") if "pending" in node]
        assert len(waiting) <= 300, len(waiting)
        with self.connect() as session:  # whoever has a key comes in all the same
            assert session.request("/machine/register", registration(os.urandom(32), self.auth))[0] == 200

    def the_member_key_cannot_be_guessed_from_pages(self):
        for path in ROUTES:
            _, body = self.http("GET", path)
            assert node_key(self.member).encode() not in body and machine_key(self.member_machine).encode() not in body


def main():
    checks = [name for name, value in vars(Scene).items() if callable(value) and not name.startswith("_") and name not in (
        "connect", "others_notice_nothing", "http", "raw", "sign_in_page", "register_late")]
    print(f"1..{len(checks)}", flush=True)
    print(f"# seed {SEED}", flush=True)
    failed = False
    relay = free_port()
    with Coordinator(arguments=["--relay-url", f"https://127.0.0.1:{relay}", "--relay-listen", f"127.0.0.1:{relay}"]) as server:
        server.relay_port = relay
        scene = Scene(server)
        for number, name in enumerate(checks, 1):
            started, before = time.monotonic(), server.rss_kb()
            try:
                getattr(scene, name)()
                scene.others_notice_nothing()
                grown = server.rss_kb() - before
                assert grown < GROWTH_KB, f"the server has grown by {grown} KB"
                print(f"ok {number} - /coordinator/abuse/{name.replace('_', '-')}", flush=True)
            except Exception:  # noqa: BLE001 every fault is a failed check
                failed = True
                print(f"not ok {number} - /coordinator/abuse/{name.replace('_', '-')}")
                print(name, traceback.format_exc(), server.log()[-600:], file=sys.stderr, flush=True)
            print(f"# {time.monotonic() - started:.1f} s, {server.rss_kb() - before:+} KB", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
