#!/usr/bin/python3
"""One Warren daemon and its host: privileges, a second daemon, IPv6 off, strict reverse path filters."""

import os

from host_state import difference, snapshot
from lab import wait_for
from nodes import Warren
from scenario import run_pairs
from traffic import seen_address, transfer

NET_ADMIN_AND_RAW = 1 << 12 | 1 << 13


def proc_status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def scenario(s):
    a, b, lab = s.a, s.b, s.lab
    s.connect()
    with s.test("the daemon runs as an unprivileged user with its two capabilities and can gain no others"):
        status = proc_status(a.process.pid)
        assert status["Uid"].split()[0] != "0" and status["NoNewPrivs"] == "1", status
        for kind in ("CapEff", "CapPrm", "CapBnd"):
            assert int(status[kind], 16) & ~NET_ADMIN_AND_RAW == 0, (kind, status[kind])
    with s.test("its state is its own: folder 0700, files 0600"):
        for folder, _, files in os.walk(a.state_dir):
            assert os.stat(folder).st_mode & 0o777 == 0o700, folder
            for name in files:
                assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name
    with s.test("a second daemon in the same namespace is told and touches nothing"):
        second = Warren(s.tailnet, a.host, "second")
        second.tun = "warren1"
        before = snapshot(a.host)
        second.launch()
        assert second.process.wait(60) != 0
        assert f"another Warren daemon manages this network namespace (pid {a.process.pid})" in second.log()
        assert not difference(before, snapshot(a.host))
        assert not os.listdir(second.state_dir), os.listdir(second.state_dir)
        a.icmp(b.ip4)
    with s.test("started as root it works as well, and leaves the host as it was"):
        host = lab.host("r")
        before = snapshot(host)
        root = Warren(s.tailnet, host, "root", as_root=True).start()
        root.up()
        root.wait_peer(b)
        root.icmp(b.ip4)
        root.stop()
        assert not difference(before, snapshot(host)), difference(before, snapshot(host))
    with s.test("a host whose IPv6 is off connects with IPv4 alone"):
        host = lab.host("v4", ipv6=False)
        host.sysctl("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        old = Warren(s.tailnet, host, "four").start()
        old.up()
        old.wait_peer(b)
        old.wait_path(b, "direct")
        old.icmp(b.ip4)
        transfer(old, b, 5)
    with s.test("with strict reverse path filters everywhere, direct paths and exit nodes work"):
        host = lab.host("rp")
        host.sysctl("net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.default.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=1")
        web = lab.server("web", "20.99.0", "2a00:77:99")
        strict = Warren(s.tailnet, host, "strict").start()
        strict.up()
        b.set("--advertise-exit-node")
        s.control("routes", Node="beta", Routes=["0.0.0.0/0", "::/0"])
        strict.wait_peer(b, lambda p: p and p.get("ExitNodeOption"), what="offers to be an exit node")
        strict.set(f"--exit-node={b.ip4}")
        strict.wait_path(b, "direct")
        wait_for(lambda: seen_address(host, web) == b.host.ip4, 5, "traffic goes through the exit node")
        transfer(strict, b, 5)
        strict.wait_path(b, "direct", timeout=5)


run_pairs("a daemon and its host", scenario, timeout=150, pairs=("warren/official",))
