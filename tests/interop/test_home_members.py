#!/usr/bin/python3
"""Membership of our own coordinator as official nodes meet it: keys of every kind, many at once with one name,
signing out and in, expiry and renewal, removal, what the policy gives. The pair is newcomer/watcher."""

import json
import os
import shutil
import time
import traceback
from datetime import datetime

from home import Home
from lab import Lab, Tap, tail, wait_for
from nodes import chosen_pairs, make_node

POLICY = """{
  "tagOwners": {"tag:shop": ["autogroup:admin"]},
  "autoApprovers": {"routes": {"10.44.0.0/16": ["tag:shop"]}, "exitNode": ["tag:shop"]},
  "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "app": {"example.com/cap/till": [{"drawer": 7}]}}],
  "ssh": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self"], "users": ["root"]}],
  "nodeAttrs": [{"target": ["autogroup:member"], "attr": ["example.com/marked"]}],
}"""


def sign_in(node, key, *options, check=True):
    return node.cli("up", f"--login-server={node.tailnet.url}", f"--hostname={node.name}", "--accept-dns=false",
                    "--timeout=90s", f"--auth-key={key}", *options, check=check)


def crowd(tap, lab, home, kind):
    with tap.test("six of one name join at once: six names, six addresses, and everybody sees everybody"):
        nodes = [make_node(kind, home, lab.host(f"t{n}"), f"twin{n}") for n in range(6)]
        key = home.run("keys", "create", "--reusable", "--ephemeral").strip()
        for node in nodes:
            node.launch()
        for node in nodes:
            wait_for(node.answers, 20, f"{node.name} answers")
        ups = [node.host.popen(node.cli_command() + ["up", f"--login-server={home.url}", "--hostname=twin",
                                                     "--accept-dns=false", f"--auth-key={key}"],
                               env=node.environment) for node in nodes]
        assert [up.wait(90) for up in ups] == [0] * 6
        entries = [node for node in home.json("nodes", "list") if node["name"].startswith("twin")]
        assert sorted(e["name"] for e in entries) == ["twin"] + [f"twin-{n}" for n in range(1, 6)], entries
        assert len({a for e in entries for a in e["addresses"]}) == 12
        for node in nodes:
            wait_for(lambda: sum(p["HostName"] == "twin" for p in node.status()["Peer"].values()) == 5, 10,
                     "it sees the others")
    with tap.test("ephemeral ones that sign out are gone at once"):
        for node in nodes:
            node.logout()
        assert not [node for node in home.json("nodes", "list") if node["name"].startswith("twin")]
        for node in nodes:
            node.stop()


def keys(tap, home, node, watcher):
    with tap.test("a revoked key is refused with its reason, and a spent one lets its own device in again"):
        revoked = home.run("keys", "create", "--reusable").strip()
        home.run("keys", "revoke", next(k["id"] for k in home.json("keys", "list") if k["id"] in revoked))
        done = sign_in(node, revoked, check=False)
        assert done.returncode != 0 and "revoked" in done.stderr, done
        once = home.run("keys", "create").strip()
        sign_in(node, once)
        node.stop()
        node.start()
        sign_in(node, once)
        node.wait_running()
        watcher.wait_peer(node)


def expiry(tap, home, node, watcher):
    key = home.run("keys", "create", "--reusable").strip()
    address, name = node.ip4, node.name
    with tap.test("an expired device must sign in, and is then who it was"):
        home.run("nodes", "expire", name)
        node.wait_state("NeedsLogin", 10)
        wait_for(lambda: not watcher.icmp(address, count=1, check=False), 10, "nothing reaches it")
        sign_in(node, key, "--force-reauth")
        node.wait_running()
        assert node.ip4 == address and home.node(name), node.status()
        wait_for(lambda: watcher.icmp(address, count=1, check=False), 10, "it is reached again")
    with tap.test("a sign-in that is renewed in time changes the key and nothing else"):
        before = home.node(name)
        sign_in(node, key, "--force-reauth")
        node.wait_running()
        after = home.node(name)
        assert (after["id"], after["addresses"]) == (before["id"], before["addresses"])
        assert after["nodeKey"] != before["nodeKey"]
        wait_for(lambda: watcher.icmp(address, count=1, check=False), 10, "it is reached")
    with tap.test("a sign-in that runs out by the clock ends by itself, unless it was renewed in time"):
        home.run("nodes", "expire", name, "--in=20s")
        sign_in(node, key, "--force-reauth")
        wait_for(lambda: expires_in(home, name) > 60, 10, "it lasts longer")
        home.run("nodes", "expire", name, "--in=8s")
        wait_for(lambda: expires_in(home, name) < 9, 10, "it ends soon")
        assert node.state() == "Running" and watcher.icmp(address, count=1)
        node.wait_state("NeedsLogin")
        wait_for(lambda: not watcher.icmp(address, count=1, check=False), 10, "nothing reaches it")
        sign_in(node, key, "--force-reauth")
        node.wait_running()
        assert node.ip4 == address
    with tap.test("signed out and in again it has its address; a name that was given stays"):
        home.run("nodes", "rename", name, "till-1")
        node.logout()
        wait_for(lambda: not watcher.icmp(address, count=1, check=False), 10, "nothing reaches it")
        sign_in(node, key)
        node.wait_running()
        assert node.ip4 == address and home.node("till-1")["addresses"][0] == address
        home.run("nodes", "rename", "till-1", name)
    with tap.test("removed, it is gone for others; signed in again it is a new device"):
        number = home.node(name)["id"]
        home.run("nodes", "remove", name)
        watcher.wait_peer(node, lambda p: p is None, 10, "is gone")
        sign_in(node, key, "--force-reauth")
        node.wait_running()
        assert home.node(name)["id"] > number
        watcher.wait_peer(node)


