#!/usr/bin/python3
"""Our own coordinator at an https address: whoever trusts its certificate joins, others are told why not."""

import os
import traceback

from home import Home
from lab import Lab, Tap
from natlab import run
from nodes import make_node


def give_certificate(home):
    """The coordinator speaks TLS from its first byte, with a certificate of its own making."""
    certificate, key = os.path.join(home.dir, "control.pem"), os.path.join(home.dir, "control.key")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=" + home.host.ip4, "-addext", "subjectAltName=IP:" + home.host.ip4, "-out", certificate,
         "-keyout", key])
    os.chmod(certificate, 0o644)
    home.url = f"https://{home.host.ip4}:8080"
    home.options = ["--tls-certificate", certificate, "--tls-key", key]
    return certificate


def scenario(tap, lab, home, certificate):
    key = home.run("keys", "create", "--reusable").strip()
    stranger = make_node("warren", home, lab.host("a"), "alpha")
    home.ca_file = certificate
    official = make_node("official", home, lab.host("b"), "beta")
    with tap.test("an official node that trusts the certificate joins by the https address"):
        official.start()
        official.up(auth_key=key)
    with tap.test("a node of ours that does not trust it says so"):
        stranger.start()
        done = stranger.up(auth_key=key, timeout=10, check=False)
        assert done.returncode != 0 and stranger.problem() == "tls-untrusted", (done, stranger.problem())
        assert "certificate" in (done.stdout + done.stderr).lower(), done
        assert home.node("alpha") is None, "it came in all the same"
    with tap.test("when it trusts it, it joins, and both reach each other"):
        stranger.stop()
        stranger.environment["SSL_CERT_FILE"] = certificate
        stranger.start()
        stranger.up(auth_key=key)
        stranger.wait_peer(official)
        stranger.icmp(official.ip4, count=3)


def main():
    tap = Tap("our own coordinator at an https address", 120)
    with Lab() as lab:
        home = Home(lab)
        certificate = give_certificate(home)
        with home:
            tap.evidence = [home.log]
            try:
                scenario(tap, lab, home, certificate)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test("the scenario runs to its end"):
                    raise error
    tap.finish()


main()
