"""What a host looks like to its other programs: to show that Warren leaves nothing behind."""

import difflib
import json
import re

# Counters and things that time changes.
VOLATILE = re.compile(r"nf_conntrack_count|random|route\.gc|\.stat|neigh|tcp_fastopen_key|addr_gen|base_reachable"
                      r"|if_counter|nf_conntrack_buckets|stable_secret|ip_local_reserved")


def snapshot(namespace):
    """Links, addresses, rules, every routing table, nftables and sysctls, as sorted lines of text."""
    state = {}
    state["links"] = [f'{link["ifname"]} {sorted(link["flags"])} mtu {link["mtu"]}'
                      for link in namespace.ip_json("link", "show")]
    state["addresses"] = [f'{link["ifname"]} {a["local"]}/{a["prefixlen"]}'
                          for link in namespace.ip_json("address", "show") for a in link["addr_info"]]
    for family in ("-4", "-6"):
        state[f"rules {family}"] = [json.dumps(r, sort_keys=True) for r in namespace.ip_json(family, "rule", "show")]
        routes = namespace.ip_json(family, "route", "show", "table", "all")
        state[f"routes {family}"] = [json.dumps({k: v for k, v in r.items() if k not in ("expires", "flags")},
                                                sort_keys=True) for r in routes]
    nft = json.loads(namespace.run("nft", "-j", "list", "ruleset"))["nftables"]
    state["nft"] = [json.dumps(strip(entry), sort_keys=True) for entry in nft if "metainfo" not in entry]
    sysctls = namespace.run("sysctl", "-a", "-r", r"^net\.(ipv4|ipv6|netfilter)\.", check=False)
    state["sysctls"] = [line for line in sysctls.splitlines() if not VOLATILE.search(line)]
    return {part: sorted(lines) for part, lines in state.items()}


def strip(entry):
    """An nft entry without numbers that say nothing."""
    if isinstance(entry, dict):
        return {k: strip(v) for k, v in entry.items() if k not in ("handle", "packets", "bytes")}
    if isinstance(entry, list):
        return [strip(v) for v in entry]
    return entry


def difference(before, after):
    """Lines that only one of two snapshots has; empty when they are equal."""
    lines = []
    for part in before:
        for line in difflib.unified_diff(before[part], after[part], n=0, lineterm=""):
            if line[:1] in "+-" and line[:3] not in ("+++", "---"):
                lines.append(f"{part}: {line}")
    return "\n".join(lines)
