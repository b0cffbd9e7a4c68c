"""Random policies and node sets out of a seed, good ones and bad ones."""

import copy
import json
import random

DOMAINS = ["example.com", "example.org"]
LOGINS = ["ada@example.com", "bob@example.com", "cyd@example.org", "dee@example.org", "eve"]
TAGS = ["tag:web", "tag:db", "tag:router", "tag:exit", "tag:lab-2"]
GROUPS = ["group:dev", "group:ops", "group:none"]
HOSTS = {"db-v4": "100.64.0.3", "office": "192.168.7.0/24", "lab": "10.20.0.0/16", "six": "fd7a:115c:a1e0::4",
         "far": "203.0.113.9"}
SETS = {"ipset:lab": ["add 10.0.0.0/8", "remove 10.1.0.0/16", "add host:office"],
        "ipset:plain": ["100.64.0.2-100.64.0.5", "lab"],
        "ipset:nested": ["add ipset:lab", "remove 10.20.0.0-10.20.0.255", "add autogroup:internet"]}
POSTURES = {"posture:modern": ["node:os IN ['linux','macos']", "node:tsVersion >= '1.60'"],
            "posture:odd": ["node:os != 'windows'"], "posture:unknown": ["custom:tier == 'gold'"]}
ROUTES = ["192.168.7.0/24", "10.20.0.0/16", "10.20.3.0/24", "172.16.9.0/24", "fd00:7::/64", "0.0.0.0/0", "::/0",
          "198.51.100.0/24"]
PREFIXES = ["100.64.0.1", "100.64.0.2", "fd7a:115c:a1e0::3", "10.20.3.7", "10.20.0.0/14", "192.168.7.16/28",
            "100.64.0.0/29", "8.8.8.8", "fd00:7::/96", "10.20.3.9/24", "198.51.100.0/25"]
