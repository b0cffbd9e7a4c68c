#!/usr/bin/python3
"""What a policy means for every node: the plain, slow reference that the coordinator's compiler is compared with.

    oracle.py POLICY NODES.json     prints what `warren-coordinator policy preview` prints

Written from part D of the document on policies, step by step and without any cleverness, not from the coordinator's
code. Where the document is silent the choice is marked "open".
"""

import ipaddress
import json
import sys

import hujson
import ipset
import rules as language
from model import EXIT_ROUTES, Node, Rule, route_key
from postures import holds

DRIVE, RELAY = "tailscale.com/cap/drive", "tailscale.com/cap/relay"
COMPANIONS = {DRIVE: "tailscale.com/cap/drive-sharer", RELAY: "tailscale.com/cap/relay-target"}
DEFAULT_PROTOCOLS = (6, 17, 1, 58)
FUNNEL = "https://tailscale.com/cap/funnel-ports?ports=443,8443,10000"


class Tailnet:
    def __init__(self, policy, document):
        self.policy = policy
        self.users = document["users"]
        self.nodes = [Node(entry, number, self.users) for number, entry in enumerate(document["nodes"], 1)]
        for node in self.nodes:
            self.approve(node)
            node.use_routes()
        self.all_routes = list(dict.fromkeys(r for node in self.nodes for r in node.routes))
        self.nobody = Node({"name": "", "tags": ["tag:"], "addresses": []}, 0, [])
        self.nobody.use_routes()
        self.grants = self.listed()
        self.rules = {node.id: self.compile(node) for node in self.nodes}

    # Selectors ------------------------------------------------------------------------------------------------

    def user_matches(self, node, text):
        return node.user is not None and text in (node.user, node.user + "@")

    def identity(self, text):
        """A test for nodes, for the selectors that name nodes."""
        kind = language.kind_of(text)[0]
        if kind == "user":
            return lambda node: self.user_matches(node, text)
        if kind == "users-of":
            return lambda node: node.user is not None and node.user.rpartition("@")[2] == text[7:]
        if kind == "group":
            return lambda node: any(self.user_matches(node, user) for user in self.policy["groups"][text])
        if kind == "tag":
            return lambda node: text in node.tags
        if kind == "member":
            return lambda node: not node.tags
        if kind == "tagged":
            return lambda node: bool(node.tags)
        if kind == "role":
            roles = ["admin", "owner"] if text == "autogroup:admin" else [text.partition(":")[2]]
            return lambda node: not node.tags and node.role in roles  # as captured: the owner administers, too
        return None

    def resolve(self, text, source):
        """The set of addresses of one selector."""
        kind = language.kind_of(text)[0]
        if kind == "*":
            return ipset.union(ipset.TAILNET, *(ipset.of_prefix(r) for r in self.all_routes)) \
                if source else ipset.EVERYTHING
        if kind == "prefix":
            return ipset.of_prefix(text)
        if kind == "host":
            return ipset.of_prefix(self.policy["hosts"][text])
        if kind == "internet":
            return ipset.INTERNET
        if kind == "danger-all":
            return ipset.EVERYTHING
        if kind == "ipset":
            return self.ipset(text)
        test = self.identity(text)
        return ipset.union(*(node.set for node in self.nodes if test and test(node)))

    def ipset(self, name):
        out = []
        for operation, target in self.policy["ipsets"][name]:
            if target.startswith("ipset:"):
                operand = self.ipset(target)
            elif target == "autogroup:internet":
                operand = ipset.INTERNET
            elif target.startswith("host:"):
                operand = ipset.of_prefix(self.policy["hosts"][target[5:]])
            elif target in self.policy["hosts"]:
                operand = ipset.of_prefix(self.policy["hosts"][target])
            else:
                operand = ipset.of_text(target)
            out = ipset.union(out, operand) if operation == "add" else ipset.minus(out, operand)
        return out

    def sources(self, grant):
        out = ipset.union(*(self.resolve(text, True) for text in grant["src"]))
        wanted = self.postures_of(grant)
        if not wanted:
            return out
        return ipset.meet(out, ipset.union(*(n.set for n in self.nodes if self.satisfies(n, wanted))))

    def postures_of(self, grant):
        return self.policy["defaultSrcPosture"] if grant["postures"] is None else grant["postures"]

    def satisfies(self, node, wanted):
        return any(self.policy["postures"][name] and
                   all(holds(text, node) for text in self.policy["postures"][name]) for name in wanted)

    # D.3: what is approved by itself ----------------------------------------------------------------------------

    def approve(self, node):
        for route in node.announced:
            if route in EXIT_ROUTES:
                who = self.policy["autoApprovers"]["exitNode"]
                if any(self.identity(text)(node) for text in who):
                    node.approved |= set(EXIT_ROUTES)
                continue
            for key, who in self.policy["autoApprovers"]["routes"].items():
                if ipset.contains(ipset.of_prefix(key), ipset.of_prefix(route)) and \
                        any(self.identity(text)(node) for text in who):
                    node.approved.add(route)

    # D.4 --------------------------------------------------------------------------------------------------------

    def listed(self):
        """Step 1: one list of grants."""
        if self.policy["acls"] is None and self.policy["grants"] is None:
            return [{"src": ["*"], "dst": ["*"], "ip": [(None, [(0, 65535)])], "app": {}, "via": [], "postures": []}]
        out = list(self.policy["grants"] or [])
        for acl in self.policy["acls"] or []:
            targets = acl["dst"]
            if any(not text.startswith("autogroup:") for text, _ in targets):
                targets = [t for t in targets if t[0] != "autogroup:self"] + \
                    [t for t in targets if t[0] == "autogroup:self"]
            for text, ports in targets:
                out.append({"src": acl["src"], "dst": [text], "ip": [(acl["proto"], ports)], "app": {}, "via": [],
                            "postures": acl["postures"]})
        return out

    def source_texts(self, grant, sources):
        if self.postures_of(grant):
            return ipset.texts(sources)
        if "autogroup:danger-all" in grant["src"]:
            return ["*"]
        if "*" not in grant["src"]:
            return ipset.texts(sources)
        out = self.star_texts()
        for text in self.other_texts(grant):
            if text not in out:
                out.append(text)
        return out

    def star_texts(self):
        routes = [ipset.texts(ipset.of_prefix(r))[0] for r in self.all_routes]
        return ipset.TAILNET_TEXTS + [r for r in routes if r not in ipset.TAILNET_TEXTS]

    def other_texts(self, grant):
        """Next to a "*": the addresses and prefixes one by one, IPv4 first (the order decides what merges, and is
        open: equal sources written in another order are equal here)."""
        found = [text for name in grant["src"] if name != "*" for text in self.single_texts(name, True)]
        return sorted(found, key=ipset.of_text)

    def single_texts(self, text, source):
        """Addresses of identities one by one (open for destinations), sets as ranges."""
        test = self.identity(text)
        if test:
            addresses = [a for node in self.nodes if test(node) for a in node.addresses]
            return sorted(addresses, key=lambda a: ipset.number(ipaddress.ip_address(a)))
        return ipset.texts(self.resolve(text, source))

    def source_prefixes(self, grant, sources):
        """What a companion rule names: "*" without the subnet routes that it brings along (as captured)."""
        if "*" not in grant["src"] or self.postures_of(grant):
            return ipset.prefixes(sources)
        others = [self.resolve(text, True) for text in grant["src"] if text != "*"]
        return ipset.prefixes(ipset.union(ipset.TAILNET, *others))

    def port_texts(self, text):
        """How one destination is written in DstPorts."""
        if text == "*":
            return ["*"]
        return ipset.INTERNET_TEXTS if text == "autogroup:internet" else self.single_texts(text, False)

    def compile(self, node):
        """Steps 1 to 7 for one node: its rules before they are reduced."""
        out = []
        for grant in self.grants:
            if grant["src"] and grant["dst"]:
                out += self.of_via(grant, node) if grant["via"] else self.of_grant(grant, node)
        return merged(out)

    def of_grant(self, grant, node):
        out = []
        sources = self.sources(grant)
        texts = self.source_texts(grant, sources)
        others = [text for text in grant["dst"] if text != "autogroup:self"]
        targets = [self.port_texts(text) for text in others]
        for proto, ranges in grant["ip"] if sources else []:
            ports = [(ip, a, b) for ips in targets for ip in ips for a, b in ranges]
            if ports:
                out.append(Rule(texts, sources, ports, proto))
        if grant["app"]:
            out += self.of_app(grant, sources, texts, others, grant["app"])
        if "autogroup:self" in grant["dst"]:
            out += self.of_self(grant, sources, node)
        return out

    def cap_prefixes(self, text):
        return list(EXIT_ROUTES) if text == "*" else ipset.prefixes(self.resolve(text, False))

    def of_app(self, grant, sources, texts, others, app):
        """Step 5."""
        if not others:
            return []
        out = [Rule(texts, sources, caps=[(self.cap_prefixes(text), app) for text in others])]
        for name, companion in COMPANIONS.items():
            if name in app:
                back = ipset.union(*(self.resolve(text, text == "*") for text in others))
                if not back:
                    continue  # open: nobody to name
                back_texts = self.star_texts() if "*" in others else ipset.texts(back)
                out.append(Rule(back_texts, back, caps=[(self.source_prefixes(grant, sources), {companion: None})]))
        return out

    def of_self(self, grant, sources, node):
        """D.5."""
        if node.tags:
            return []
        mine = [n for n in self.nodes if not n.tags and n.user == node.user]
        devices = ipset.union(*(n.set for n in mine))
        narrowed = ipset.meet(sources, devices)
        if not narrowed:
            return []
        out = []
        texts = ipset.texts(devices)
        singles = sorted((a for n in mine for a in n.addresses), key=lambda a: ipset.number(ipaddress.ip_address(a)))
        for proto, ranges in grant["ip"]:
            out.append(Rule(ipset.texts(narrowed), narrowed, [(ip, a, b) for ip in singles for a, b in ranges], proto))
        if grant["app"]:
            out.append(Rule(ipset.texts(narrowed), narrowed, caps=[(ipset.prefixes(devices), grant["app"])]))
            for name, companion in COMPANIONS.items():
                if name in grant["app"]:
                    out.append(Rule(texts, devices, caps=[(ipset.prefixes(narrowed), {companion: None})]))
        return out

    def of_via(self, grant, node):
        """D.6."""
        sources = self.sources(grant)
        if not sources or not any(tag in node.tags for tag in grant["via"]):
            return []
        ips = []
        for text in grant["dst"]:
            if text == "autogroup:internet":
                ips += ipset.INTERNET_TEXTS if node.exit else []
                continue
            if text in ("*", "autogroup:self"):
                continue
            ips += [ip for ip in self.single_texts(text, False) if ipset.overlap(ipset.of_text(ip), node.route_set)]
        texts = self.source_texts(grant, sources)
        return [Rule(texts, sources, [(ip, a, b) for ip in ips for a, b in ranges], proto)
                for proto, ranges in grant["ip"] if ips]

    def reduce(self, node):
        """Step 8."""
        out = []
        for rule in self.rules[node.id]:
            if rule.caps is None:
                ports = [p for p in rule.ports if self.concerns(ipset.of_text(p[0]), node)]
                if ports:
                    out.append(Rule(rule.src_texts, rule.src, ports, rule.proto))
                continue
            caps = []
            for dsts, app in rule.caps:
                kept = set()
                for dst in dsts:
                    here = ipset.of_prefix(dst)
                    mine = [str(ipaddress.ip_network(a)) for a in node.addresses
                            if ipset.contains(here, ipset.of_prefix(a))]
                    if mine:
                        kept |= set(mine)
                    elif ipset.overlap(here, node.route_set):
                        kept.add(dst)
                if kept:
                    caps.append((sorted(kept, key=route_key), app))
            if caps:
                out.append(Rule(rule.src_texts, rule.src, caps=caps))
        return out

    def concerns(self, destination, node):
        return ipset.overlap(destination, node.set) or ipset.overlap(destination, node.route_set) or \
            bool(node.exit and ipset.contains(ipset.INTERNET, destination))

    # D.7 and D.8 ------------------------------------------------------------------------------------------------

    def reaches(self, a, b, rules):
        for rule in rules:
            if not (ipset.overlap(rule.src, a.set) or ipset.overlap(rule.src, a.route_set)):
                continue
            if ipset.overlap(rule.dst, b.set) or ipset.overlap(rule.dst, b.route_set) or \
                    (b.exit and whole_internet(rule.dst)):
                return True
        return False

    def see(self, a, b):
        return any(self.reaches(x, y, self.rules[z.id]) for x, y in ((a, b), (b, a)) for z in (a, b)) or \
            any(self.app_via(x, y) for x, y in ((a, b), (b, a)))

    def app_via(self, a, b):
        """D.6: a via grant without ip gives no rule, but the nodes see each other."""
        for grant in self.grants:
            if grant["via"] and grant["src"] and not grant["ip"] and any(t in b.tags for t in grant["via"]):
                sources = self.sources(grant)
                if ipset.overlap(sources, a.set) and \
                        any(self.via_covers(text, route) for text in grant["dst"] for route in b.routes + b.exit):
                    return True
        return False

    def via_covers(self, text, route):
        if text == "autogroup:internet":
            return route in EXIT_ROUTES
        if text in ("*", "autogroup:self") or route in EXIT_ROUTES:
            return False
        return ipset.overlap(self.resolve(text, False), ipset.of_prefix(route))

    def wants(self, viewer, route):
        """Some rule of the viewer leads to the route or back from it."""
        here = ipset.of_prefix(route)
        for rule in self.rules[viewer.id]:
            out = ipset.overlap(rule.src, viewer.set) or ipset.overlap(rule.src, viewer.route_set)
            back = ipset.overlap(rule.dst, viewer.set) or ipset.overlap(rule.dst, viewer.route_set) or \
                (viewer.exit and whole_internet(rule.dst))  # as captured
            if (out and ipset.overlap(rule.dst, here)) or (back and ipset.overlap(rule.src, here)):
                return True
        return False

    def primary(self, route):
        return next(node for node in self.nodes if route in node.routes)

    def via_choice(self, viewer, route):
        """None if no via grant of the viewer speaks of the route, else the set of nodes that carry it."""
        chosen = None
        for grant in self.grants:
            if not grant["via"] or not ipset.overlap(self.sources(grant), viewer.set) or \
                    not any(self.via_covers(text, route) for text in grant["dst"]):
                continue
            tagged = [n.id for n in self.nodes if route in n.routes and any(t in n.tags for t in grant["via"])]
            chosen = (chosen or set()) | set(tagged[:1])
        return chosen

    def plainly_covered(self, viewer, route):
        """A grant without via leads the viewer to the route."""
        for grant in self.grants:
            for rule in [] if grant["via"] or not grant["src"] else self.of_grant(grant, self.nobody):
                if (ipset.overlap(rule.src, viewer.set) or ipset.overlap(rule.src, viewer.route_set)) and \
                        ipset.overlap(rule.dst, ipset.of_prefix(route)):
                    return True
        return False

    def route_on(self, viewer, peer, route):
        """Whether the viewer is given this subnet route on the peer."""
        elected = self.primary(route) is peer
        if route in viewer.routes:
            return elected
        choice = self.via_choice(viewer, route)
        if choice is not None and not self.plainly_covered(viewer, route):
            return peer.id in choice
        return elected and self.wants(viewer, route)

    def exits_on(self, viewer, peer):
        return any(rule.caps is None and ipset.overlap(rule.src, viewer.set) and whole_internet(rule.dst)
                   for rule in self.rules[peer.id])

    def allowed(self, viewer, peer):
        without_v4 = "disable-ipv4" in self.attributes(viewer) or "disable-ipv4" in self.attributes(peer)
        routes = [str(ipaddress.ip_network(a)) for a in peer.addresses if not (without_v4 and "." in a)]
        routes += [r for r in peer.routes if self.route_on(viewer, peer, r)]
        if peer.exit and self.exits_on(viewer, peer):
            routes += peer.exit
        return sorted(set(routes), key=route_key)

    # D.9 --------------------------------------------------------------------------------------------------------

    def ssh(self, node):
        if self.policy["ssh"] is None:
            return None
        out = []
        for check in (True, False):
            for rule in self.policy["ssh"]:
                if (rule["action"] == "check") == check:
                    out += self.ssh_rule(rule, node)
        return {"rules": out}

    def ssh_rule(self, rule, node):
        tests = [self.identity(text) for text in rule["src"]]
        sources = [n for n in self.nodes if any(test(n) for test in tests)]
        own = [n for n in sources if n is node or (not n.tags and not node.tags and n.user == node.user)]
        if any(text != "autogroup:self" and self.identity(text)(node) for text in rule["dst"]):
            return self.ssh_entries(rule, sources)
        if "autogroup:self" in rule["dst"] and not node.tags:
            return self.ssh_entries(rule, own)
        # As captured: with local parts a source's own devices may be entered, too.
        if node in sources and any(localpart(user) for user in rule["users"]):
            return self.ssh_entries(rule, own)
        return []

    def ssh_entries(self, rule, chosen):
        people = {}
        for n in chosen:
            people.setdefault(n.user_id if not n.tags else 1 << 60, []).append(n)
        ordered = [people[key] for key in sorted(people)]
        common = {"*": "="} if "autogroup:nonroot" in rule["users"] else {}
        common["root"] = "root" if "root" in rule["users"] else ""
        domains = [localpart(text) for text in rule["users"] if localpart(text)]
        for user in rule["users"]:
            if user not in ("root", "autogroup:nonroot") and not localpart(user):
                common[user] = user
        if not ordered:
            return []
        if not domains:
            return [self.ssh_json(rule, [n for nodes in ordered for n in nodes], common)]
        out = []
        for nodes in ordered:
            out.append(self.ssh_json(rule, nodes, common))
            local, _, domain = (nodes[0].user or "").rpartition("@")
            if not nodes[0].tags and domain in domains:
                out.append(self.ssh_json(rule, nodes, {local: local}))
        return out

    def ssh_json(self, rule, nodes, users):
        action = {"holdAndDelegate": "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"} \
            if rule["action"] == "check" else {"accept": True, "allowAgentForwarding": True,
                                               "allowLocalPortForwarding": True, "allowRemotePortForwarding": True}
        out = {"principals": [{"nodeIP": a} for n in nodes for a in n.addresses], "sshUsers": users, "action": action}
        if rule["acceptEnv"]:
            out["acceptEnv"] = rule["acceptEnv"]
        return out

    # nodeAttrs --------------------------------------------------------------------------------------------------

    def attributes(self, node):
        out = {}
        for entry in self.policy["nodeAttrs"]:
            if not any(self.targeted(text, node) for text in entry["target"]):
                continue
            for name in entry["attr"]:
                out.setdefault(name, None)
                if name == "funnel":
                    out.setdefault(FUNNEL, None)
            for name, data in entry["app"].items():
                out[name] = data  # open: two entries with values for one name; here the later one
        if self.policy["randomizeClientPort"]:
            out.setdefault("randomize-client-port", None)
        if self.policy["disableIPv4"]:
            out.setdefault("disable-ipv4", None)
        return out

    def targeted(self, text, node):
        test = self.identity(text)
        return test(node) if test else text == "*" or ipset.overlap(self.resolve(text, True), node.set)

    # D.10 -------------------------------------------------------------------------------------------------------

    def failures(self):
        """[(line, column, path)] of the tests inside the file that fail."""
        out = []
        for test in self.policy["tests"]:
            for wish in ("accept", "deny"):
                for text, port, place, path in test[wish]:
                    sources = ipset.union(self.resolve(test["src"], True))
                    if self.all_reach(sources, self.resolve(text, False), port, test["proto"]) != (wish == "accept"):
                        out.append((*place, path))
        for test in self.policy["sshTests"]:
            out += self.ssh_failures(test)
        return out

    def all_reach(self, sources, destinations, port, proto):
        """Every address of the sources reaches some address of the destinations; nobody reaches nothing."""
        if not sources:
            return False
        pieces = []
        for rule in self.network_rules(destinations):
            if proto_counts(rule.proto, proto) and \
                    any(a <= port <= b and ipset.overlap(ipset.of_text(ip), destinations) for ip, a, b in rule.ports):
                pieces.append(rule.src)
        return ipset.contains(ipset.union(*pieces), sources)

    def network_rules(self, destinations):
        owners = [n for n in self.nodes if ipset.overlap(n.set, destinations) or
                  ipset.overlap(n.route_set, destinations)] or self.nodes
        return [rule for n in owners for rule in self.rules[n.id] if rule.caps is None]

    def ssh_failures(self, test):
        sources = [n for n in self.nodes if self.targeted(test["src"], n)]
        out = []
        targets = [n for n in self.nodes if any(
            self.targeted(t, n) for t in test["dst"])]
        for wish in ("accept", "check", "deny"):
            for user, place, path in test[wish]:
                results = [self.ssh_verdict(s, n, user) for s in sources for n in targets]
                wanted = ("check",) if wish == "check" else ("accept", "check")
                if (bool(results) and all(r in wanted for r in results)) != (wish != "deny"):
                    out.append((*place, path))
        return out

    def ssh_verdict(self, source, target, user):
        for rule in (self.ssh(target) or {"rules": []})["rules"]:
            if any(p["nodeIP"] in source.addresses for p in rule["principals"]):
                local = rule["sshUsers"].get(user, rule["sshUsers"].get("*", ""))
                if local:
                    return "accept" if "accept" in rule["action"] else "check"
        return None

    def preview(self):
        return {node.name: {
            "peers": {peer.name: self.allowed(node, peer) for peer in self.nodes
                      if peer is not node and self.see(node, peer)},
            "packetFilter": [rule.json() for rule in self.reduce(node)],
            "sshPolicy": self.ssh(node),
            "capMap": self.attributes(node)} for node in self.nodes}


