#!/usr/bin/python3
"""Between the node and its control server stands something that passes less than it should."""

import socket
import threading

from scenario import run_pairs


class Gateway:
    """A reverse proxy of HTTP that knows one change of protocol, to WebSocket, and drops all others."""

    def __init__(self, host, port, target):
        self.target, self.seen = target, []
        self.connect = lambda: host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket = self.connect()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host.ip4, port))
        self.socket.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return client.close()
            head += data
        head, rest = head.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        if not any(line.lower() == b"upgrade: websocket" for line in lines):
            lines = [line for line in lines if not line.lower().startswith((b"upgrade:", b"connection:"))]
        self.seen.append(lines[0].decode().split("?")[0])
        server = self.connect()
        server.connect(self.target)
        server.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + rest)
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()
        return None

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
        self.socket.close()


def scenario(s):
    a, b, control = s.a, s.b, s.control
    control("mode", open=True)
    gateway = Gateway(control.host, 8081, (control.host.ip4, 8080))
    url = f"http://{control.host.ip4}:8081"
    with s.test("a gateway that passes WebSockets alone lets the node in all the same"):
        a.start()
        a.up(login_server=url)
        b.start()
        b.up()
        a.wait_peer(b)
        b.wait_peer(a)
        a.icmp(b.ip4)
        assert "GET /ts2021" in gateway.seen, gateway.seen
    with s.test("and changes of the map come through it"):
        control("remove", Node="beta")
        a.wait_peer(b, lambda p: p is None, what="is gone")
    gateway.close()


run_pairs("middleboxes", scenario, timeout=90, pairs=("warren/official",), server="labregister")
