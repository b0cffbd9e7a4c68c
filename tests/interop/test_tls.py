#!/usr/bin/python3
"""A control server with HTTPS: good certificates lead in, others are refused with a reason."""

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
            done = a.up(timeout=6, check=False)
            assert done.returncode != 0 and a.state() != "Running", done.stdout
            if a.kind == "warren":
                assert a.problem() == code, a.problem()
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


run_pairs("HTTPS to the control server", scenario, timeout=150, server="labregister", tls=True)
