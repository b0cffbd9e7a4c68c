#!/usr/bin/python3
"""A network that lets nothing out but a proxy, which asks for a password: HTTP CONNECT, then SOCKS5."""

import base64
import socket
import struct
import threading

from lab import wait_for
from scenario import run_pairs

USER, PASSWORD = "ann", "s3cr3t-w0rd"
WALL = """table inet wr_wall {{
  chain out {{
    type filter hook output priority 0;
    meta l4proto udp udp dport != 53 oifname != "lo" drop
    ip daddr {{ {addresses4} }} drop
    ip6 daddr {{ {addresses6} }} drop
  }}
}}"""


def read(client, size):
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return data


class Proxy:
    """Carries connections for who knows the password; `seen` holds where to."""

    def __init__(self, host, port, resolve):
        self.resolve, self.seen, self.strangers, self.open = resolve, [], 0, []
        self.connect = lambda: host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket = self.connect()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host.ip4, port))
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        try:
            name, port, welcome = self.greet(client)
            self.seen.append(f"{name}:{port}")
            server = self.connect()
            server.connect((self.resolve(name), port))
            client.sendall(welcome)
        except OSError:
            client.close()
            return
        self.open += [client, server]
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        for end in [self.socket, *self.open]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class HttpProxy(Proxy):
    def greet(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += read(client, 1)
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            raise OSError("not a tunnel")
        if f"Proxy-Authorization: {wanted}" not in lines:
            self.strangers += 1
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            raise OSError("a stranger")
        name, port = target.rsplit(":", 1)
        return name, int(port), b"HTTP/1.1 200 Connection established\r\n\r\n"


class SocksProxy(Proxy):
    def greet(self, client):
        _, n = read(client, 2)
        if 2 not in read(client, n):
            client.sendall(b"\x05\xff")
            raise OSError("a stranger")
        client.sendall(b"\x05\x02")
        user = read(client, read(client, 2)[1])
        password = read(client, read(client, 1)[0])
        if (user.decode(), password.decode()) != (USER, PASSWORD):
            client.sendall(b"\x01\x01")
            raise OSError("a stranger")
        client.sendall(b"\x01\x00")
        kind = read(client, 4)[3]
        name = socket.inet_ntoa(read(client, 4)) if kind == 1 else read(client, read(client, 1)[0]).decode()
        port, = struct.unpack(">H", read(client, 2))
        return name, port, b"\x05\x00\x00\x01" + bytes(6)


def scenario(s):
    a, b, control, names = s.a, s.b, s.control, s.tailnet.names
    relay = s.tailnet.relays[0].host
    control("mode", open=True)
    host = s.lab.server("proxy", "10.77.60")

    def resolve(name):
        return names.addresses[name][0] if name in names.addresses else name

    def carried(proxy, what):
        wait_for(lambda: {"control.lab:443", "relay1.lab:443"} <= set(proxy.seen), 60, f"{what} is used: {proxy.seen}")

    http, socks = HttpProxy(host, 3128, resolve), SocksProxy(host, 1080, resolve)
    a.start()
    a.host.run("nft", "-f", "-", input=WALL.format(addresses4=f"{control.host.ip4}, {relay.ip4}", addresses6=relay.ip6))
    b.start()
    b.up()
    with s.test("a node behind a CONNECT proxy with a password reaches the server and the relay through it"):
        a.up(f"--proxy=http://{USER}:{PASSWORD}@{host.ip4}:3128")
        a.wait_peer(b, timeout=60)
        b.wait_peer(a, timeout=60)
        a.icmp(b.ip4)
        carried(http, "the proxy")
        assert http.strangers == 0
    with s.test("another proxy takes over at once, without a new sign-in"):
        a.set(f"--proxy=socks5://{USER}:{PASSWORD}@{host.ip4}:1080")
        carried(socks, "the SOCKS proxy")
        http.close()
        wait_for(lambda: control.node("alpha")["Streams"] > 0, 60, "alpha has a map stream")
        wait_for(lambda: a.icmp(b.ip4, check=False), 60, "an answer through the relay")
    with s.test("its password is shown to nobody and stands in no log"):
        assert a.cli("get", "proxy").stdout.strip() == f"socks5://{USER}@{host.ip4}:1080"
        with open(a.log_path, encoding="utf-8", errors="replace") as log:
            text = log.read()
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        assert PASSWORD not in text and secret not in text
    with s.test("what the proxy refuses is told with its name"):
        a.set(f"--proxy=socks5://{USER}:wrong@{host.ip4}:1080")
        wait_for(lambda: a.problem() == "server-unreachable", 60, "the problem")
        wait_for(lambda: f"the proxy {host.ip4} refused the user name or the password" in a.log(), 30, "the reason")
    socks.close()


run_pairs("proxies", scenario, timeout=150, pairs=("warren/official",), server="labregister", tls=True)
