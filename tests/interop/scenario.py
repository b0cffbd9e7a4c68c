"""Runs one scenario for each pair of kinds of node, each time on a fresh tailnet."""

import traceback

from lab import Lab, Tailnet, Tap
from nodes import chosen_pairs, make_node


class Scenario:
    """What a scenario gets: two nodes that are not started, and where they live."""

    def __init__(self, tap, lab, tailnet, kinds, hosts):
        self.tap, self.lab, self.tailnet, self.kinds = tap, lab, tailnet, kinds
        self.control = tailnet.control
        self.a = make_node(kinds[0], tailnet, lab.host("a", **hosts[0]), "alpha")
        self.b = make_node(kinds[1], tailnet, lab.host("b", **hosts[1]), "beta")

    def test(self, statement):
        return self.tap.test(f"{'/'.join(self.kinds)}: {statement}")

    def node(self, kind, name, **host):
        return make_node(kind, self.tailnet, self.lab.host(name, **host), name)

    def relay_knows(self, node, relay=0):
        """Whether the node has a connection to the relay, as the relay's host sees it."""
        seen = self.tailnet.relays[relay].host.run("ss", "-Htn", "state", "established", "sport", "=", ":443")
        return any(address in seen for address in (node.host.outside4, node.host.ip6) if address)

    def connect(self, **options):
        """Both nodes up, Running and known to each other."""
        for node in (self.a, self.b):
            if node.process is None:
                node.start()
            node.up(**options)
        self.a.wait_peer(self.b)
        self.b.wait_peer(self.a)


def run_pairs(title, scenario, timeout, hosts=({}, {}), pairs=("warren/official", "warren/warren"), **tailnet_options):
    """The main of a test program: `timeout` seconds for each pair."""
    chosen = chosen_pairs(pairs)
    tap = Tap(title, timeout * len(chosen))
    for kinds in chosen:
        with Lab() as lab, Tailnet(lab, **tailnet_options) as tailnet:
            tap.evidence = [tailnet.evidence]
            try:
                scenario(Scenario(tap, lab, tailnet, kinds, hosts))
                if "warren" in kinds:
                    with tap.test(f"{'/'.join(kinds)}: our daemons logged no failed check and no sanitizer's report"):
                        assert not tailnet.reports(), tailnet.reports()
            except Exception as error:  # outside of every statement: the scenario could not go on
                tap.note(traceback.format_exc())
                tap.note(tailnet.evidence())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()
