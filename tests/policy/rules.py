"""What a policy file may say: checks every member and notes each fault with line, column and path.

Written from part D of the document on policies, not from the coordinator's code. The result is the file as plain
Python values with known members in their exact case; what it means is decided in oracle.py.
"""

import ipaddress
import re

import hujson
import ipset

ROLES = ["owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor"]
PROTOCOLS = {"icmp": 1, "igmp": 2, "ipv4": 4, "ip-in-ip": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17, "gre": 47,
             "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132, "fc": 133}
WITH_PORTS = (6, 17, 132)
CAPABILITIES = ["drive", "relay", "webui", "kubernetes", "tsidp", "secrets", "golink", "tailsql"]
MEMBERS = {
    "": ["groups", "hosts", "tagOwners", "acls", "grants", "autoApprovers", "ssh", "nodeAttrs", "tests", "sshTests",
         "randomizeClientPort", "ipsets", "postures", "defaultSrcPosture", "derpMap", "disableIPv4", "OneCGNATRoute"],
    "acls": ["action", "src", "users", "proto", "dst", "ports", "srcPosture"],
    "grants": ["src", "dst", "ip", "app", "via", "srcPosture"],
    "autoApprovers": ["routes", "exitNode"],
    "ssh": ["action", "src", "dst", "users", "checkPeriod", "acceptEnv"],
    "nodeAttrs": ["target", "attr", "app", "ipPool"],
    "tests": ["src", "user", "proto", "accept", "allow", "deny"],
    "sshTests": ["src", "dst", "accept", "check", "deny"],
}
OLD_NAMES = {"acls": {"users": "src", "ports": "dst"}, "tests": {"allow": "accept", "user": "src"}}
PEOPLE = {"user", "users-of", "group", "member", "role"}
SOURCES = PEOPLE | {"*", "tag", "tagged", "danger-all", "shared", "prefix", "host", "ipset"}
DESTINATIONS = PEOPLE | {"*", "tag", "tagged", "self", "internet", "prefix", "host", "ipset"}
# Open: the document lists no "member" among owners and no user:*@domain among the targets of attributes and the
# sources of SSH; both do no harm there and the service takes them.
OWNERS = {"user", "group", "tag", "role", "member"}
ATTRIBUTED = {"user", "users-of", "group", "tag", "host", "prefix", "*", "member", "tagged", "role"}
SSH_SOURCES = PEOPLE | {"tag", "tagged"}
SSH_DESTINATIONS = {"tag", "self", "member", "tagged", "user"}
TEST_SOURCES = PEOPLE | {"tag", "tagged", "prefix", "host"}
TEST_TARGETS = {"user", "group", "tag", "prefix", "host"}


class Fault:
    def __init__(self, place, path, text):
        self.line, self.column = place
        self.path, self.text = path, text

    def __repr__(self):
        return f"{self.line}:{self.column}: {self.path}: {self.text}"


def is_prefix(text):
    """An address or a prefix in canonical notation; host bits may be set."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" not in text or re.fullmatch(r"0|[1-9]\d{0,2}", text.split("/")[1]) is not None


def is_tag(text):
    return re.fullmatch(r"tag:[A-Za-z][A-Za-z0-9-]*", text) is not None


def kind_of(text):
    """(kind, fault or None) of a selector."""
    if is_prefix(text):
        return "prefix", None
    if text == "*":
        return "*", None
    head, colon, rest = text.partition(":")
    if colon and head == "autogroup":
        if rest in ("member", "members"):
            return "member", None
        if rest in ROLES:
            return "role", None
        if rest in ("tagged", "self", "internet", "danger-all", "shared", "nonroot"):
            return rest, None
        return "autogroup", f"{text} is no autogroup"
    if colon and head == "svc":
        return "svc", "services are not supported"
    if colon and head == "tag" and not is_tag(text):
        return "tag", "tag names start with a letter"
    if colon and head in ("group", "tag", "ipset", "posture"):
        return head, None
    if text.startswith("user:*@") and len(text) > 7:
        return "users-of", None
    if "@" in text:
        return "user", None
    if text and ":" not in text:
        return "host", None
    return "unknown", f"{text} is not a selector"


def ports_of(text):
    """[(first, last)] or None."""
    if text == "*":
        return [(0, 65535)]
    out = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", part.strip())
        if not found:
            return None
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last or last > 65535 or first == 0:
            return None
        out.append((first, last))
    return out


def protocol_of(text):
    """None for the default set, a number, or "bad"."""
    if text == "":
        return None
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    return int(text) if re.fullmatch(r"[1-9]\d{0,2}", text) and int(text) <= 255 else "bad"


def split_target(text):
    """target:ports, split at the last colon; (target, ports text or None)."""
    target, colon, ports = text.rpartition(":")
    if not colon or not target:
        return text, None
    found = re.fullmatch(r"\[([^\]]*)\](/\d+)?", target)
    if found:
        return found[1] + (found[2] or "") if ":" in found[1] else target, ports
    return target, ports


class Checker:
    def __init__(self, text):
        self.faults = []
        self.root = hujson.parse(text)
        self.file = {}

    def fault(self, value, path, text):
        place = value if isinstance(value, tuple) else value.place
        self.faults.append(Fault(place, path, text))

    def known(self, value, section, path):
        """{exact name: (value, path)} of an object's members."""
        if value.kind != "object":
            self.fault(value, path, "expected an object")
            return {}
        names = {name.lower(): name for name in MEMBERS[section]}
        out = {}
        for name, place, member in value.content:
            exact = names.get(name.lower())
            here = f"{path}.{exact}" if path else exact
            if exact is None:
                # The path is that of the object: the name is not a part of the language.
                self.fault(place, path, f'"{name}" is not a known setting here')
            elif member.kind != "null":
                out[OLD_NAMES.get(section, {}).get(exact, exact)] = (member, here)
        return out

    def items(self, found, kind=None):
        """[(value, path)] of an array member; items of another kind are faults."""
        if found is None:
            return []
        value, path = found
        if value.kind != "array":
            self.fault(value, path, "expected a list")
            return []
        out = []
        for index, item in enumerate(value.content):
            if kind is None or item.kind == kind:
                out.append((item, f"{path}[{index}]"))
            else:
                self.fault(item, f"{path}[{index}]", f"expected a {kind}")
        return out

    def strings(self, found):
        return self.items(found, "string")

    def text(self, found, default=None):
        if found is None:
            return default
        if found[0].kind != "string":
            self.fault(*found, "expected a string")
            return default
        return found[0].content.strip()

    def selector(self, value, path, allowed, text=None):
        """The selector's text if it may stand here, else None and a fault."""
        text = (value.content if text is None else text).strip()
        kind, wrong = kind_of(text)
        if not wrong and kind not in allowed:
            wrong = f"{text} cannot be used here"
        if not wrong:
            section = {"group": "groups", "tag": "tagOwners", "host": "hosts", "ipset": "ipsets"}.get(kind)
            if section and text not in self.names[section]:
                wrong = f"{text} is not defined under {section}"
        if wrong:
            self.fault(value, path, wrong)
            return None
        return text

    def selectors(self, found, allowed):
        out = [self.selector(value, path, allowed) for value, path in self.strings(found)]
        return [text for text in out if text is not None]

    def named(self, section):
        """[(name, place, value, path)] of an object section."""
        if section not in self.top:
            return []
        value, path = self.top[section]
        if value.kind != "object":
            self.fault(value, path, "expected an object")
            return []
        return [(name, place, member, f"{path}.{name}") for name, place, member in value.content]

    def run(self):
        self.top = self.known(self.root, "", "")
        self.names = {}
        for section in ("groups", "tagOwners", "hosts", "ipsets", "postures"):
            found = self.top.get(section)
            self.names[section] = {name for name, _, _ in found[0].content} \
                if found and found[0].kind == "object" else set()
        file = self.file
        file["groups"] = self.groups()
        file["hosts"] = self.hosts()
        file["ipsets"] = self.ipsets()
        file["tagOwners"] = self.tag_owners()
        file["postures"] = {name: self.conditions(name, place, member, path)
                            for name, place, member, path in self.named("postures")}
        file["defaultSrcPosture"] = self.postures(self.top.get("defaultSrcPosture")) or []
        file["acls"] = None if "acls" not in self.top else \
            [self.acl(value, path) for value, path in self.items(self.top["acls"])]
        file["grants"] = None if "grants" not in self.top else \
            [self.grant(value, path) for value, path in self.items(self.top["grants"])]
        file["autoApprovers"] = self.approvers()
        file["nodeAttrs"] = [self.attributes(value, path) for value, path in self.items(self.top.get("nodeAttrs"))]
        file["ssh"] = None if "ssh" not in self.top else \
            [self.ssh(value, path) for value, path in self.items(self.top["ssh"])]
        file["tests"] = [self.test(value, path) for value, path in self.items(self.top.get("tests"))]
        file["sshTests"] = [self.ssh_test(value, path) for value, path in self.items(self.top.get("sshTests"))]
        for name in ("randomizeClientPort", "disableIPv4"):
            file[name] = self.top[name][0].content is True if name in self.top else False
            if name in self.top and self.top[name][0].kind not in ("true", "false"):
                self.fault(*self.top[name], "expected true or false")
        return file

    def groups(self):
        out = {}
        for name, place, member, path in self.named("groups"):
            if not re.fullmatch(r"group:.+", name):
                self.fault(place, path, "group names start with group:")
            out[name] = []
            for value, here in self.strings((member, path)):
                text = value.content.strip()
                if kind_of(text)[0] != "user":
                    self.fault(value, here, f"{name} may only list users")
                out[name].append(text)
        return out

    def hosts(self):
        out = {}
        for name, place, member, path in self.named("hosts"):
            if ":" in name or "@" in name or not name or name == "*" or is_prefix(name):
                self.fault(place, path, "not a host name")
            text = self.text((member, path), "")
            if member.kind == "string" and not is_prefix(text):
                self.fault(member, path, f"{text} is not an address")
            out[name] = text
        return out

    def ipsets(self):
        out = {}
        for name, place, member, path in self.named("ipsets"):
            if not re.fullmatch(r"ipset:.+", name):
                self.fault(place, path, "set names start with ipset:")
            found = self.strings((member, path))
            words = [value.content.split() for value, _ in found]
            out[name] = []
            for word, (value, here) in zip(words, found):
                operation = word[0] if len(word) == 2 else "add"
                target = word[-1] if word else ""
                if len(word) not in (1, 2) or operation not in ("add", "remove") or \
                        (value is not found[0][0] and (len(word) == 2) != (len(words[0]) == 2)):
                    self.fault(value, here, "not an operation on a set")
                    continue
                if not self.set_member(target):
                    self.fault(value, here, f"{target} cannot be in a set")
                    continue
                out[name].append((operation, target))
        for name, _, member, path in self.named("ipsets"):
            if self.set_cycle(out, name, name, set()):
                self.fault(member.content[0], path + "[0]", "contains itself")
        return out

    def set_member(self, text):
        if text.startswith("host:"):
            return text[5:] in self.names["hosts"]
        if "-" in text and text not in self.names["hosts"]:
            try:
                first, last = (ipaddress.ip_address(part) for part in text.split("-"))
                return first.version == last.version and first <= last
            except ValueError:
                return False
        kind = kind_of(text)[0]
        return kind in ("prefix", "internet") or (kind == "ipset" and text in self.names["ipsets"]) or \
            (kind == "host" and text in self.names["hosts"])

    def set_cycle(self, sets, start, name, seen):
        for _, target in sets.get(name, []):
            if target == start:
                return True
            if target in sets and target not in seen:
                seen.add(target)
                if self.set_cycle(sets, start, target, seen):
                    return True
        return False

    def tag_owners(self):
        out = {}
        for name, place, member, path in self.named("tagOwners"):
            if not is_tag(name):
                self.fault(place, path, "tag names start with a letter")
            out[name] = self.selectors((member, path), OWNERS)
        return out

    def conditions(self, name, place, member, path):
        if not re.fullmatch(r"posture:.+", name):
            self.fault(place, path, "posture names start with posture:")
        for value, here in self.strings((member, path)):
            if not re.fullmatch(r"[^\s<>=!]*:[^\s<>=!]*\s*(NOT IN\s*\[.*\]|IN\s*\[.*\]|(==|!=|<=|>=|<|>)\s*"
                                r"('[^']*'|[\w.-]+))\s*", value.content.strip()):
                self.fault(value, here, "not a condition")
        return [value.content.strip() for value, _ in self.strings((member, path))]

    def postures(self, found):
        if found is None:
            return None
        for value, path in self.strings(found):
            if value.content not in self.names["postures"]:
                self.fault(value, path, f"{value.content} is not defined")
        return [value.content for value, _ in self.items(found) if value.kind == "string"]

    def self_sources(self, place, path, sources, star):
        """Faults for what may not stand opposite autogroup:self."""
        for value, here in sources:
            if value.kind != "string":
                continue
            kind, wrong = kind_of(value.content.strip())
            if not wrong and kind not in PEOPLE and not (star and kind == "*"):
                self.fault(value, here, "autogroup:self only works with people as source")

    def acl(self, value, path):
        found = self.known(value, "acls", path)
        rule = {"postures": self.postures(found.get("srcPosture")), "dst": []}
        if self.text(found.get("action"), "") != "accept":
            self.fault(found["action"][0] if "action" in found else value,
                       found["action"][1] if "action" in found else path, "only accept")
        proto = protocol_of(self.text(found.get("proto"), ""))
        if proto == "bad":
            self.fault(*found["proto"], "not a protocol")
        rule["proto"] = proto
        rule["src"] = self.selectors(found.get("src"), SOURCES)
        for item, here in self.strings(found.get("dst")):
            target, ports = split_target(item.content.strip())
            if ports is None:
                self.fault(item, here, "add ports")
                continue
            ranges = ports_of(ports)
            if ranges is None:
                self.fault(item, here, "not a port")
            elif proto not in (None, "bad") + WITH_PORTS and ports != "*":
                self.fault(item, here, "has no ports")
            text = self.selector(item, here, DESTINATIONS, target)
            if text == "autogroup:self":
                self.self_sources(item, here, self.items(found.get("src")), True)
            if text is not None and ranges is not None:
                rule["dst"].append((text, ranges))
        return rule

    def grant(self, value, path):
        before = len(self.faults)
        found = self.known(value, "grants", path)
        rule = {"postures": self.postures(found.get("srcPosture")), "dst": [], "ip": [], "app": {}, "via": []}
        rule["src"] = self.selectors(found.get("src"), SOURCES)
        for item, here in self.strings(found.get("dst")):
            text = self.selector(item, here, DESTINATIONS)
            if text in ("0.0.0.0/0", "::/0"):
                self.fault(item, here, "use *")
            if text == "autogroup:self":
                self.self_sources(item, here, self.items(found.get("src")), False)
            if text == "autogroup:internet" and "app" in found:
                self.fault(item, here, "no capabilities towards the internet")
            if text is not None:
                rule["dst"].append(text)
        for item, here in self.strings(found.get("ip")):
            rule["ip"].append(self.granted(item, here))
        if "app" in found:
            rule["app"] = self.capabilities(found["app"], True)
        if not rule["ip"] and not rule["app"] and len(self.faults) == before:
            self.fault(value, path, "say what is granted")
        for item, here in self.strings(found.get("via")):
            text = item.content.strip()
            if kind_of(text)[0] != "tag":
                self.fault(item, here, "tags only")
            elif self.selector(item, here, {"tag"}):
                rule["via"].append(text)
        return rule

    def granted(self, item, path):
        text = item.content.strip()
        name, colon, ports = text.rpartition(":")
        proto = protocol_of(name) if colon else None
        if colon and (name == "" or proto == "bad"):
            self.fault(item, path, "not a protocol")
            return None, []
        ranges = ports_of(ports)
        if ranges is None:
            self.fault(item, path, "not a port")
        elif proto not in (None,) + WITH_PORTS and ports != "*":
            self.fault(item, path, "has no ports")
        return proto, ranges or []

    def capabilities(self, found, grant):
        value, path = found
        if value.kind != "object":
            self.fault(value, path, "expected an object")
            return {}
        for name, place, _ in value.content:
            host, slash, rest = name.partition("/")
            reserved = host == "tailscale.com" and grant and \
                not (rest.startswith("cap/") and rest[4:] in CAPABILITIES)
            if not slash or not rest or "." not in host or "://" in name or reserved:
                self.fault(place, f"{path}.{name}", "must look like example.com/name")
        return value.plain()

    def approvers(self):
        out = {"routes": {}, "exitNode": []}
        if "autoApprovers" not in self.top:
            return out
        found = self.known(*[self.top["autoApprovers"][0], "autoApprovers", self.top["autoApprovers"][1]])
        if "routes" in found:
            value, path = found["routes"]
            for name, place, member in value.content if value.kind == "object" else []:
                here = f"{path}.{name}"
                if not is_prefix(name):
                    self.fault(place, here, "not a prefix")
                out["routes"][name] = self.selectors((member, here), OWNERS)
        out["exitNode"] = self.selectors(found.get("exitNode"), OWNERS)
        return out

    def attributes(self, value, path):
        found = self.known(value, "nodeAttrs", path)
        out = {"target": self.selectors(found.get("target"), ATTRIBUTED),
               "attr": [item.content for item, _ in self.strings(found.get("attr"))],
               "app": found["app"][0].plain() if "app" in found else {}}
        for item, here in self.strings(found.get("ipPool")):
            text = item.content.strip()
            pool = ipset.of_prefix(text) if is_prefix(text) else []
            if not pool or not ipset.contains(ipset.of_prefix("100.64.0.0/10"), pool) or \
                    ipset.overlap(pool, ipset.of_prefix("100.100.100.0/24") + ipset.of_prefix("100.115.92.0/23")):
                self.fault(item, here, "not in 100.64.0.0/10")
        return out

    def ssh(self, value, path):
        found = self.known(value, "ssh", path)
        out = {"action": self.text(found.get("action"), ""), "users": [], "dst": [],
               "acceptEnv": [item.content.strip() for item, _ in self.strings(found.get("acceptEnv"))]}
        for item, here in self.strings(found.get("acceptEnv")):
            if not item.content.strip():
                self.fault(item, here, "name the variables")
        if out["action"] not in ("accept", "check"):
            self.fault(found["action"][0] if "action" in found else value,
                       found["action"][1] if "action" in found else path, "accept or check")
        out["src"] = self.selectors(found.get("src"), SSH_SOURCES)
        sources = [(item, here, kind_of(item.content.strip())[0]) for item, here in self.items(found.get("src"))
                   if item.kind == "string"]
        for item, here in self.strings(found.get("dst")):
            text = self.selector(item, here, SSH_DESTINATIONS)
            if text is None:
                continue
            out["dst"].append(text)
            kind = kind_of(text)[0]
            if kind == "user" and [s[0].content.strip() for s in sources] != [text]:
                self.fault(item, here, "one user's own devices")
            elif kind in ("member", "self") and any(s[2] in ("tag", "tagged") for s in sources):
                self.fault(item, here, "not from tagged devices")
        if not self.items(found.get("users")):
            self.fault(value, path, "name the login users")
        for item, here in self.strings(found.get("users")):
            text = item.content.strip()
            if text in ("", "*") or (text.startswith("localpart:*@") and "*" in text[12:]):
                self.fault(item, here, "name the login users")
            out["users"].append(text)
        if "checkPeriod" in found:
            period = self.text(found["checkPeriod"], "")
            if out["action"] != "check" or (period != "always" and not 0 <= hours(period) <= 168):
                self.fault(*found["checkPeriod"], "must be between 0 and 168h, only with check")
        return out

    def test(self, value, path):
        found = self.known(value, "tests", path)
        out = {"accept": [], "deny": [], "path": path, "place": value.place}
        out["proto"] = protocol_of(self.text(found.get("proto"), ""))
        if out["proto"] == "bad":
            self.fault(*found["proto"], "not a protocol")
        out["src"] = None
        self.test_source(out, found, value, path, TEST_SOURCES)
        if not self.items(found.get("accept")) and not self.items(found.get("deny")):
            self.fault(value, path, "say what to accept or deny")
        for wish in ("accept", "deny"):
            for item, here in self.strings(found.get(wish)):
                target, ports = split_target(item.content.strip())
                ranges = ports_of(ports) if ports else None
                if not ranges or len(ranges) != 1 or ranges[0][0] != ranges[0][1]:
                    self.fault(item, here, "one port")
                    continue
                if "/" in target:
                    self.fault(item, here, "one host")
                    continue
                text = self.selector(item, here, TEST_TARGETS, target)
                if text is not None and not self.is_host(text):
                    self.fault(item, here, "one host")
                elif text is not None:
                    out[wish].append((text, ranges[0][0], item.place, here))
        return out

    def test_source(self, out, found, value, path, allowed):
        if "src" not in found:
            self.fault(value, path, "needs a source")
        elif found["src"][0].kind != "string":
            self.fault(*found["src"], "expected a string")
        else:
            out["src"] = self.selector(*found["src"], allowed)

    def is_host(self, text):
        """Not a name or prefix of several addresses."""
        if text in self.names["hosts"]:
            text = self.file["hosts"][text]
        first, last = ipset.of_prefix(text)[0] if is_prefix(text) else (0, 0)
        return first == last

    def ssh_test(self, value, path):
        found = self.known(value, "sshTests", path)
        out = {"dst": [], "src": None}
        self.test_source(out, found, value, path, TEST_SOURCES)
        for item, here in self.strings(found.get("dst")):
            text = self.selector(item, here, TEST_TARGETS | {"member", "tagged"})
            if text is not None and ("/" in text or not self.is_host(text)):
                self.fault(item, here, "one host")
            elif text is not None:
                out["dst"].append(text)
        if not any(self.items(found.get(wish)) for wish in ("accept", "check", "deny")):
            self.fault(value, path, "say what to accept, check or deny")
        for wish in ("accept", "check", "deny"):
            out[wish] = []
            for item, here in self.strings(found.get(wish)):
                if not item.content.strip():
                    self.fault(item, here, "name the login users")
                out[wish].append((item.content.strip(), item.place, here))
        return out


def hours(text):
    """A duration like 1h30m in hours, or -1."""
    if not re.fullmatch(r"(\d+(\.\d+)?(h|m|s|ms))+", text):
        return -1
    units = {"h": 1, "m": 1 / 60, "s": 1 / 3600, "ms": 1 / 3.6e6}
    return sum(float(n) * units[u] for n, _, u in re.findall(r"(\d+(\.\d+)?)(ms|h|m|s)", text))
