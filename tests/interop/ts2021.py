"""The control protocol by hand, for tests that need a client which does what no client does.

Noise IK over a socket, and the little of HTTP/2 that requests need (spec/control-protocol.md sections 5 to 7).
"""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import os
import socket
import struct
import urllib.request

VERSION = 131
RECORD_MAX = 4077
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1

sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")


def public(private):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_scalarmult_base(out, private)
    return out.raw


def shared(private, theirs):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_scalarmult(out, private, theirs)
    return out.raw


def seal(key, nonce, plain, data=b""):
    out, size = ctypes.create_string_buffer(len(plain) + 16), ctypes.c_ulonglong()
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, ctypes.byref(size), plain, ctypes.c_ulonglong(len(plain)),
                                                    data, ctypes.c_ulonglong(len(data)), None, nonce, key)
    return out.raw


def unseal(key, nonce, sealed, data=b""):
    out, size = ctypes.create_string_buffer(max(len(sealed) - 16, 1)), ctypes.c_ulonglong()
    if sodium.crypto_aead_chacha20poly1305_ietf_decrypt(out, ctypes.byref(size), None, sealed,
                                                        ctypes.c_ulonglong(len(sealed)), data,
                                                        ctypes.c_ulonglong(len(data)), nonce, key) != 0:
        raise ConnectionError("a record does not open")
    return out.raw[:size.value]


def blake(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def expand(chain, secret):
    """HKDF: two keys."""
    root = hmac.new(chain, secret, hashlib.blake2s).digest()
    first = hmac.new(root, b"\x01", hashlib.blake2s).digest()
    return first, hmac.new(root, first + b"\x02", hashlib.blake2s).digest()


class Noise:
    """The initiator's side of the handshake."""

    def __init__(self, server_key, machine, version=VERSION):
        self.machine, self.ephemeral = machine, os.urandom(32)
        name = blake(b"Noise_IK_25519_ChaChaPoly_BLAKE2s")
        self.hash, self.chain = blake(name, b"Tailscale Control Protocol v%d" % version), name
        self.mix(server_key)
        self.mix(public(self.ephemeral))
        body = public(self.ephemeral)
        for secret, plain in ((shared(self.ephemeral, server_key), public(machine)), (shared(machine, server_key), b"")):
            self.chain, key = expand(self.chain, secret)
            sealed = seal(key, bytes(12), plain, self.hash)
            self.mix(sealed)
            body += sealed
        self.initiation = struct.pack(">HBH", version, 1, 96) + body

    def mix(self, data):
        self.hash = blake(self.hash, data)

    def finish(self, response):
        """(key to send with, key to receive with)"""
        theirs, tag = response[3:35], response[35:51]
        self.mix(theirs)
        self.chain, _ = expand(self.chain, shared(self.ephemeral, theirs))
        self.chain, key = expand(self.chain, shared(self.machine, theirs))
        unseal(key, bytes(12), tag, self.hash)
        return expand(self.chain, b"")


def server_key(url):
    with urllib.request.urlopen(f"{url}/key?v={VERSION}", timeout=10) as answer:
        return bytes.fromhex(json.load(answer)["publicKey"].partition(":")[2])


DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6",
          "011101": "7", "011110": "8", "011111": "9"}
INDEXED = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}


def status_of(block):
    """The status at the head of a header block."""
    while block and block[0] & 0xE0 == 0x20:  # table size updates
        block = block[1:]
    if block[0] in INDEXED:
        return INDEXED[block[0]]
    size, text = block[1] & 0x7F, block[2:]
    if not block[1] & 0x80:
        return int(text[:size])
    bits, found, at = "".join(f"{byte:08b}" for byte in text[:size]), "", ""
    for bit in bits:
        at += bit
        if at in DIGITS:
            found, at = found + DIGITS[at], ""
    return int(found)


