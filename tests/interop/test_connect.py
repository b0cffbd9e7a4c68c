#!/usr/bin/python3
"""Two nodes join with an auth key, ping, and move 100 MB each way: directly, then through the relay."""

from scenario import run_pairs
from traffic import transfer


def scenario(s):
    a, b, lab = s.a, s.b, s.lab
    with s.test("both are Running with an auth key"):
        s.control("mode", require_auth_key="tskey-auth-lab")
        s.connect(auth_key="tskey-auth-lab")
        s.control("mode", require_auth_key="")
        for node in (a, b):
            status = node.status()
            assert status["BackendState"] == "Running" and len(status["TailscaleIPs"]) == 2, status
            assert node.peer(b if node is a else a)["Online"]
    with s.test("the commands' pings are answered both ways"):
        assert "pong from beta" in a.ping(b)
        assert "pong from alpha" in b.ping(a)
    with s.test("echoes come back both ways, IPv4 and IPv6"):
        for near, far in ((a, b), (b, a)):
            near.icmp(far.ip4)
            near.icmp(far.ip6)
    with s.test("the path is direct as both report it"):
        a.wait_path(b, "direct")
        b.wait_path(a, "direct")
        assert " via " in a.ping(b) and "DERP" not in a.ping(b)
    for near, far, family in ((a, b, 4), (b, a, 4), (a, b, 6), (b, a, 6)):
        with s.test(f"100 MB go directly from {near.name} to {far.name} by IPv{family}, checksums equal"):
            s.tap.note(f"{transfer(near, far, 100, family):.0f} Mbit/s")
            assert a.path(b) == "direct" and b.path(a) == "direct"
    with s.test("without UDP between them both report the relay"):
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        b.wait_path(a, "relay")
        assert "DERP(lab1)" in a.ping(b) and "DERP(lab1)" in b.ping(a)
    for near, far in ((a, b), (b, a)):
        with s.test(f"100 MB go through the relay from {near.name} to {far.name}, checksums equal"):
            s.tap.note(f"{transfer(near, far, 100):.0f} Mbit/s")
            assert a.path(b) == "relay"
    with s.test("down stops, up starts again without signing in"):
        address = a.ip4
        a.down()
        a.wait_state("Stopped")
        b.wait_peer(a, lambda p: p and not p["Online"], what="is offline")
        a.up()
        assert a.ip4 == address
        a.icmp(b.ip4)
    with s.test("a clean stop and start comes back by itself"):
        a.stop()
        a.start()
        a.wait_running()
        a.icmp(b.ip4)


run_pairs("connecting", scenario, timeout=300)
