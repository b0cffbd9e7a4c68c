"""One DNS question over UDP, from a namespace of the lab.

    code, answers = ask(host, "100.100.100.100", "beta.home.internal", "AAAA")
"""

import ipaddress
import os
import socket
import struct

KINDS = {"A": 1, "CNAME": 5, "PTR": 12, "AAAA": 28}
NXDOMAIN = 3


def reverse(address):
    """The name under which the name of an address is asked for."""
    return ipaddress.ip_address(address).reverse_pointer


def _encode(name):
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _name(data, at):
    """The name at an offset, and the offset behind it."""
    labels, behind = [], None
    while data[at]:
        if data[at] >= 0xc0:
            behind = behind or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3fff
            continue
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels), behind or at + 1


def ask(host, server, name, kind="A", timeout=3):
    """The response code and the texts of the answers of the kind."""
    s = host.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    number = os.urandom(2)
    try:
        s.sendto(number + struct.pack("!HHHHH", 0x100, 1, 0, 0, 0) + _encode(name) + struct.pack("!HH", KINDS[kind], 1),
                 (server, 53))
        data = s.recv(4096)
    finally:
        s.close()
    assert data[:2] == number, "an answer to another question"
    questions, answers = struct.unpack_from("!HH", data, 4)
    at, found = 12, []
    for _ in range(questions):
        at = _name(data, at)[1] + 4
    for _ in range(answers):
        _, at = _name(data, at)
        code, _, _, size = struct.unpack_from("!HHIH", data, at)
        value = data[at + 10:at + 10 + size]
        if code == KINDS[kind]:
            found.append(_name(data, at + 10)[0] if kind in ("PTR", "CNAME") else str(ipaddress.ip_address(value)))
        at += 10 + size
    return data[3] & 15, found
