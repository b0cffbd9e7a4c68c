#!/usr/bin/python3
"""Joining and leaving: links, keys, approval, rotation, removal, expiry, logout, and what servers say."""

import glob
import os
import re
import time

from lab import wait_for
from nodes import MANAGER
from scenario import run_pairs

TAI64 = 2**62 + 10  # the Unix epoch as WireGuard's timestamps count

# Texts of servers that mean "no", and the problem that Warren must name.
REFUSALS = [
    ("wrong", "invalid pre auth key", "auth-key-invalid"),
    ("spent", "authkey already used", "auth-key-used"),
    ("old", "authkey expired", "auth-key-invalid"),
    ("revoked", "authkey revoked", "auth-key-invalid"),
]


def refused_text(node, key):
    done = node.up(auth_key=key, timeout=60, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def handshakes_until(node):
    """The Unix time that the newest of its profiles reserves for handshakes: what it sends is older."""
    text = "".join(open(path).read() for path in glob.glob(f"{node.state_dir}/profiles/*/*") if os.path.isfile(path))
    return max(int(stamp[:16], 16) for stamp in re.findall(r"^handshake-time (\w+)$", text, re.M)) - TAI64


def scenario(s):
    a, b, control = s.a, s.b, s.control
    a.start()
    b.start()
    control("authkey", Key="spent", Used=True)
    control("authkey", Key="old", Expires="2020-01-01T00:00:00Z")
    control("authkey", Key="revoked", Revoked=True)
    control("authkey", Key="good", Reusable=True)
    control("authkey", Key="fleeting", Ephemeral=True, Reusable=True)
    if a.kind == "warren":
        for key, text, code in REFUSALS:
            with s.test(f"an auth key that is {key} is refused with the server's words and a problem"):
                said = refused_text(a, key)
                assert text in said and a.problem() == code, (said, a.problem())
    with s.test("the interactive link leads in, and status shows the same link"):
        url = a.begin_login()
        assert url.startswith(s.control.url + "/register/"), url
        wait_for(lambda: a.status().get("AuthURL") == url, 5, "status shows the link")
        assert a.state() == "NeedsLogin"
        control("approve", URL=url)
        assert a.login.wait(90) == 0
        a.wait_running()
    b.up(auth_key="good")
    a.wait_peer(b, lambda p: p and p["Online"], what="is online")
    a.wait_path(b, "direct")
    addresses, identity = a.addresses(), a.status()["Self"]["ID"]

    with s.test("a refused link says so and can be tried again"):
        c = s.node(a.kind, "gamma").start()
        control("deny", URL=c.begin_login(), Error="not today")
        c.login.wait(150)
        assert "not today" in c.cli("status", check=False).stdout + open(f"{c.dir}/login.log").read()
        c.wait_approved()
        c.down()
    with s.test("a peer that rotates its key is reached under the new one"):
        old = a.peer(b)["PublicKey"]
        b.wait_approved("--force-reauth")
        a.wait_peer(b, lambda p: p and p["PublicKey"] != old, what="has a new key")
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 10, "echoes come back")
        b.icmp(a.ip4)
    with s.test("an own key renewed keeps addresses and identity, and peers follow"):
        old = a.status()["Self"]["PublicKey"]
        a.wait_approved("--force-reauth")
        assert a.status()["Self"]["PublicKey"] != old
        assert a.addresses() == addresses and a.status()["Self"]["ID"] == identity
        wait_for(lambda: b.icmp(a.ip4, count=1, check=False), 10, "echoes come back")
    with s.test("an expired own key needs a sign-in, says so, and a sign-in repairs it"):
        control("expire", Node="alpha")
        a.wait_state("NeedsLogin")
        if a.kind == "warren":
            assert a.problem() == "key-expired", a.problem()
            said = a.cli("status", check=False)
            assert "sign in" in (said.stdout + said.stderr).lower(), said
        assert not b.icmp(a.ip4, count=1, check=False)
        a.wait_approved()
        assert a.addresses() == addresses
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 10, "echoes come back")
    with s.test("an expiry that an administrator lifts ends by itself"):
        control("expire", Node="alpha")
        a.wait_state("NeedsLogin")
        control("expire", Node="alpha", Lift=True)
        a.wait_running()
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 10, "echoes come back")
    if a.kind == "warren":
        with s.test("signed out, in again and killed, it begins conversations all the same"):
            a.kill9()  # a killed run's successor is ahead of the date with its handshakes
            a.start()
            a.wait_running()
            a.logout()
            a.up(auth_key="good")
            a.wait_peer(b)
            wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 30, "echoes come back under the new key")
            assert handshakes_until(a) > time.time() + 1800
            a.kill9()
            a.start()
            a.wait_running()
            wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 30, "echoes come back after the kill")
    with s.test("a restart of the server under running nodes changes nothing"):
        s.control.stop(kill=True)
        s.control.start()
        for node in (a, b):
            wait_for(lambda: control.node(node.name)["Streams"] > 0, 60, f"{node.name} is back")
        a.icmp(b.ip4)
    habits(s)
    with s.test("a peer that is removed is gone and no longer answered"):
        address = b.ip4
        control("remove", Node="beta")
        a.wait_peer(b, lambda p: p is None, what="is gone")
        assert not a.icmp(address, count=1, check=False)
        b.logout()
        b.up(auth_key="good")
        a.wait_peer(b)
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 10, "the new member is reached")
    with s.test("a removed node finds out and can sign in again"):
        control("remove", Node="alpha")
        if a.kind == "warren":
            a.wait_state("NeedsLogin", timeout=30)
            assert a.problem() == "node-removed", a.problem()
            a.wait_approved()
        else:  # official nodes ask for ever without telling
            a.logout()
            a.up(auth_key="good")
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 20, "echoes come back")
    with s.test("after a logout the node is expired at the server and needs a sign-in"):
        a.logout()
        a.wait_state("NeedsLogin")
        wait_for(lambda: control.node("alpha")["KeyExpiry"], 5, "the server knows")
        a.wait_approved()
    if a.kind == "warren":
        with s.test("a profile that is removed while another is active is signed out at the server"):
            d = s.node("warren", "delta").start()
            d.up(auth_key="good")
            first = d.active_session()
            d.bus_call(MANAGER, "Manager", "CreateSession", "sa{sv}", "http://127.0.0.1:9", "0")
            d.bus_call(MANAGER, "Manager", "RemoveSession", "o", first)
            wait_for(lambda: control.node("delta").get("KeyExpiry"), 5, "the server knows")
            assert first not in d.bus_objects()
    with s.test("an ephemeral node disappears after it was killed"):
        c.logout()
        c.up(auth_key="fleeting")
        a.wait_peer(c)
        c.kill9()
        a.wait_peer(c, lambda p: p is None, timeout=30, what="is gone")


