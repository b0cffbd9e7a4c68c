#!/usr/bin/python3
"""The internet through an official exit node, and nothing past it: not while the exit node is away, not
while the daemon restarts, in both families. Control and relay are found by name all the while."""

import errno
import socket
import time

from lab import wait_for
from scenario import run_pairs
from traffic import FAMILY, Sniffer, of_host, seen_address


def attempts(host, web):
    """One packet of each kind to the internet, in both families, unmarked."""
    for family, address in ((4, web.ip4), (6, web.ip6)):
        udp = host.socket(FAMILY[family], socket.SOCK_DGRAM)
        try:
            udp.sendto(b"leak?", (address, 9))
        except OSError:
            pass
        udp.close()
        host.run("ping", "-q", "-c1", "-W1", address, check=False)
        try:
            seen_address(host, web, family, timeout=1)
            raise AssertionError(f"{address} is reached past the exit node")
        except OSError:
            pass


def refused_with(host, web, family):
    """The error that a new connection to the internet meets at once, by name."""
    tcp = host.socket(FAMILY[family], socket.SOCK_STREAM)
    tcp.settimeout(1)
    try:
        tcp.connect((web.ip6 if family == 6 else web.ip4, 80))
        return "none"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    finally:
        tcp.close()


def scenario(s):
    client, exit_node = s.a, s.b
    web = s.lab.server("web", "20.99.0", "2a00:77:99")
    host = client.host
    to_web = of_host(web)
    exit_node.start().up()
    client.start()
    client.up(login_server="http://control.lab:8080" if client.kind == "warren" else None)
    exit_node.set("--advertise-exit-node")
    s.control("routes", Node="beta", Routes=["0.0.0.0/0", "::/0"])
    client.wait_peer(exit_node, lambda p: p and p.get("ExitNodeOption"), what="offers to be an exit node")
    with s.test("an exit node that is only offered changes nothing"):
        assert (seen_address(host, web), seen_address(host, web, 6)) == (web_view(host, 4), web_view(host, 6))
    with s.test("selected, it carries the client's traffic of both families, and nothing passes it by"):
        with Sniffer(s.lab.core, host.uplink, to_web) as sniffer:
            client.set(f"--exit-node={exit_node.ip4}")
            wait_for(lambda: via(client, exit_node, web), 10, "traffic goes through the exit node")
            time.sleep(0.5)  # what was begun before is over
            before = len(sniffer.packets)
            assert seen_address(host, web) == exit_node.host.ip4
            assert seen_address(host, web, 6) == exit_node.host.ip6
        assert len(sniffer.packets) == before, sniffer.packets[before:before + 3]
        assert client.peer(exit_node)["ExitNode"]
    with s.test("the local network is reached only with LAN access"):
        router = host.ip_json("route", "show", "default")[0]["gateway"]
        assert not client.icmp(router, count=1, check=False)
        client.set("--exit-node-allow-lan-access=true")
        wait_for(lambda: client.icmp(router, count=1, check=False), 5, "the LAN is reached")
        assert seen_address(host, web) == exit_node.host.ip4
        client.set("--exit-node-allow-lan-access=false")
        wait_for(lambda: not client.icmp(router, count=1, check=False), 5, "the LAN is shut again")
    with s.test("with the exit node stopped, traffic is blocked, not leaked"):
        exit_node.stop()
        with Sniffer(s.lab.core, host.uplink, to_web) as sniffer:
            client.wait_peer(exit_node, lambda p: p and not p["Online"], 30, "is offline")
            attempts(host, web)
        assert not sniffer.packets, sniffer.packets[:3]
    if client.kind == "warren":
        with s.test("the lost exit node is a warning that names it"):
            wait_for(lambda: any("exit-node" in code for code in client.warnings()), 15, "the warning")
        restarts(s, client, web, to_web)
    with s.test("the exit node back, traffic goes through it again"):
        exit_node.start()
        exit_node.wait_running()
        wait_for(lambda: via(client, exit_node, web), 20, "traffic goes through the exit node")
    with s.test("none selected, traffic goes its own way again"):
        client.set("--exit-node=")
        wait_for(lambda: seen(host, web) == web_view(host, 4), 5, "traffic goes its own way")
        assert seen_address(host, web, 6) == web_view(host, 6)


def restarts(s, client, web, to_web):
    """Warren alone: what happens to the traffic when the daemon goes, and who finds the servers by name."""
    host = client.host
    with s.test("with the exit node away and the daemon restarted, control and relay are reached by name"):
        s.tailnet.names.asked.clear()
        with Sniffer(s.lab.core, host.uplink, to_web) as sniffer:
            client.stop()
            client.start()
            client.wait_running()
            wait_for(lambda: s.control.node("alpha")["Connected"], 15, "the control server has its stream")
            wait_for(lambda: s.relay_knows(client), 15, "the relay is connected")
            attempts(host, web)
        assert not sniffer.packets, sniffer.packets[:3]
        assert {"control.lab", "relay1.lab"} <= set(s.tailnet.names.asked), s.tailnet.names.asked
    with s.test("kill -9: the device is gone, both families meet EHOSTUNREACH at once, nothing is seen outside"):
        with Sniffer(s.lab.core, host.uplink, to_web) as sniffer:
            client.kill9()
            assert client.tun not in [link["ifname"] for link in host.ip_json("link", "show")]
            errors = refused_with(host, web, 4), refused_with(host, web, 6)
            assert errors == ("EHOSTUNREACH", "EHOSTUNREACH"), errors
            attempts(host, web)
        assert not sniffer.packets, sniffer.packets[:3]
    with s.test("the next start keeps it shut until the exit node is there"):
        with Sniffer(s.lab.core, host.uplink, to_web) as sniffer:
            client.start()
            client.wait_running()
            attempts(host, web)
        assert not sniffer.packets, sniffer.packets[:3]


def web_view(host, family):
    """The host's own address as the internet sees it."""
    return host.ip6 if family == 6 else host.outside4


def seen(host, web, family=4):
    try:
        return seen_address(host, web, family, timeout=1)
    except OSError:
        return None


def via(client, exit_node, web):
    return (seen(client.host, web) == exit_node.host.ip4 and seen(client.host, web, 6) == exit_node.host.ip6)


if __name__ == "__main__":
    run_pairs("an exit node", scenario, timeout=180, pairs=("warren/official",), by_name=True,
              hosts=({"nat": "easy", "ipv6": True}, {}))