ROLES = ["autogroup:owner", "autogroup:admin", "autogroup:auditor"]
ATTRIBUTES = ["funnel", "randomize-client-port", "mullvad", "disable-ipv4", "x-test", "suggest-exit-node"]
PORTS = ["*", "22", "80,443", "1000-2000", "53,8000-8010", "443"]
PORTLESS = ["icmp", "gre", "47", "ipv6-icmp", "ESP"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, probability):
        return self.random.random() < probability

    def some(self, items, low, high):
        return [self.random.choice(items) for _ in range(self.random.randint(low, high))]

    # Nodes ------------------------------------------------------------------------------------------------------

    def document(self):
        roles = ["owner"] + [self.random.choice(["admin", "member", "member", "auditor"]) for _ in LOGINS[1:]]
        return {"users": [{"login": login, "role": role} for login, role in zip(LOGINS, roles)],
                "nodes": [self.node(number) for number in range(1, self.random.randint(2, 9))]}

    def node(self, number):
        tags = sorted(set(self.some(TAGS, 1, 2))) if self.chance(0.5) else []
        announced = sorted(set(self.some(ROUTES, 0, 3))) if self.chance(0.5) else []
        if self.chance(0.2):
            announced = sorted(set(announced) | {"0.0.0.0/0", "::/0"})
        node = {"name": f"node{number}", "user": "" if tags else self.random.choice(LOGINS), "tags": tags,
                "addresses": [f"100.64.0.{number}", f"fd7a:115c:a1e0::{number:x}"],
                "advertisedRoutes": announced, "approvedRoutes": [r for r in announced if self.chance(0.7)]}
        if self.chance(0.1):
            node["approvedRoutes"] = node["approvedRoutes"] + ["172.30.0.0/16"]  # approved, never announced
        if self.chance(0.4):
            node["os"] = self.random.choice(["linux", "macos", "windows"])
            node["version"] = self.random.choice(["1.58.2", "1.9", "1.60", "1.102.5"])
        return node

    # Selectors --------------------------------------------------------------------------------------------------

    def person(self):
        return self.random.choice([lambda: self.random.choice(LOGINS[:4]), lambda: "eve@", lambda: "zoe@example.com",
                                   lambda: self.random.choice(GROUPS), lambda: "autogroup:member",
                                   lambda: self.random.choice(ROLES), lambda: "user:*@" + self.random.choice(DOMAINS)])()

    def device(self):
        return self.random.choice(TAGS + ["autogroup:tagged"])

    def place(self):
        return self.random.choice([lambda: self.random.choice(PREFIXES), lambda: self.random.choice(list(HOSTS)),
                                   lambda: self.random.choice(list(SETS))])()

    def source(self):
        pick = self.random.random()
        if pick < 0.35:
            return self.person()
        if pick < 0.6:
            return self.device()
        if pick < 0.75:
            return self.place()
        if pick < 0.95:
            return "*"
        return self.random.choice(["autogroup:danger-all", "autogroup:shared", " tag:web ", "autogroup:members"])

    def destination(self):
        pick = self.random.random()
        if pick < 0.2:
            return self.person()
        if pick < 0.5:
            return self.device()
        if pick < 0.75:
            return self.place()
        if pick < 0.87:
            return "*"
        return "autogroup:internet"

    def target(self, name, ports):
        if ":" in name and all(c in "0123456789abcdef:/" for c in name):
            base, slash, bits = name.partition("/")
            return f"[{base}]{slash}{bits}:{ports}"
        return f"{name}:{ports}"

    # Rules ------------------------------------------------------------------------------------------------------

    def posture(self, rule):
        if self.chance(0.08):
            rule["srcPosture"] = self.some(list(POSTURES), 1, 2)

    def acl(self):
        rule = {"action": "accept"}
        portless = self.chance(0.15)
        if portless:
            rule["proto"] = self.random.choice(PORTLESS)
        elif self.chance(0.4):
            rule["proto"] = self.random.choice(["tcp", "UDP", "6", "132", ""])
        to_self = self.chance(0.15)
        rule["src"] = [self.random.choice([self.person(), "*"]) if to_self else self.source()
                       for _ in range(self.random.randint(1, 3))] if not self.chance(0.05) else []
        names = [self.destination() for _ in range(self.random.randint(1, 3))]
        if to_self:
            names.insert(self.random.randint(0, len(names)), "autogroup:self")
        rule["dst"] = [self.target(name, "*" if portless else self.random.choice(PORTS)) for name in names]
        self.posture(rule)
        return rule

    def granted(self):
        return self.random.choice(["*", "443", "80-90", "80,443", "tcp:443", "icmp:*", "17:53", "udp:*", "gre:*"])

    def app(self):
        names = self.some(["example.com/cap/x", "tailscale.com/cap/drive", "tailscale.com/cap/relay",
                           "tailscale.com/cap/webui", "example.org/y"], 1, 2)
        return {name: self.random.choice([[], [{}], [{"access": "ro", "shares": ["*"]}], ["a", 1, None, True]])
                for name in names}

    def grant(self):
        rule = {}
        to_self, via = self.chance(0.15), self.chance(0.2)
        rule["src"] = [self.person() if to_self else self.source() for _ in range(self.random.randint(1, 3))]
        names = [self.destination() for _ in range(self.random.randint(1, 2))]
        if via:
            names = [self.random.choice([self.place(), "autogroup:internet"]) for _ in names]
        if to_self and not via:
            names.insert(self.random.randint(0, len(names)), "autogroup:self")
        with_app = self.chance(0.35) and "autogroup:internet" not in names
        rule["dst"] = names
        if not with_app or self.chance(0.5):
            rule["ip"] = [self.granted() for _ in range(self.random.randint(1, 3))]
        if with_app:
            rule["app"] = self.app()
        if via:
            rule["via"] = self.some(TAGS, 1, 2)
        self.posture(rule)
        return rule

    def ssh(self):
        rule = {"action": self.random.choice(["accept", "check"])}
        kind = self.random.choice(["people", "own", "tags"])
        if kind == "own":
            login = self.random.choice(LOGINS[:4])
            rule["src"], rule["dst"] = [login], [login]
        elif kind == "people":
            rule["src"] = [self.person() for _ in range(self.random.randint(1, 2))]
            rule["dst"] = self.some(TAGS + ["autogroup:self", "autogroup:member", "autogroup:tagged"], 1, 2)
        else:
            rule["src"] = [self.random.choice([self.person(), self.device()]) for _ in range(2)]
            rule["dst"] = self.some(TAGS + ["autogroup:tagged"], 1, 2)
        rule["users"] = self.some(["root", "deploy", "autogroup:nonroot", "localpart:*@example.com",
                                   "localpart:*@example.org", "ubuntu"], 1, 3)
        if rule["action"] == "check" and self.chance(0.5):
            rule["checkPeriod"] = self.random.choice(["12h", "30m", "1h30m", "always", "168h"])
        if self.chance(0.3):
            rule["acceptEnv"] = self.some(["LANG", "LC_*", "GIT_?"], 1, 2)
        return rule

    def test(self):
        test = {"src": self.random.choice(LOGINS[:4] + TAGS + ["group:dev", "100.64.0.2", "db-v4", "autogroup:member"])}
        if self.chance(0.3):
            test["proto"] = self.random.choice(["tcp", "udp", "icmp", "132"])
        for wish in ("accept", "deny"):
            if self.chance(0.6) or (wish == "deny" and "accept" not in test):
                names = self.some(LOGINS[:2] + TAGS + ["db-v4", "six", "far", "100.64.0.2", "fd7a:115c:a1e0::3",
                                                       "10.20.3.7"], 1, 2)
                test[wish] = [self.target(name, self.random.choice(["22", "443", "1500"])) for name in names]
        return test

    def ssh_test(self):
        test = {"src": self.random.choice(LOGINS[:4] + TAGS + ["group:dev", "100.64.0.2"]),
                "dst": self.some(TAGS + LOGINS[:2] + ["db-v4", "autogroup:tagged"], 1, 2)}
        for wish in self.random.sample(["accept", "check", "deny"], self.random.randint(1, 2)):
            test[wish] = self.some(["root", "deploy", "ada", "ubuntu", "someone"], 1, 2)
        return test

    def policy(self):
        policy = {"groups": {name: [] if name == "group:none" else self.some(LOGINS[:4] + ["eve@"], 1, 3)
                             for name in GROUPS},
                  "hosts": HOSTS, "ipsets": SETS,
                  "tagOwners": {tag: self.some(LOGINS[:4] + GROUPS + TAGS + ROLES, 0, 2) for tag in TAGS}}
        if self.chance(0.5):
            policy["postures"] = POSTURES
            if self.chance(0.1):
                policy["defaultSrcPosture"] = self.some(list(POSTURES), 1, 2)
        if self.chance(0.6):
            policy["acls"] = [self.acl() for _ in range(self.random.randint(0, 4))]
        if self.chance(0.6):
            policy["grants"] = [self.grant() for _ in range(self.random.randint(0, 4))]
        if self.chance(0.3):
            policy["autoApprovers"] = {"routes": {key: self.some(TAGS + LOGINS[:3] + GROUPS, 1, 2) for key in
                                                  self.some(["10.0.0.0/8", "192.168.7.0/24", "0.0.0.0/0", "fd00::/8"], 0, 3)},
                                       "exitNode": self.some(TAGS + LOGINS[:3], 0, 2)}
        if self.chance(0.4):
            policy["nodeAttrs"] = [self.attributes() for _ in range(self.random.randint(1, 3))]
        if self.chance(0.5):
            policy["ssh"] = [self.ssh() for _ in range(self.random.randint(0, 3))]
        if self.chance(0.3):
            policy["tests"] = [self.test() for _ in range(self.random.randint(1, 3))]
        if self.chance(0.2):
            policy["sshTests"] = [self.ssh_test() for _ in range(self.random.randint(1, 2))]
        if self.chance(0.1):
            policy["randomizeClientPort"] = self.chance(0.5)
        if self.chance(0.05):
            policy["disableIPv4"] = True
        if "postures" not in policy:
            for rule in policy.get("acls", []) + policy.get("grants", []):
                rule.pop("srcPosture", None)
        return policy

    def attributes(self):
        entry = {"target": [self.random.choice([self.person(), self.device(), "*", "db-v4", "100.64.0.0/30"])
                            for _ in range(self.random.randint(1, 2))]}
        entry["attr"] = self.some(ATTRIBUTES, 0, 3)
        if self.chance(0.2):
            entry["app"] = {"example.com/cap/app" + str(self.random.randint(1, 9)): [{"n": 1}]}
        if self.chance(0.1):
            entry["ipPool"] = ["100.81.0.0/16"]
        return entry

    # Faults -----------------------------------------------------------------------------------------------------

    def spoil(self, policy):
        """One thing wrong; the policy is changed in place. False when it has no place for the fault."""
        acls = [("acls", rule) for rule in policy.get("acls", [])]
        grants = [("grants", rule) for rule in policy.get("grants", [])]
        ssh = [("ssh", rule) for rule in policy.get("ssh", [])]
        faults = [
            (acls + grants + ssh, lambda rule: rule["src"].append(self.random.choice(
                ["group:nix", "tag:nix", "nix", "autogroup:nix", "tag:7", "autogroup:internet", "a:b", "svc:x", ""]))),
            (acls, lambda rule: rule["dst"].append(self.random.choice(
                ["tag:web", "*:0", "*:90-80", "*:70000", "tag:nix:22", "autogroup:danger-all:*", "office:ssh",
                 "10.0.0.0/33:22", "[10.0.0.1]:22", "group:nix:*", "svc:a:1", "*:", "web", "*:80,", "*:0-5"]))),
            (acls, lambda rule: rule.update(action=self.random.choice(["deny", "Accept", ""]))),
            (acls, lambda rule: rule.pop("action")),
            (acls, lambda rule: rule.update(proto=self.random.choice(["*", "06", "256", "tpc", "-1"]))),
            (acls + grants + ssh, lambda rule: rule.update({self.random.choice(["ssrc", "destination", "x"]): []})),
            (acls + grants, lambda rule: rule.update(src="*")),
            (acls + grants, lambda rule: rule.update(src=[7, {"a": []}])),
            (grants, lambda rule: rule["dst"].append(self.random.choice(
                ["0.0.0.0/0", "::/0", "nix", "tag:nix", "autogroup:shared", "tag:web:22"]))),
            (grants, lambda rule: rule.setdefault("ip", []).append(self.random.choice(
                ["icmp", "icmp:8", "tcp:0", "xyz:80", "80-70", "*:443", ":80", "tcp:"]))),
            (grants, lambda rule: [rule.pop(key, None) for key in ("ip", "app")]),
            (grants, lambda rule: rule.update(app={self.random.choice(
                ["https://example.com/x", "nothing", "tailscale.com/cap/ingress", "example.com/"]): [{}]},
                dst=["tag:web"], src=["tag:db"])),
            (grants, lambda rule: rule.update(via=[self.random.choice(["ada@example.com", "tag:nix", "*", "group:dev"])])),
            (grants, lambda rule: rule.update(dst=["autogroup:self"], src=["ada@example.com", self.random.choice(
                ["*", "tag:web", "autogroup:tagged", "office", "100.64.0.1", "autogroup:danger-all"])])),
            (acls, lambda rule: rule.update(dst=["autogroup:self:*"], src=[self.random.choice(
                ["tag:web", "autogroup:tagged", "office", "100.64.0.1", "ipset:lab"])])),
            (grants, lambda rule: rule.update(dst=["autogroup:internet"], app={"example.com/x": [{}]}, src=["tag:db"])),
            (ssh, lambda rule: rule["users"].append(self.random.choice(["", "*", "localpart:*@*"]))),
            (ssh, lambda rule: rule.update(users=[])),
            (ssh, lambda rule: rule.pop("users")),
            (ssh, lambda rule: rule.update(action=self.random.choice(["deny", ""]))),
            (ssh, lambda rule: rule["dst"].append(self.random.choice(
                ["*", "10.0.0.1", "office", "group:dev", "autogroup:internet", "tag:nix"]))),
            (ssh, lambda rule: rule.update(action="accept", checkPeriod="1h")),
            (ssh, lambda rule: rule.update(action="check", checkPeriod=self.random.choice(["200h", "abc", "-1h", "1d"]))),
            (ssh, lambda rule: rule.update(acceptEnv=[""])),
            (ssh, lambda rule: rule.update(src=["tag:web"], dst=[self.random.choice(
                ["autogroup:self", "autogroup:member", "ada@example.com"])])),
            ([("top", policy)], lambda top: top["groups"].update({"group:dev": [self.random.choice(
                ["group:ops", "tag:web", "*", "autogroup:member", "word"])]})),
            ([("top", policy)], lambda top: top["groups"].update({"dev": []})),
            ([("top", policy)], lambda top: top.update(hosts={**HOSTS, "bad": self.random.choice(
                ["10.0.0.0/40", "tag:web", "x", ""])})),
            ([("top", policy)], lambda top: top.update(hosts={**HOSTS, "a:b": "10.0.0.1"})),
            ([("top", policy)], lambda top: top.update(ipsets={**SETS, "ipset:x": [self.random.choice(
                ["add nix", "tag:web", "10.0.0.9-10.0.0.1", "add ipset:nix"])]})),
            ([("top", policy)], lambda top: top.update(ipsets={**SETS, "ipset:x": ["add 10.0.0.1", "10.0.0.2"]})),
            ([("top", policy)], lambda top: top.update(ipsets={**SETS, "ipset:x": ["ipset:y"], "ipset:y": ["ipset:x"]})),
            ([("top", policy)], lambda top: top["tagOwners"].update({self.random.choice(
                ["tag:1x", "tag:a_b", "web"]): []})),
            ([("top", policy)], lambda top: top["tagOwners"].update({"tag:new": [self.random.choice(
                ["tag:nix", "*", "10.0.0.1", "group:nix", "autogroup:self"])]})),
            ([("top", policy)], lambda top: top.update({self.random.choice(["acl", "group", "Tests2"]): []})),
            ([("top", policy)], lambda top: top.update(defaultSrcPosture=["posture:nix"])),
            ([("top", policy)], lambda top: top.update(randomizeClientPort="yes")),
            ([("top", policy)], lambda top: top.update(ssh={})),
            ([("top", policy)], lambda top: top.update(nodeAttrs=[{"target": [self.random.choice(
                ["autogroup:self", "autogroup:internet", "tag:nix", "autogroup:danger-all"])], "attr": ["x"]}])),
            ([("top", policy)], lambda top: top.update(nodeAttrs=[{"target": ["*"], "ipPool": [self.random.choice(
                ["10.0.0.0/8", "100.100.100.0/25", "100.115.92.0/24", "x"])]}])),
            ([("top", policy)], lambda top: top.update(autoApprovers={"routes": {"x": []}})),
            ([("top", policy)], lambda top: top.update(autoApprovers={"exitNode": ["tag:nix", "*"]})),
            ([("top", policy)], lambda top: top.update(tests=[{"src": "ada@example.com", "accept": [self.random.choice(
                ["*:22", "office:22", "tag:web:22-23", "tag:web:*", "tag:nix:22", "autogroup:internet:443",
                 "100.64.0.1/32:22", "tag:web"])]}])),
            ([("top", policy)], lambda top: top.update(tests=[{"src": "ada@example.com"}])),
            ([("top", policy)], lambda top: top.update(tests=[{"accept": ["tag:web:22"]}])),
            ([("top", policy)], lambda top: top.update(tests=[{"src": self.random.choice(["*", "tag:nix", ""]),
                                                               "deny": ["tag:web:22"]}])),
            ([("top", policy)], lambda top: top.update(sshTests=[{"src": "tag:web", "dst": ["10.0.0.0/8"], "deny": ["root"]}])),
            ([("top", policy)], lambda top: top.update(sshTests=[{"src": "tag:web", "dst": ["tag:db"], "deny": [""]}])),
        ]
        places, change = self.random.choice(faults)
        if not places:
            return False
        change(self.random.choice(places)[1])
        return True

    # Text -------------------------------------------------------------------------------------------------------

    def blank(self):
        return self.random.choice(["", "", "", " ", "\n", "\n  ", " // a note: {[\n", "/* x */", "\t", "/* two\nlines */"])

    def text(self, value):
        if isinstance(value, dict):
            items = [self.blank() + json.dumps(key) + self.blank() + ":" + self.blank() + self.text(item) + self.blank()
                     for key, item in value.items()]
            return self.joined("{", items, "}")
        if isinstance(value, list):
            return self.joined("[", [self.blank() + self.text(item) + self.blank() for item in value], "]")
        return json.dumps(value)

    def joined(self, start, items, end):
        trailing = "," + self.blank() if items and self.chance(0.3) else ""
        return start + ",".join(items) + trailing + (self.blank() if not items else "") + end

    def case(self):
        """(text, nodes, kind): kind is "good", "bad" (one fault) or "broken" (text that is hardly HuJSON)."""
        document, policy = self.document(), copy.deepcopy(self.policy())
        kind = self.random.choices(["good", "bad", "broken"], [70, 25, 5])[0]
        if kind == "bad" and not self.spoil(policy):
            kind = "good"
        text = self.blank() + self.text(policy) + self.blank()
        if kind == "broken":
            at = self.random.randrange(len(text))
            text = text[:at] + self.random.choice(["", "]", "\"", "x", "/*", ",,"]) + text[at + 1:]
        return text, document, kind
