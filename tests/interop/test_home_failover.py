#!/usr/bin/python3
"""Two routers offer one subnet on our own coordinator: when the one that serves it goes away the other takes over.
The pair is client/routers."""

import socket
import threading
import traceback

from home import Home
from lab import Lab, Tap, wait_for
from nodes import chosen_pairs, make_node

LAN4, LAN6 = "192.168.50", "fd50:50"
PORT = 7000


class Greeter:
    """Behind a router: tells who asks its own name."""

    def __init__(self, host, name):
        self.name = name
        self.socket = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.bind((host.ip4, PORT))
        self.socket.listen()
        self.address = (host.ip4, PORT)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            client.sendall(self.name.encode())
            client.close()


def asked(host, address):
    """The name of whom the client reaches, None when nobody answers."""
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(address)
            return client.recv(100).decode() or None
        except OSError:
            return None


def scenario(tap, lab, home, kinds):
    client = make_node(kinds[0], home, lab.host("c"), "client")
    routers = {name: make_node(kinds[1], home, lab.host(name), name) for name in ("ria", "rob")}
    greeters = {name: Greeter(lab.behind(router.host, f"lan-{name}", LAN4, LAN6), name)
                for name, router in routers.items()}
    address = greeters["ria"].address
    key = home.run("keys", "create", "--reusable").strip()
    for name, router in routers.items():
        router.start()
        router.up(f"--advertise-routes={LAN4}.0/24", auth_key=key)
        wait_for(lambda: (home.node(name) or {}).get("advertisedRoutes"), 10, f"the offer of {name} is known")
        home.run("routes", "approve", name, f"{LAN4}.0/24")
    client.start()
    client.up("--accept-routes", auth_key=key)
    with tap.test("one of two routers serves the subnet that both offer"):
        serving = wait_for(lambda: asked(client.host, address), 30, "an answer from behind a router")
        other = next(name for name in routers if name != serving)
        client.wait_peer(routers[serving], lambda p: p and p.get("PrimaryRoutes"), what="serves the subnet")
        assert not client.peer(routers[other]).get("PrimaryRoutes")
    with tap.test("killed, its part is taken over by the other"):
        routers[serving].kill9()
        wait_for(lambda: asked(client.host, address) == other, 60, f"an answer from behind {other}")
    with tap.test("back again, it disturbs nobody, and takes over in its turn"):
        routers[serving].start()
        wait_for(lambda: home.node(serving)["online"], 60, f"{serving} is back")
        wait_for(lambda: asked(client.host, address), 30, "an answer from behind a router")
        routers[other].kill9()
        wait_for(lambda: asked(client.host, address) == serving, 60, f"an answer from behind {serving}")
    for greeter in greeters.values():
        greeter.socket.close()


def main():
    chosen = chosen_pairs(("warren/official", "official/warren"))
    tap = Tap("two routers for one subnet on our own coordinator", 120 * len(chosen))
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


main()
