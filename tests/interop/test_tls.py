#!/usr/bin/python3
"""A control server with HTTPS: good certificates lead in, others are refused with a reason."""

import os

from lab import wait_for
from scenario import run_pairs

# kind of certificate: the problem that Warren names
BAD = {"untrusted": "tls-untrusted", "wrongname": "tls-untrusted", "expired": "tls-expired"}


def scenario(s):
    a, b, control = s.a, s.b, s.control
    control("mode", open=True)
    a.start()
    b.start()
    for kind, code in BAD.items():
        with s.test(f"a certificate that is {kind} keeps the node out, with a reason"):
            control("tls", Kind=kind)
            done = a.up(timeout=10, check=False)
            assert done.returncode != 0 and a.state() != "Running", done.stdout
            if a.kind == "warren":
                wait_for(lambda: a.problem() == code, 10, f"the problem {code}")
                assert "certificate" in (done.stdout + done.stderr).lower(), done.stderr
            assert not control("nodes"), "the node came in all the same"
    with s.test("with a good certificate both nodes are Running and reach each other"):
        control("tls", Kind="good")
        a.up(timeout=60)
        b.up()
        a.wait_peer(b)
        a.icmp(b.ip4, count=5)
        if a.kind == "warren":
            assert a.problem() == "", a.problem()
    if a.kind == "warren":
        bootstrap(s)


def bootstrap(s):
    """Name servers that do not know the server any more, and nothing remembered on disk."""
    a, relay, names = s.a, s.tailnet.relays[0], s.tailnet.names
    relay.stop()
    relay.host.resolv_conf(f"nameserver {names.host.ip4}\n")
    relay.command += ["-bootstrap-dns-names", "control.lab"]
    relay.start()
    wait_for(lambda: s.control.host.ip4 in a.host.run(
        "curl", "-sk", "--resolve", f"relay1.lab:443:{relay.host.ip4}", "https://relay1.lab/bootstrap-dns?q=control.lab",
        check=False), 10, "the relay has looked the server's name up")
    with s.test("when name servers fail, a relay tells the server's address"):
        a.stop()
        os.remove(os.path.join(a.state_dir, "addresses"))
        del names.addresses["control.lab"]
        a.start()
        wait_for(lambda: s.control.node("alpha")["Streams"] > 0, 20, "alpha has a map stream again")


run_pairs("HTTPS to the control server", scenario, timeout=150, server="labregister", tls=True)