def new_streams(s):
    """Ends every map stream and waits for the next ones, which know the server's new mode."""
    before = s.control("counts")["/machine/map"]
    s.control("end")
    wait_for(lambda: s.control("counts")["/machine/map"] >= before + 2, 30, "new map requests")
    for node in (s.a, s.b):
        wait_for(lambda: s.control.node(node.name)["Streams"] > 0, 60, f"{node.name} is back")


def habits(s):
    """What a self-hosted server does differently."""
    a, b, control = s.a, s.b, s.control
    with s.test("a server that forgets what a request does not say is told everything"):
        control("mode", erase_absent=True)
        a.stop()
        a.start()
        a.wait_running()
        wait_for(lambda: control.node("alpha").get("Endpoints"), 10, "the server knows endpoints")
        entry = control.node("alpha")
        assert entry["DiscoKey"] and entry["Hostinfo"].get("Hostname") == "alpha" and entry.get("HomeDERP"), entry
        a.wait_path(b, "direct")
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 10, "echoes come back")
        control("mode", erase_absent=False)
    with s.test("a server that repeats all peers in every message disturbs nothing"):
        control("mode", whole_list=True)
        new_streams(s)
        for _ in range(5):
            control("expire", Node="gamma", Lift=True)
            control("raw", Node="alpha", Response={"ControlTime": "2026-01-01T00:00:00Z"})
        a.icmp(b.ip4)
        assert a.path(b) == "direct"
        control("mode", whole_list=False)
    with s.test("headers that wait for the first frame are waited for"):
        control("mode", first_frame_ms=1500)
        new_streams(s)
        a.wait_running()
        control("mode", first_frame_ms=0)
    with s.test("without an early payload the session works all the same"):
        control("mode", early_payload=False)
        a.stop()
        a.start()
        a.wait_running()
        wait_for(lambda: control.node("alpha")["Streams"] > 0, 30, "alpha is back")
        control("mode", early_payload=True)


run_pairs("membership", scenario, timeout=400, server="labregister")