class Session:
    """A connection of one machine; requests run one after the other unless they are left open."""

    def __init__(self, host, port, key, machine=None, timeout=40, version=VERSION, authority="control"):
        self.machine, self.authority = machine or os.urandom(32), authority
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.received, self.plain, self.counters = b"", b"", [0, 0]
        self.answers, self.stream = {}, -1
        noise = Noise(key, self.machine, version)
        handshake = base64.b64encode(noise.initiation).decode()
        self.socket.sendall((f"POST /ts2021 HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: tailscale-control-"
                             f"protocol\r\nX-Tailscale-Handshake: {handshake}\r\nContent-Length: 0\r\n\r\n").encode())
        head = self.until(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode(errors="replace"))
        self.keys = noise.finish(self.take(51))
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 30)) +
                  self.frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30)))
        early = self.take_plain(9)
        self.take_plain(struct.unpack(">I", early[5:])[0])

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.received += piece

    def until(self, end):
        while end not in self.received:
            self.read()
        head, _, self.received = self.received.partition(end)
        return head

    def take(self, size):
        while len(self.received) < size:
            self.read()
        out, self.received = self.received[:size], self.received[size:]
        return out

    def nonce(self, which):
        self.counters[which] += 1
        return bytes(4) + struct.pack(">Q", self.counters[which] - 1)

    def send(self, plain):
        out = b""
        for at in range(0, len(plain), RECORD_MAX):
            sealed = seal(self.keys[0], self.nonce(0), plain[at:at + RECORD_MAX])
            out += struct.pack(">BH", 4, len(sealed)) + sealed
        self.socket.sendall(out)

    def take_plain(self, size):
        while len(self.plain) < size:
            kind, length = struct.unpack(">BH", self.take(3))
            if kind != 4:
                raise ConnectionError(f"frame {kind}")
            self.plain += unseal(self.keys[1], self.nonce(1), self.take(length))
        out, self.plain = self.plain[:size], self.plain[size:]
        return out

    def frame(self, kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def literal(self, name, value):
        return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    def begin(self, path, body, method="POST", stream=None, end=True):
        """Sends a request; the number of its stream."""
        self.stream = stream or self.stream + 2
        block = b"".join(self.literal(n, v) for n, v in ((":method", method), (":scheme", "https"), (":path", path),
                                                         (":authority", self.authority)))
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        out = self.frame(HEADERS, END_HEADERS | (END_STREAM if end and not payload else 0), self.stream, block)
        for at in range(0, len(payload), 16384):
            last = at + 16384 >= len(payload)
            out += self.frame(DATA, END_STREAM if last and end else 0, self.stream, payload[at:at + 16384])
        self.answers[self.stream] = [None, b"", False]
        self.send(out)
        return self.stream

    def step(self):
        """Reads one frame."""
        head = self.take_plain(9)
        size, (kind, flags, stream) = struct.unpack(">I", b"\0" + head[:3])[0], struct.unpack(">BBI", head[3:])
        payload = self.take_plain(size)
        answer = self.answers.get(stream & 0x7FFFFFFF)
        if kind == SETTINGS and not flags & ACK:
            self.send(self.frame(SETTINGS, ACK, 0, b""))
        elif kind == GOAWAY:
            raise ConnectionError("the server says go away")
        elif kind == HEADERS and answer:
            answer[0] = status_of(payload)
        elif kind == DATA and answer:
            answer[1] += payload
        elif kind == RESET and answer:
            answer[0], answer[2] = answer[0] or 0, True
        if kind in (HEADERS, DATA) and flags & END_STREAM and answer:
            answer[2] = True

    def wait(self, stream):
        """(status, body) of a request that ends; status 0: it was reset."""
        while not self.answers[stream][2]:
            self.step()
        return tuple(self.answers.pop(stream)[:2])

    def first_bytes(self, stream):
        """The status of a stream and at least one byte of it, or its end."""
        while not self.answers[stream][1] and not self.answers[stream][2]:
            self.step()
        return self.answers[stream][0], self.answers[stream][1]

    def request(self, path, body, method="POST"):
        return self.wait(self.begin(path, body, method))


def node_key(private):
    return "nodekey:" + public(private).hex()


def machine_key(private):
    return "mkey:" + public(private).hex()


def registration(node_private, auth_key=None, **more):
    body = {"Version": VERSION, "NodeKey": node_key(node_private), "OldNodeKey": "nodekey:" + "0" * 64,
            "Hostinfo": {"Hostname": "by-hand", "OS": "linux"}, **more}
    if auth_key:
        body["Auth"] = {"AuthKey": auth_key}
    return body


def map_request(node_private, stream=True, **more):
    return {"Version": VERSION, "NodeKey": node_key(node_private), "DiscoKey": "discokey:" + os.urandom(32).hex(),
            "Stream": stream, "KeepAlive": True, "Compress": "", "Hostinfo": {"Hostname": "by-hand", "OS": "linux"}, **more}
