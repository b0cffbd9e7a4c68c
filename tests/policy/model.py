"""Nodes and rules as the reference sees them."""

import ipaddress

import ipset

EXIT_ROUTES = ("0.0.0.0/0", "::/0")


def route_key(text):
    net = ipaddress.ip_network(text)
    return net.version, int(net.network_address), net.prefixlen


class Node:
    def __init__(self, entry, number, users):
        self.id, self.name = number, entry["name"]
        self.tags = entry.get("tags") or []
        self.user = None if self.tags else entry.get("user") or None
        self.user_id = next((i for i, u in enumerate(users) if u["login"] == self.user), len(users))
        self.role = next((u.get("role") for u in users if u["login"] == self.user), None)
        texts = [str(ipaddress.ip_network(a)[0]) for a in entry["addresses"]]
        self.addresses = sorted(texts, key=lambda a: ipaddress.ip_address(a).version)
        self.os, self.version = entry.get("os"), entry.get("version")
        self.set = ipset.union(*(ipset.of_prefix(a) for a in self.addresses))
        self.announced = [str(ipaddress.ip_network(r, strict=False)) for r in entry.get("advertisedRoutes") or []]
        self.approved = {str(ipaddress.ip_network(r, strict=False)) for r in entry.get("approvedRoutes") or []}

    def use_routes(self):
        if any(r in self.approved for r in EXIT_ROUTES):
            self.approved |= set(EXIT_ROUTES)
        in_use = [r for r in self.announced if r in self.approved]
        self.routes = [r for r in in_use if r not in EXIT_ROUTES]
        self.exit = [r for r in EXIT_ROUTES if r in in_use]
        self.route_set = ipset.union(*(ipset.of_prefix(r) for r in self.routes))


class Rule:
    """A rule before it is reduced: sources and what is granted, with the texts that are sent."""

    def __init__(self, src_texts, src, ports=None, proto=None, caps=None):
        self.src_texts, self.src = src_texts, src
        self.ports = ports or []  # (text, first, last)
        self.proto = proto
        self.caps = caps  # [(prefixes, capability map)]
        texts = [p[0] for p in self.ports] + [d for dsts, _ in caps or [] for d in dsts]
        self.dst = ipset.union(*(ipset.of_text(t) for t in set(texts)))

    def json(self):
        out = {"SrcIPs": self.src_texts}
        if self.caps is not None:
            out["CapGrant"] = [{"Dsts": dsts, "CapMap": caps} for dsts, caps in self.caps]
            return out
        out["DstPorts"] = [{"IP": ip, "Ports": {"First": a, "Last": b}} for ip, a, b in self.ports]
        if self.proto is not None:
            out["IPProto"] = [self.proto]
        return out
