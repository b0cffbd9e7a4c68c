#!/usr/bin/python3
"""Shows that the laboratory's NATs behave as nat.py says, and that nothing stays behind."""

import os
import socket

from natlab import Lab, run
from tap import Tap, skip_all

# kind: (external ports seen by two ports of a server, does a stranger's answer arrive)
EXPECTED = {
    None: ("same", True), "easy": ("same", False), "symmetric": ("differ", False), "sequential": ("next", False),
    "address": ("same", True), "cone": ("same", True), "one-to-one": ("same", True), "cgnat": ("same", False),
    "cgnat-symmetric": ("differ", False), "udp-blocked": (None, False), "tcp443": (None, False),
    "clash": ("same", False),
}


def udp(namespace, address, port):
    s = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    s.settimeout(0.3)
    return s


def received(s):
    try:
        return s.recvfrom(100)
    except TimeoutError:
        return None, None


def behaviour(host, server):
    """How the host's NAT maps and filters."""
    inside = udp(host, "0.0.0.0", 41641)
    ports = []
    for port in (3478, 3479):
        outside = udp(server, server.ip4, port)
        inside.sendto(b"hello", (server.ip4, port))
        ports.append(received(outside)[1])
        outside.close()
    if None in ports:
        return None, False
    # The stranger has the server's address: "address" lets it pass, "easy" does not.
    stranger = udp(server, server.ip4, 0)
    stranger.sendto(b"surprise", ports[0])
    first, second = ports[0][1], ports[1][1]
    mapping = "same" if first == second else "next" if second == first + 1 else "differ"
    return mapping, received(inside)[0] == b"surprise"


def tcp_connects(host, server, port):
    listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((server.ip4, port))
    listener.listen()
    client = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(0.5)
    try:
        client.connect((server.ip4, port))
        return True
    except OSError:
        return False
    finally:
        client.close()
        listener.close()


def main():
    if os.geteuid() != 0:
        skip_all("needs root")
    tap = Tap("the NAT laboratory", timeout=90)
    with Lab() as lab:
        server = lab.server("server", "20.99.0", "2a00:77:99")
        for kind, expected in EXPECTED.items():
            with tap.test(f"{kind or 'no NAT'} maps and filters as told"):
                found = behaviour(lab.host(f"h{lab.sites}", nat=kind, ipv6=False), server)
                assert found == expected, found
        with tap.test("tcp443 lets port 443 through and nothing else"):
            host = lab.host("web", nat="tcp443")
            assert tcp_connects(host, server, 443) and not tcp_connects(host, server, 80)
        with tap.test("IPv6 passes a stateful firewall outwards, also after the cable was out"):
            host = lab.host("six", nat="easy", ipv6=True)
            host.run("ping", "-c1", "-W1", server.ip6)
            lab.cut(host)
            lab.mend(host)
            host.run("ping", "-c1", "-W2", server.ip6)
        with tap.test("UDP between two hosts can be blocked and allowed again"):
            a, b = lab.host("a"), lab.host("b")
            sender, receiver = udp(a, a.ip4, 5000), udp(b, b.ip4, 5000)
            seen = []
            for change in (None, lab.block_udp, lab.unblock_udp):
                if change:
                    change(a, b)
                sender.sendto(b"x", (b.ip4, 5000))
                seen.append(received(receiver)[0])
            assert seen == [b"x", None, b"x"], seen
    with tap.test("nothing stays behind"):
        left = [line for line in run(["ip", "netns", "list"]).splitlines() if line.startswith(f"wr{os.getpid()}-")]
        assert not left, left
    tap.finish()


main()
