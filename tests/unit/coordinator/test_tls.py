#!/usr/bin/python3
"""TLS on the control address: what clients see, and a certificate that is renewed while they are there."""
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "natlab"))

from tap import Tap  # noqa: E402  (found through the line above)

PROGRAM = sys.argv[1]
PATIENCE_S = 30
LOGIN_S = 9  # a connection that does not become a session is closed soon after


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder, name):
    """A certificate for 127.0.0.1 in DIR/name.pem with its key in DIR/name.key."""
    certificate, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate,
                    "-keyout", key], check=True, capture_output=True)
    return certificate, key


class Server:
    def __init__(self, folder, certificate, key):
        self.port = free_port()
        at = f"127.0.0.1:{self.port}"
        self.command = [PROGRAM, "serve", "--data-dir", os.path.join(folder, "data"), "--url", f"https://{at}",
                        "--listen", at, "--tls-certificate", certificate, "--tls-key", key]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return self
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, "the server does not start"
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0

    def connect(self, ca_file, version=None, alpn=("h2", "http/1.1")):
        context = ssl.create_default_context(cafile=ca_file)
        context.set_alpn_protocols(list(alpn))
        if version:
            context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        return context.wrap_socket(raw, server_hostname="127.0.0.1")


def ask(peer, path, rest=""):
    """The head and the body of an answer."""
    peer.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n{rest}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(65536)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < size:
        body += peer.recv(65536)
    return head.decode(), body.decode()


def main():
    tap = Tap("TLS on the control address", timeout=90)
    folder = tempfile.mkdtemp(prefix="warren-tls-")
    first, key = make_certificate(folder, "first")
    used, used_key = shutil.copy(first, os.path.join(folder, "used.pem")), shutil.copy(key, os.path.join(folder, "used.key"))
    try:
        with tap.test("files that are no certificate and key of each other are refused with their names"):
            _, other_key = make_certificate(folder, "other")
            for pair in ((first, other_key), (first, os.path.join(folder, "none")), (key, first)):
                done = subprocess.run(Server(folder, *pair).command, capture_output=True, text=True, timeout=PATIENCE_S,
                                      check=False)
                assert done.returncode == 1 and folder in done.stderr, done
        with Server(folder, used, used_key) as server:
            with tap.test("it speaks TLS 1.2 and 1.3, and HTTP/1.1 where a choice is offered"):
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    with server.connect(first, version) as peer:
                        assert peer.selected_alpn_protocol() == "http/1.1"
                        head, body = ask(peer, "/key?v=131")
                        assert " 200 " in head and "mkey:" in body, (head, body)
                        assert "mkey:" in ask(peer, "/key?v=131", "Connection: close\r\n")[1]
                        assert peer.recv(1) == b"", "the stream is not ended properly"
            with tap.test("nothing is said to those who speak in the clear or break the handshake off"):
                with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as peer:
                    peer.sendall(b"GET /key?v=131 HTTP/1.1\r\nHost: here\r\n\r\n")
                    said = b""
                    while more := peer.recv(4096):
                        said += more
                    assert b"HTTP" not in said, said
                with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as peer:
                    peer.sendall(b"\x16\x03\x01\x02")
            with tap.test("a renewed certificate is used for those who come, and those who are there stay"):
                begin = time.monotonic()
                with server.connect(first) as there:
                    second, key = make_certificate(folder, "second")
                    shutil.copy(second, used)  # without its key nothing changes yet
                    shutil.copy(key, used_key)
                    end = time.monotonic() + PATIENCE_S
                    while True:
                        try:
                            with server.connect(second) as peer:
                                assert "mkey:" in ask(peer, "/key?v=131")[1]
                                break
                        except ssl.SSLCertVerificationError:
                            assert time.monotonic() < end, "the new certificate is not used"
                            time.sleep(0.2)
                    if time.monotonic() < begin + LOGIN_S:
                        assert "mkey:" in ask(there, "/key?v=131")[1]
    finally:
        shutil.rmtree(folder)
    tap.finish()


main()
