#!/usr/bin/python3
"""Nodes behind NATs: easy ones on both sides end in a direct path, hopeless ones in the relay."""

from lab import Lab, Tailnet, Tap
from mapper import Mapper
from nodes import chosen_pairs, make_node

# NAT of either side (None: none) and the path that must come of it.
TABLE = [
    ("easy", "easy", "direct"),
    ("easy", None, "direct"),
    ("symmetric", None, "direct"),
    ("symmetric", "cone", "direct"),
    ("cgnat", "easy", "direct"),
    ("one-to-one", "easy", "direct"),
    ("symmetric", "easy", "direct"),  # not even two official nodes do that
    ("sequential", "cgnat", "direct"),
    ("symmetric with NAT-PMP", "symmetric", "direct"),
    ("symmetric with PCP", "symmetric", "direct"),
    ("symmetric", "symmetric", "relay"),
    ("udp-blocked", "easy", "relay"),
]


def main():
    pairs = chosen_pairs()
    tap = Tap("NATs", timeout=60 * len(pairs) * len(TABLE))
    for kinds in pairs:
        for left, right, path in TABLE:
            with Lab() as lab, Tailnet(lab) as tailnet:
                tap.evidence = [tailnet.evidence]
                with tap.test(f"{'/'.join(kinds)}: {left} and {right or 'no NAT'} end in {path}"):
                    nat, _, service = left.partition(" with ")
                    host = lab.host("a", nat=nat, ipv6=False)
                    if service:
                        Mapper(host, {"NAT-PMP": "pmp", "PCP": "pcp"}[service])
                    a = make_node(kinds[0], tailnet, host, "alpha").start()
                    b = make_node(kinds[1], tailnet, lab.host("b", nat=right, ipv6=False), "beta").start()
                    a.up()
                    b.up()
                    a.wait_peer(b)
                    if path == "relay":
                        a.ping(b, count=6, check=False)
                    a.wait_path(b, path, timeout=40)
                    b.wait_path(a, path, timeout=40)
                    a.icmp(b.ip4)
                    b.icmp(a.ip4)
    tap.finish()


main()
