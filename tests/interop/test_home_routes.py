#!/usr/bin/python3
"""A subnet and an exit node on our own coordinator: offered, approved, used, withdrawn; official and ours
on either side. The pair is client/router."""

import socket
import time
import traceback

from home import Home
from lab import Lab, Tap, wait_for
from nodes import chosen_pairs, make_node
from traffic import seen_address

LAN4, LAN6 = "192.168.50", "fd50:50"


def seen(host, server, family=4):
    try:
        return seen_address(host, server, family, timeout=1)
    except OSError:
        return None


def state(home, node, key):
    return sorted((home.node(node.name) or {}).get(key) or [])


def join(home, client, router):
    key = home.run("keys", "create", "--reusable").strip()
    for node in (router, client):
        node.start()
        node.up(auth_key=key)
    client.wait_peer(router)
    router.wait_peer(client)


def subnet(tap, home, client, router, web):
    routes = [f"{LAN4}.0/24", f"{LAN6}::/64"]
    with tap.test("an offered subnet is known to the coordinator and carries nothing before it is approved"):
        router.set("--advertise-routes=" + ",".join(routes))
        client.set("--accept-routes")
        wait_for(lambda: state(home, router, "advertisedRoutes") == routes, 10, "the offer is known")
        assert state(home, router, "approvedRoutes") == []
        assert seen(client.host, web) is None and seen(client.host, web, 6) is None
    with tap.test("approved, the client reaches the host behind the router, which sees the router's address"):
        home.run("routes", "approve", router.name, *routes)
        wait_for(lambda: seen(client.host, web) == f"{LAN4}.1", 10, "the web server is reached")
        wait_for(lambda: seen(client.host, web, 6) == f"{LAN6}::1", 5, "the web server is reached by IPv6")
        assert sorted(client.peer(router)["PrimaryRoutes"]) == routes
    with tap.test("4 MB pass it byte for byte"):
        bulk(client.host, web)
    with tap.test("without address translation the host behind the router sees the client's own address"):
        web.ip_batch(f"route add 100.64.0.0/10 via {LAN4}.1")
        router.set("--snat-subnet-routes=false")
        wait_for(lambda: seen(client.host, web) == client.ip4, 5, "the client's address is seen")
        router.set("--snat-subnet-routes=true")
        wait_for(lambda: seen(client.host, web) == f"{LAN4}.1", 5, "the router's address is seen")
    with tap.test("a client that does not accept routes is not affected"):
        client.set("--accept-routes=false")
        wait_for(lambda: seen(client.host, web) is None, 5, "the web server is not reached")
        client.set("--accept-routes=true")
        wait_for(lambda: seen(client.host, web), 5, "the web server is reached again")
    with tap.test("withdrawn by the coordinator, it is reached no more"):
        home.run("routes", "approve", router.name)
        wait_for(lambda: seen(client.host, web) is None, 10, "the web server is not reached")


def bulk(host, web):
    """4 MB from the client's host to the one behind the router; forwarded packets are merged and split again."""
    listener = web.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((web.ip4, 0))
    listener.listen()
    near = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    near.settimeout(20)
    near.connect(listener.getsockname())
    far, _ = listener.accept()
    far.settimeout(20)
    data, got = bytes(range(256)) * 64, 0
    for _ in range(256):
        near.sendall(data)
        while got % len(data) or not got:
            piece = far.recv(len(data) - got % len(data))
            assert piece == data[got % len(data):got % len(data) + len(piece)]
            got += len(piece)
        got = 0
    for s in (near, far, listener):
        s.close()


def exit_node(tap, home, client, router, web, internet):
    with tap.test("an offered exit node is none before it is approved"):
        router.set("--advertise-exit-node", "--advertise-routes=")
        wait_for(lambda: state(home, router, "advertisedRoutes") == ["0.0.0.0/0", "::/0"], 10, "the offer is known")
        time.sleep(1)
        assert not client.peer(router).get("ExitNodeOption")
    with tap.test("approved and chosen, the internet sees the exit node's addresses"):
        home.run("routes", "approve", router.name, "0.0.0.0/0", "::/0")
        client.wait_peer(router, lambda p: p and p.get("ExitNodeOption"), what="offers to be an exit node")
        client.set(f"--exit-node={router.ip4}")
        wait_for(lambda: seen(client.host, internet) == router.host.outside4, 10, "traffic goes through it")
        wait_for(lambda: seen(client.host, internet, 6) == router.host.ip6, 5, "and IPv6")
    with tap.test("it leads to the internet, not into the exit node's own network"):
        assert seen(client.host, web) is None and seen(client.host, web, 6) is None
    with tap.test("withdrawn, nothing leaks past it; none chosen, traffic goes its own way"):
        home.run("routes", "approve", router.name)
        wait_for(lambda: seen(client.host, internet) is None, 10, "traffic stops")
        client.set("--exit-node=")
        wait_for(lambda: seen(client.host, internet) == client.host.outside4, 10, "traffic goes its own way")


def kernel(tap, router):
    """Warren alone: forwarding is switched on for serving and off again."""
    def forwarding():
        return [router.host.run("sysctl", "-n", name).strip()
                for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")]

    with tap.test("the kernel forwards while something is offered, and not any more afterwards"):
        assert forwarding() == ["1", "1"], forwarding()
        router.set("--advertise-exit-node=false")
        wait_for(lambda: forwarding() == ["0", "0"], 5, "forwarding is off")
        assert "masquerade" not in router.host.run("nft", "list", "ruleset")
    with tap.test("using an exit node and being one exclude each other"):
        router.set("--advertise-exit-node")
        done = router.cli("set", "--exit-node=100.64.99.99", check=False)
        assert done.returncode != 0 and "at the same time" in done.stderr, done


def scenario(tap, lab, home, kinds):
    router = make_node(kinds[1], home, lab.host("r"), "router")
    client = make_node(kinds[0], home, lab.host("c"), "client")
    internet = lab.server("web", "20.99.0", "2a00:77:99")
    web = lab.behind(router.host, "lan", LAN4, LAN6)
    if kinds[1] == "warren":
        router.host.sysctl("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    join(home, client, router)
    subnet(tap, home, client, router, web)
    exit_node(tap, home, client, router, web, internet)
    if kinds[1] == "warren":
        kernel(tap, router)


def main():
    chosen = chosen_pairs(("official/official", "warren/official", "official/warren", "warren/warren"))
    tap = Tap("a subnet and an exit node on our own coordinator", 120 * len(chosen))
    for kinds in chosen:
        tap.note("/".join(kinds))
        with Lab() as lab, Home(lab, official="official" in kinds) as home:
            tap.evidence = [home.log, lambda: "\n".join(n.log()[-3000:] for n in home.nodes)]
            try:
                scenario(tap, lab, home, kinds)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()


if __name__ == "__main__":
    main()
