#!/usr/bin/python3
"""The names of our own coordinator, as an official node answers them at its service addresses."""

import traceback

from dns_query import NXDOMAIN, ask, reverse
from home import Home
from lab import Lab, LabError, Names, Tap, wait_for
from nodes import make_node

SERVICE4, SERVICE6 = "100.100.100.100", "fd7a:115c:a1e0::53"


def answer(node, name, kind="A", server=SERVICE4):
    try:
        return ask(node.host, server, name, kind)
    except OSError:
        return None


def wait_answer(node, name, kind, wanted, what):
    try:
        wait_for(lambda: answer(node, name, kind) == wanted, 10, what)
    except LabError as error:
        raise LabError(f"{error}: {name} {kind} is not {wanted} but {answer(node, name, kind)}") from None


def magic(tap, home, a, b, domain):
    with tap.test("a device's name gives its addresses, by either service address, and the addresses its name"):
        wait_answer(a, f"beta.{domain}", "A", (0, [b.ip4]), "the device's name")
        assert answer(a, f"BETA.{domain}", "A", SERVICE6) == (0, [b.ip4])
        # An official node keeps the IPv6 addresses of those that have both to itself, unless it is told otherwise.
        assert answer(a, f"beta.{domain}", "AAAA") == (0, [])
        home.set_policy('{"nodeAttrs": [{"target": ["*"], "attr": ["magicdns-aaaa"]}], '
                        '"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}')
        wait_answer(a, f"beta.{domain}", "AAAA", (0, [b.ip6]), "the IPv6 address")
        for address in (b.ip4, b.ip6):
            assert answer(a, reverse(address), "PTR") == (0, [f"beta.{domain}"]), answer(a, reverse(address), "PTR")
    with tap.test("programs find it by its short name"):
        assert a.see("getent", "ahostsv4", "beta").split()[0] == b.ip4
    with tap.test("what does not exist does not exist"):
        assert answer(a, f"gamma.{domain}") == (NXDOMAIN, [])
    with tap.test("a new name takes the place of the old one at once"):
        home.run("nodes", "rename", "beta", "bravo")
        wait_answer(a, f"bravo.{domain}", "A", (0, [b.ip4]), "the new name")
        assert answer(a, f"beta.{domain}") == (NXDOMAIN, [])
        home.run("nodes", "rename", "bravo", "beta")
        wait_answer(a, f"beta.{domain}", "A", (0, [b.ip4]), "the old name again")


def settings(tap, lab, home, a, domain):
    corp = Names(lab.server("corp", "10.77.54"), {"wiki.corp.example": ["10.5.5.5", "fd05::5"]})
    world = Names(lab.server("world", "10.77.55"), {"www.example.net": ["203.0.113.80"]})
    try:
        with tap.test("records that the administrator added are answered, and gone when they are taken away"):
            home.run("dns", "record", f"printer.{domain}", "192.168.7.7", "fd07::7")
            wait_answer(a, f"printer.{domain}", "A", (0, ["192.168.7.7"]), "the record")
            assert answer(a, f"printer.{domain}", "AAAA") == (0, ["fd07::7"])
            home.run("dns", "record", f"printer.{domain}")
            wait_answer(a, f"printer.{domain}", "A", (NXDOMAIN, []), "no record")
        with tap.test("a domain that has a name server of its own is asked there, and nothing else is"):
            home.run("dns", "split", "corp.example", "10.77.54.2")
            wait_answer(a, "wiki.corp.example", "A", (0, ["10.5.5.5"]), "the split domain")
            assert answer(a, "wiki.corp.example", "AAAA") == (0, ["fd05::5"])
            answer(a, "home.lab")
            assert set(corp.asked) == {"wiki.corp.example"}, corp.asked
        with tap.test("with name servers of the network every other name is asked there"):
            home.run("dns", "set", "10.77.55.2")
            home.run("dns", "override", "on")
            wait_answer(a, "www.example.net", "A", (0, ["203.0.113.80"]), "the network's name server")
            assert answer(a, "wiki.corp.example") == (0, ["10.5.5.5"])
            assert "10.77.55.2" in a.cli("dns", "status").stdout
    finally:
        corp.close()
        world.close()


def main():
    tap = Tap("names of our own coordinator", 90)
    with Lab() as lab, Home(lab) as home:
        tap.evidence = [home.log]
        try:
            key = home.run("keys", "create", "--reusable").strip()
            a, b = (make_node("official", home, lab.host(name[0]), name, own_etc=True) for name in ("alpha", "beta"))
            for node in (a, b):
                node.start()
                node.up(auth_key=key)
            a.set("--accept-dns=true")
            a.wait_peer(b)
            domain = home.json("dns", "get")["domain"]
            magic(tap, home, a, b, domain)
            settings(tap, lab, home, a, domain)
        except Exception as error:  # the scenario could not go on
            tap.note(traceback.format_exc())
            with tap.test("the scenario runs to its end"):
                raise error
    tap.finish()


if __name__ == "__main__":
    main()
