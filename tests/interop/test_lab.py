#!/usr/bin/python3
"""Proves the laboratory with official nodes on both sides: direct, relayed, NATs, exit node, commands."""

from host_state import difference, snapshot
from lab import Lab, Tailnet, Tap, wait_for
from nodes import make_node
from traffic import Sniffer, Stream, is_shut, reaches, seen_address, transfer


def main():
    tap = Tap("the laboratory, with official nodes", timeout=240)
    with Lab() as lab, Tailnet(lab) as tailnet:
        tap.evidence.append(tailnet.evidence)
        web = lab.server("web", "20.99.0", "2a00:77:99")
        host = lab.host("a")
        before = snapshot(host)
        a = make_node("official", tailnet, host, "alpha").start()
        b = make_node("official", tailnet, lab.host("b"), "beta").start()
        with tap.test("two nodes are Running and ping each other"):
            a.up()
            b.up()
            a.wait_peer(b)
            assert "pong from beta" in a.ping(b)
            a.icmp(b.ip4)
            a.icmp(b.ip6)
        with tap.test("100 MB go directly both ways"):
            a.wait_path(b, "direct")
            rates = [transfer(a, b, 100), transfer(b, a, 100, family=6)]
            tap.note(f"{rates[0]:.0f} and {rates[1]:.0f} Mbit/s")
            assert a.path(b) == b.path(a) == "direct"
        with tap.test("a stream survives UDP being blocked and allowed again"):
            stream = Stream(a, b, seconds=20)
            stream.wait_until(4)
            lab.block_udp(a.host, b.host)
            stream.wait_until(11)
            tap.note(f"relayed? {a.path(b)}")
            lab.unblock_udp(a.host, b.host)
            stream.finish()
            tap.note(f"stalls: {stream.stall(0, 3.9):.2f} s, blocked {stream.stall(3.9, 10.5):.2f} s, after {stream.stall(10.9):.2f} s")
        with tap.test("100 MB go through the relay"):
            lab.block_udp(a.host, b.host)
            a.wait_path(b, "relay")
            tap.note(f"{transfer(a, b, 100):.0f} Mbit/s")
            lab.unblock_udp(a.host, b.host)
        with tap.test("easy NATs on both sides end in a direct path, symmetric ones do not"):
            c = make_node("official", tailnet, lab.host("c", nat="easy"), "gamma").start()
            d = make_node("official", tailnet, lab.host("d", nat="easy"), "delta").start()
            e = make_node("official", tailnet, lab.host("e", nat="symmetric"), "epsilon").start()
            for node in (c, d, e):
                node.up()
            c.wait_peer(d)
            c.wait_peer(e)
            c.wait_path(d, "direct")
            c.ping(e, count=5)
            c.wait_path(e, "relay")
        with tap.test("the internet is reached through an exit node and nothing leaks past it"):
            b.set("--advertise-exit-node")
            tailnet.control("routes", Node="beta", Routes=["0.0.0.0/0", "::/0"])
            a.wait_peer(b, lambda p: p and p.get("ExitNodeOption"), what="offers to be an exit node")
            assert seen_address(a.host, web) == a.host.ip4
            a.set(f"--exit-node={b.ip4}")
            with Sniffer(lab.core, a.host.uplink, lambda p: web.ip4 in p[2:4] or web.ip6 in p[2:4]) as sniffer:
                assert seen_address(a.host, web) == b.host.ip4
                assert seen_address(a.host, web, family=6) == b.host.ip6
            assert not sniffer.packets, sniffer.packets[:3]
            a.set("--exit-node=")
            assert seen_address(a.host, web) == a.host.ip4
        with tap.test("a filter lets only tcp/22 through"):
            rule = {"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 22, "Last": 22}}], "IPProto": [6]}
            tailnet.control("filter", Node="beta", Rules=[rule])
            wait_for(lambda: is_shut(a, b, 2222), 5, "port 2222 is closed")
            assert reaches(a, b, 22)
            tailnet.control("filter", Node="beta")
        with tap.test("control commands act: remove, refuse, message, expire, ping, c2n, synthetic peers"):
            tailnet.control("remove", Node="gamma")
            a.wait_peer(c, lambda p: p is None, what="is gone")
            tailnet.control("messages", Node="alpha", Messages={"lab": {"Title": "Lab", "Text": "A word.", "Severity": "low"}})
            assert tailnet.control("ping", Node="alpha")["Method"] == "HEAD"
            assert tailnet.control("c2n", Node="alpha", Method="POST", Path="/echo", Body="hi")["Body"] == "hi"
            tailnet.control("synth", Count=200)
            a.wait_peer(type("P", (), {"name": "synth-200"}))
            tailnet.control("synth", Count=0)
            tailnet.control("node", Node="alpha", Expire=True)
            a.wait_state("NeedsLogin")
        with tap.test("snapshots of a host show what a node changed, and nothing else"):
            now = snapshot(host)
            assert "links: +tailscale0" in difference(before, now) and not difference(now, snapshot(host))
    tap.finish()


main()
