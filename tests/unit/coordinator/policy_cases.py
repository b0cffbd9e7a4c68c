"""The nodes of the worked examples (spec/netmap-and-policy.md part 7), and the program asked about them."""
import json
import os
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
COMMON = {
    "groups": {"group:dev": ["ada@example.com", "bob@example.com"]},
    "hosts": {"db-v4": "100.64.0.51", "office": "192.168.7.0/24"},
    "tagOwners": {f"tag:{name}": [] for name in ("web", "db", "router", "exit")},
}
NODES = [  # name, number, user, tag, routes
    ("ada-laptop", 11, "ada@example.com", None, []),
    ("ada-phone", 21, "ada@example.com", None, []),
    ("bob-laptop", 31, "bob@example.com", None, []),
    ("web", 41, "", "web", []),
    ("db", 51, "", "db", []),
    ("router", 61, "", "router", ["192.168.7.0/24"]),
    ("exit", 71, "", "exit", ["0.0.0.0/0", "::/0"]),
    ("eve-laptop", 81, "eve@example.org", None, []),
]
NAMES = [node[0] for node in NODES]
ANY = ["100.64.0.0-100.115.91.255", "100.115.94.0-100.127.255.255", "fd7a:115c:a1e0::/48", "192.168.7.0/24"]
INTERNET = ["0.0.0.0-9.255.255.255", "11.0.0.0-100.63.255.255", "100.128.0.0-169.253.255.255",
            "169.255.0.0-172.15.255.255", "172.32.0.0-192.167.255.255", "192.169.0.0-255.255.255.255",
            "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]


def tailnet():
    return {
        "users": [{"login": login, "role": "member"}
                  for login in ("ada@example.com", "bob@example.com", "eve@example.org")],
        "nodes": [{"name": name, "user": user, "tags": [f"tag:{tag}"] if tag else [],
                   "addresses": both(number), "advertisedRoutes": routes, "approvedRoutes": routes}
                  for name, number, user, tag, routes in NODES],
    }


def both(number):
    return [f"100.64.0.{number}", f"fd7a:115c:a1e0::{number}"]


def addresses(*numbers):
    """The sources [11, 21] of the examples: IPv4 first."""
    return [f"100.64.0.{n}" for n in numbers] + [f"fd7a:115c:a1e0::{n}" for n in numbers]


def run(verb, policy, nodes=None):
    text = policy if isinstance(policy, str) else json.dumps(policy)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("policy", text), ("nodes", json.dumps(nodes or tailnet()))):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(content)
        return subprocess.run([PROGRAM, "policy", verb, "--policy", f"{folder}/policy", "--nodes", f"{folder}/nodes"],
                              capture_output=True, text=True, timeout=30, check=False)


def preview(policy, common=True):
    result = run("preview", {**COMMON, **policy} if common else policy)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def rule(sources, destinations, *proto):
    """destinations: [(address, first, last), …]"""
    made = {"SrcIPs": sources, "DstPorts": [{"IP": ip, "Ports": {"First": first, "Last": last}}
                                            for ip, first, last in destinations]}
    if proto:
        made["IPProto"] = list(proto)
    return made


def to(number, *ports):
    return [(address, *(port if isinstance(port, tuple) else (port, port))) for address in both(number)
            for port in ports or [(0, 65535)]]


def equal(found, wanted):
    assert found == wanted, f"\nfound  {json.dumps(found)}\nwanted {json.dumps(wanted)}"


def check(result, filters, peers=None):
    """Filters of the named nodes, [] for all others; peers as pairs."""
    for name in NAMES:
        equal({name: result[name]["packetFilter"]}, {name: filters.get(name, [])})
    if peers is not None:
        found = {frozenset((a, b)) for a in NAMES for b in result[a]["peers"]}
        equal(sorted(map(sorted, found)), sorted(map(sorted, peers)))


def pairs(hub, *others):
    return {frozenset((hub, other)) for other in others}


def told(checks, prefix):
    """Runs the checks as TAP; ends the program."""
    print(f"1..{len(checks)}")
    failed = False
    for number, test in enumerate(checks, 1):
        name = prefix + test.__name__.replace("_", "-")
        try:
            test()
            print(f"ok {number} - {name}")
        except AssertionError as error:
            failed = True
            print(f"not ok {number} - {name}")
            print(name, error, file=sys.stderr)
    sys.exit(failed)