def expires_in(home, name):
    """Seconds until the device must sign in again, many when it never must."""
    at = home.node(name).get("keyExpiry")
    return datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() - time.time() if at else 1e9


def policy(tap, home, node, watcher):
    home.set_policy(POLICY)
    with tap.test("a tagged device belongs to nobody, and its routes are approved by the policy"):
        node.logout()
        node.cli("up", f"--login-server={home.url}", f"--hostname={node.name}", "--accept-dns=false", "--timeout=90s",
                 "--auth-key=" + home.run("keys", "create", "--tags=tag:shop").strip(),
                 "--advertise-routes=10.44.7.0/24,10.45.0.0/24", "--advertise-exit-node")
        peer = watcher.wait_peer(node, lambda p: p and p.get("Tags") and p.get("PrimaryRoutes") and p)
        assert peer["Tags"] == ["tag:shop"] and peer["PrimaryRoutes"] == ["10.44.7.0/24"], peer
        assert peer["ExitNodeOption"]
        assert json.loads(watcher.cli("whois", "--json", node.ip4).stdout)["UserProfile"]["LoginName"] \
            == "tagged-devices"
    with tap.test("capabilities, attributes and SSH rules of the policy arrive"):
        whois = json.loads(node.cli("whois", "--json", watcher.ip4).stdout)
        assert whois["UserProfile"]["LoginName"] == home.json("users", "list")[0]["login"], whois
        assert whois["CapMap"]["example.com/cap/till"] == [{"drawer": 7}], whois
        if watcher.kind == "official":
            netmap = watcher.cli("debug", "netmap").stdout
            for word in ("example.com/marked", "https://tailscale.com/cap/file-sharing", '"sshUsers"', '"root"'):
                assert word in netmap, (word, netmap[:2000])


def files(tap, home, a, b):
    with tap.test("a file goes from one official node to another of the same person"):
        source, target = os.path.join(a.dir, "letter.txt"), os.path.join(b.dir, "inbox")
        os.mkdir(target)
        with open(source, "w", encoding="ascii") as file:
            file.write("dear beta\n" * 1000)
        wait_for(lambda: b.name in a.cli("file", "cp", "--targets", check=False).stdout, 10, "it is a target")
        a.cli("file", "cp", source, f"{b.name}:")
        b.cli("file", "get", "--wait", target)
        with open(os.path.join(target, "letter.txt"), encoding="ascii") as file:
            assert file.read() == "dear beta\n" * 1000


def clone(tap, lab, home, node, watcher):
    """A computer that was copied with its state: two streams of one node."""
    with tap.test("a second stream of one node disturbs nobody, and the node is online until both have ended"):
        shadow = make_node(node.kind, home, lab.host("shadow"), "shadow")
        shutil.rmtree(shadow.dir)
        shutil.copytree(node.dir, shadow.dir, ignore=shutil.ignore_patterns("sock", "log", "bus"))
        began = requests(home)
        shadow.start()
        shadow.wait_running()
        time.sleep(5)
        assert requests(home) - began < 12, "the two drive each other out"
        assert watcher.peer(node)["Online"]
        shadow.stop()
        time.sleep(1)
        assert node.state() == "Running" and home.node(node.name)["online"]


def requests(home):
    return tail(os.path.join(home.dir, "coordinator.log"), 100000).count("/machine/map")


def main():
    chosen = chosen_pairs(("official/official", "warren/official"))
    tap = Tap("membership of our own coordinator", 200 * len(chosen))
    for kinds in chosen:
        tap.note("/".join(kinds))
        with Lab() as lab, Home(lab) as home:
            tap.evidence = [home.log]
            try:
                watcher = make_node(kinds[1], home, lab.host("w"), "watcher").start()
                watcher.up(auth_key=home.run("keys", "create").strip())
                node = make_node(kinds[0], home, lab.host("n"), "newcomer").start()
                crowd(tap, lab, home, kinds[0])
                keys(tap, home, node, watcher)
                if kinds == ("official", "official"):
                    files(tap, home, node, watcher)
                    clone(tap, lab, home, node, watcher)
                expiry(tap, home, node, watcher)
                policy(tap, home, node, watcher)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()


if __name__ == "__main__":
    main()