def localpart(text):
    """The domain of localpart:*@domain, or ""."""
    return text[12:] if text.startswith("localpart:*@") else ""


def whole_internet(destination):
    return any(ipset.contains(destination, wanted)
               for wanted in (ipset.INTERNET, ipset.of_prefix("0.0.0.0/0"), ipset.of_prefix("::/0")))


def proto_counts(rule, wanted):
    if wanted is None:
        return rule is None or rule in DEFAULT_PROTOCOLS
    return rule == wanted or (rule is None and wanted in DEFAULT_PROTOCOLS)


def merged(found):
    """Step 7."""
    out = []
    for rule in found:
        same = next((r for r in out if r.caps is None and rule.caps is None and
                     r.src_texts == rule.src_texts and r.proto == rule.proto), None)
        if same:
            out[out.index(same)] = Rule(same.src_texts, same.src, same.ports + rule.ports, same.proto)
        else:
            out.append(rule)
    return out


def judge(text, document):
    """("ok", preview) or ("refused", [(line, column, path)])."""
    try:
        checker = language.Checker(text)
    except hujson.SyntaxFault as fault:
        return "syntax", [(fault.line, fault.column, "")]
    policy = checker.run()
    if checker.faults:
        return "refused", [(f.line, f.column, f.path) for f in checker.faults]
    tailnet = Tailnet(policy, document)
    failures = tailnet.failures()
    if failures:
        return "tests", failures
    return "ok", tailnet.preview()


def preview(text, document):
    """Without the tests inside the file."""
    return Tailnet(language.Checker(text).run(), document).preview()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    with open(sys.argv[2], encoding="utf-8") as file:
        document = json.load(file)
    verdict, result = judge(text, document)
    if verdict != "ok":
        for line, column, path in result:
            print(f"{line}:{column}: {path}: {verdict}", file=sys.stderr)
        sys.exit(1)
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
