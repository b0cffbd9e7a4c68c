"""The made-up network that the mock daemon shows: its devices, and its Status document."""
import random
import time

import gi
gi.require_version("Gio", "2.0")
from gi.repository import GLib  # noqa: E402

ONLINE, ACTIVE, EXPIRED, EXIT, EXIT_NOW, TAGGED, SHARED = 1, 2, 4, 8, 16, 32, 64
ROUTER, MINE, LOCATION, DIRECT, RELAYED = 1024, 2048, 4096, 8192, 16384

def v(signature, value):
    return GLib.Variant(signature, value)


def peer(number, name, os_name="linux", owner="alice", user=7, flags=ONLINE | MINE, seen=0,
         suffix="example.ts.net", **extra):
    ident = "n%04dCNTRL" % number
    addresses = ["100.64.%d.%d" % (number // 250, number % 250 + 1),
                 "fd7a:115c:a1e0::%x" % (number + 1)]
    return [ident, name, "%s.%s" % (name, suffix), addresses, os_name, owner, user, flags, seen,
            {k: w for k, w in extra.items()}]


def small_tailnet(now):
    return [
        peer(1, "atlas", flags=ONLINE | MINE | DIRECT | ACTIVE | 256, Tags=v("as", [])),
        peer(2, "birch", "linux", "alice", flags=ONLINE | TAGGED | ROUTER | RELAYED | ACTIVE,
             Tags=v("as", ["tag:lab"]), Routes=v("as", ["192.168.7.0/24"])),
        peer(3, "cello", "macOS", flags=ONLINE | MINE),
        peer(4, "phone", "android", flags=MINE, seen=now - 2 * 3600),
        peer(5, "john_doe-laptop", "windows", "bob", 8, flags=ONLINE),
        peer(6, "garden-cam", "linux", "bob", 8, flags=0, seen=now - 6 * 86400),
        peer(7, "zurich", "linux", "alice", flags=ONLINE | MINE | EXIT | DIRECT,
             Country=v("s", "Switzerland"), City=v("s", "Zurich"), CountryCode=v("s", "CH")),
        peer(8, "home-router", "linux", "alice", flags=ONLINE | MINE | EXIT | ROUTER,
             Routes=v("as", ["192.168.1.0/24"])),
        peer(9, "carol-tablet", "iOS", "carol", 9, flags=ONLINE | SHARED, suffix="carol.ts.net"),
    ]


def many_peers(count, now):
    rng = random.Random(5)
    systems = ["linux", "windows", "macOS", "android", "iOS"]
    owners = [("alice", 7), ("bob", 8), ("carol", 9), ("dora", 10)]
    rows = []
    for i in range(count):
        owner, user = owners[rng.randrange(4)]
        online = rng.random() < 0.6
        flags = (ONLINE if online else 0) | (MINE if user == 7 else 0)
        flags |= rng.choice([DIRECT, RELAYED, 0]) if online else 0
        flags |= EXIT if i % 500 == 3 else 0
        rows.append(peer(i + 10, "node-%05d" % i, rng.choice(systems), owner, user, flags,
                         0 if online else now - rng.randrange(10 ** 6)))
    return rows


def status_document(session, with_peers):
    """The official Status document of a session of the mock daemon."""
    props = session["props"]
    never = "0001-01-01T00:00:00Z"
    state = {"running": "Running", "stopped": "Stopped", "starting": "Starting",
             "needs-login": "NeedsLogin", "needs-approval": "NeedsMachineAuth"}
    own = {k: w.unpack() for k, w in props["Self"].items()}

    def node(key, ident, name, fqdn, addresses, system, user, flags, seen, tags):
        active = bool(flags & ACTIVE)
        return {"ID": ident, "NodeID": 1, "PublicKey": key, "HostName": name,
                "DNSName": fqdn + "." if fqdn else "", "OS": system, "UserID": user,
                "TailscaleIPs": addresses, "Addrs": None,
                "CurAddr": "192.168.1.9:41641" if flags & DIRECT else "",
                "Relay": "fra", "PeerRelay": "", "RxBytes": 5120 if active else 0,
                "TxBytes": 4096 if active else 0, "Created": never, "LastWrite": never,
                "LastSeen": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seen))
                if seen else never, "LastHandshake": never, "Online": bool(flags & ONLINE),
                "ExitNode": bool(flags & EXIT_NOW), "ExitNodeOption": bool(flags & EXIT),
                "Active": active, "PeerAPIURL": None, "TaildropTarget": 0,
                "NoFileSharingReason": "", "InNetworkMap": True, "InMagicSock": True,
                "InEngine": True, **({"Tags": tags} if tags else {})}

    self_node = node("nodekey:" + "1" * 64, own.get("Id", ""), own["Name"],
                     own.get("Fqdn", ""), own.get("Addresses"), "linux", 7, ONLINE, 0, None)
    peers = {}
    for i, r in enumerate(session["peers"].values()):
        tags = r[9]["Tags"].unpack() if "Tags" in r[9] else None
        peers["nodekey:%064x" % i] = node("nodekey:%064x" % i, r[0], r[1], r[2], r[3], r[4],
                                          r[6], r[7], r[8], tags)
    return {"Version": "0.1.0-warren", "TUN": True,
            "BackendState": state.get(props["State"], "NoState"), "AuthURL": "",
            "TailscaleIPs": own.get("Addresses"), "Self": self_node, "Health": [],
            "MagicDNSSuffix": props["DnsSuffix"], "CurrentTailnet": None, "CertDomains": None,
            "ExtraRecords": None, "Peer": peers if with_peers else None,
            "User": {str(i): {"ID": i, "LoginName": n + "@example.com", "DisplayName": n,
                              "ProfilePicURL": ""}
                     for i, n in [(7, "alice"), (8, "bob"), (9, "carol"), (10, "dora")]},
            "ClientVersion": None}
