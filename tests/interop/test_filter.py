#!/usr/bin/python3
"""A policy that lets one peer reach tcp/22 only: the receiver drops everything else, in both families."""

import socket

from lab import wait_for
from scenario import run_pairs
from traffic import FAMILY, connects, is_shut, reaches


def datagram_arrives(sender, receiver, port, family, attempts=3):
    inside = receiver.host.socket(FAMILY[family], socket.SOCK_DGRAM)
    inside.bind((receiver.address(family), port))
    inside.settimeout(0.3)
    outside = sender.host.socket(FAMILY[family], socket.SOCK_DGRAM)
    try:
        for _ in range(attempts):
            outside.sendto(b"knock", (receiver.address(family), port))
            try:
                return inside.recv(10) == b"knock"
            except TimeoutError:
                pass
        return False
    finally:
        inside.close()
        outside.close()


def scenario(s):
    # The node under test receives: in warren/official it is alpha.
    a, b = s.a, s.b
    c = s.node("official", "gamma")
    c.start()
    s.connect()
    c.up()
    for node in (a, b):
        node.wait_peer(c)
    a.wait_path(b, "direct")
    families = (4, 6)
    with s.test("before the policy every port is open"):
        for family in families:
            assert reaches(b, a, 2222, family) and datagram_arrives(b, a, 5353, family, attempts=60)
    allowed = {"SrcIPs": [b.ip4, b.ip6], "DstPorts": [{"IP": ip, "Ports": {"First": 22, "Last": 22}}
                                                     for ip in (a.ip4, a.ip6)], "IPProto": [6]}
    s.control("filter", Node="alpha", Rules=[allowed])
    wait_for(lambda: is_shut(b, a, 2222), 10, "the policy arrives")
    for family in families:
        with s.test(f"IPv{family}: the allowed peer reaches tcp/22 and nothing else"):
            assert reaches(b, a, 22, family)
            assert not connects(b, a, 23, family) and not connects(b, a, 2222, family)
            assert not datagram_arrives(b, a, 22, family)
        with s.test(f"IPv{family}: another peer reaches nothing"):
            assert not connects(c, a, 22, family)
            assert not c.icmp(a.address(family), count=1, check=False)
        with s.test(f"IPv{family}: what the receiver begins is answered"):
            assert reaches(a, b, 2222, family) and reaches(a, c, 80, family)
    with s.test("ranges of addresses that are no prefixes are understood"):
        # 100.64.0.1-100.64.0.2 are alpha and beta; gamma is 100.64.0.3.
        rule = dict(allowed, SrcIPs=["100.64.0.1-100.64.0.2"])
        s.control("filter", Node="alpha", Rules=[dict(rule, DstPorts=[{"IP": "*", "Ports": {"First": 80, "Last": 90}}])])
        wait_for(lambda: connects(b, a, 85, timeout=3), 10, "the new policy arrives")
        assert not connects(b, a, 22) and not connects(c, a, 85)
    with s.test("an empty policy closes everything, and its end opens everything again"):
        s.control("filter", Node="alpha", Rules=[])
        wait_for(lambda: is_shut(b, a, 85), 10, "the empty policy arrives")
        assert not b.icmp(a.ip4, count=1, check=False)
        s.control("filter", Node="alpha")
        wait_for(lambda: connects(b, a, 2222, timeout=3), 10, "the end of the policy arrives")
        assert reaches(c, a, 80, 6)


run_pairs("the packet filter", scenario, timeout=120)
