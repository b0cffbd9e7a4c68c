#!/usr/bin/python3
"""Nodes on our own coordinator and relay: joining, seeing each other, policy, management."""

import json
import os
import traceback

from home import Home
from lab import Lab, Tap, wait_for
from nodes import chosen_pairs, make_node
from traffic import transfer


def joining(tap, home, a, b):
    with tap.test("both join with one reusable key"):
        key = home.run("keys", "create", "--reusable").strip()
        for node in (a, b):
            node.start()
            node.up(auth_key=key)
            assert node.state() == "Running", node.status()
        wait_for(lambda: all(home.node(n.name)["online"] for n in (a, b)), 10, "both are online")
    with tap.test("pings go both ways and the path becomes direct"):
        a.wait_peer(b)
        b.wait_peer(a)
        for near, far in ((a, b), (b, a)):
            near.icmp(far.ip4)
            near.icmp(far.ip6)
            near.wait_path(far, "direct")


def questions(tap, a, b):
    """What the official program asks of coordinator, relay and peers, and is content with."""
    with tap.test("tailscale status names the other and complains of nothing"):
        status = a.status()
        assert not status.get("Health"), status["Health"]
        assert a.peer(b)["Online"] and "beta" in a.cli("status").stdout and "#" not in a.cli("status").stdout
    with tap.test("tailscale netcheck finds the relay, by UDP too"):
        wait_for(lambda: netcheck(a), 20, "netcheck is content")
    with tap.test("tailscale debug derp finds nothing wrong with the relay"):
        region = next(iter(json.loads(a.cli("debug", "derp-map").stdout)["Regions"].values()))
        report = json.loads(a.cli("debug", "derp", region["RegionCode"]).stdout)
        # The relay here has no IPv6 address; the program then looks for a host called "none".
        assert not [error for error in report.get("Errors") or [] if "lookup none" not in error], report
        assert any("Successfully established a DERP connection" in text for text in report["Info"]), report
    with tap.test("tailscale ping comes back by disco, TSMP and ICMP"):
        for kind in ("--tsmp", "--icmp"):
            assert "pong" in a.cli("ping", kind, "-c=1", "--timeout=30s", b.ip4).stdout
        assert "pong from beta" in a.ping(b, timeout=30)


def netcheck(node):
    said = node.cli("netcheck").stdout
    return "UDP: true" in said and "Nearest DERP" in said and "unknown" not in said


def relay(tap, lab, home, a, b):
    with tap.test("without UDP between them 20 MB go through our relay, checksums equal"):
        lab.block_udp(a.host, b.host)
        a.wait_path(b, "relay")
        transfer(a, b, 20)
        lab.unblock_udp(a.host, b.host)
        a.wait_path(b, "direct", timeout=60)


def verification(tap, home, a):
    def verify(body, method="POST"):
        """Status and answer to a relay's question, as derper asks it with -verify-client-url."""
        out = home.host.run("curl", "-s", "-X", method, "-w", "\n%{http_code}", "-H", "Content-Type: application/json",
                            "--data-binary", body, f"{home.url}/verify")
        return out.rsplit("\n", 1)[1].strip(), out.rsplit("\n", 1)[0]

    with tap.test("other relays may ask whom they may serve"):
        key = home.node(a.name)["nodeKey"]
        assert verify(json.dumps({"NodePublic": key, "Source": "192.0.2.1"})) == ("200", '{"Allow":true}')
        stranger = key[:-4] + ("0000" if key[-4:] != "0000" else "1111")
        assert verify(json.dumps({"NodePublic": stranger, "Source": "192.0.2.1"})) == ("200", '{"Allow":false}')
        assert verify("{}") == ("200", '{"Allow":false}') and verify("no")[0] == "400"
        assert verify(json.dumps({"NodePublic": key, "Source": "x" * 5000}))[0] == "413"


def policy(tap, home, a, b):
    with tap.test("a policy without rules ends what was allowed, and allowing brings it back"):
        assert a.icmp(b.ip4, count=1)
        home.set_policy('{"acls": []}')
        wait_for(lambda: not (a.status().get("Peer") or {}), 10, "nobody is visible any more")
        home.set_policy('{ /* everybody */ "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"],},],}')
        a.wait_peer(b)
        b.wait_peer(a)
        wait_for(lambda: a.icmp(b.ip4, count=1, check=False), 15, "echoes come back")
    with tap.test("a bad policy is refused and changes nothing"):
        try:
            home.set_policy('{"acls": [{"action": "deny"}]}')
            raise AssertionError("it was taken")
        except Exception as error:
            assert "only" in str(error) or "exit" in str(error), error
        assert "everybody" in home.run("policy", "get")


def management(tap, home, a, b):
    with tap.test("a new name reaches the other node"):
        home.run("nodes", "rename", b.name, "renamed")
        wait_for(lambda: any(peer["DNSName"].startswith("renamed.") for peer in (a.status().get("Peer") or {}).values()),
                 10, "the peer has its new name")
        home.run("nodes", "rename", "renamed", b.name)
        a.wait_peer(b)
    with tap.test("a one-shot key lets one device in"):
        key = home.run("keys", "create").strip()
        third = make_node(a.kind, home, home.lab.host("c"), "gamma").start()
        third.up(auth_key=key)
        fourth = make_node(a.kind, home, home.lab.host("d"), "delta").start()
        done = fourth.up(auth_key=key, check=False, timeout=8)
        assert done.returncode != 0 and fourth.state() != "Running", fourth.status()
        fourth.stop()
        home.run("nodes", "remove", "gamma")
        wait_for(lambda: a.peer(third) is None, 10, "the removed device is gone")
        third.stop()
    with tap.test("a device waits for approval and is let in"):
        fifth = make_node(b.kind, home, home.lab.host("e"), "epsilon").start()
        url = fifth.begin_login()
        assert "/register/" in url, url
        page = a.host.run("curl", "-s", url)
        assert "epsilon" in page and "<script" not in page, page
        home.run("nodes", "approve", "epsilon")
        fifth.wait_running()
        fifth.stop()


def main():
    chosen = chosen_pairs(("official/official", "warren/official", "warren/warren"))
    tap = Tap("our own coordinator and relay", 200 * len(chosen))
    for kinds in chosen:
        tap.note("/".join(kinds))
        with Lab() as lab, Home(lab, official="official" in kinds) as home:
            tap.evidence = [home.log]
            try:
                a = make_node(kinds[0], home, lab.host("a"), "alpha")
                b = make_node(kinds[1], home, lab.host("b"), "beta")
                joining(tap, home, a, b)
                if kinds[0] == "official":
                    questions(tap, a, b)
                relay(tap, lab, home, a, b)
                verification(tap, home, a)
                policy(tap, home, a, b)
                management(tap, home, a, b)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()


main()
