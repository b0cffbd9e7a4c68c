"""The routers of the NAT laboratory as nft rulesets. Interfaces are called "wan" and "lan".

kind                 mapping / filtering                                   a stranger's packet
easy                 one port for all destinations / address and port      dropped
symmetric            a new random port for each destination                dropped
sequential           ports 20000, 20001, … one for each flow               dropped
address              one port / address                                    dropped
cone                 one port / nothing: anyone may answer                 passes to the port's owner
one-to-one           the external address belongs to the host              passes
udp-blocked          TCP like easy, no UDP at all                          dropped
tcp443               only TCP to port 443                                  dropped
clash                easy, but the router itself takes what comes in: conntrack then keeps the port and the
                     NAT looks harder than it is; real, and a case of its own
"""

FORWARD = """
table ip fw {
  chain forw { type filter hook forward priority filter; policy drop;
    ct state established,related accept
    %(extra)s
    %(allowed)s
    ct status dnat accept
  }
  chain inpt { type filter hook input priority filter; policy accept;
    %(input)s
  }
}
"""

# An unsolicited packet to the router itself must die, or conntrack takes its port.
INPUT = 'iifname "wan" ct state new drop'

MASQUERADE = """
table ip nat {
  %(declarations)s
  chain post { type nat hook postrouting priority srcnat; oifname "wan" %(mapping)s
  }
  %(chains)s
}
"""

# The map from external port to inside owner, learnt after NAT, for filtering weaker than conntrack's.
TRACKING = """
  map owner { type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 120s; }
  set okaddr { type inet_service . ipv4_addr; flags dynamic,timeout; timeout 120s; }
  chain learn { type filter hook postrouting priority 150;
    oifname "wan" meta l4proto udp update @owner { udp sport : ct original ip saddr . ct original proto-src }
    oifname "wan" meta l4proto udp update @okaddr { udp sport . ip daddr }
  }
"""

IPV6_FIREWALL = """
table ip6 fw {
  chain forw { type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "lan" oifname "wan" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, packet-too-big } accept
  }
}
"""


def ruleset(kind, wan, lan, ipv6_firewall=True):
    """The nft text for one router; `wan` is its external address, `lan` the host behind it."""
    extra, allowed, incoming = "", 'iifname "lan" oifname "wan" accept', INPUT
    declarations, mapping, chains = "", "masquerade", ""
    if kind == "symmetric":
        mapping = "masquerade fully-random"
    elif kind == "sequential":
        ports = ", ".join(f"{n} : {20000 + n}" for n in range(4096))
        mapping = f'meta l4proto udp snat ip to {wan} : numgen inc mod 4096 map {{ {ports} }}\n    oifname "wan" masquerade'
    elif kind in ("cone", "address"):
        declarations = TRACKING
        known = "" if kind == "cone" else "udp dport . ip saddr @okaddr "
        chains = ('chain pre { type nat hook prerouting priority dstnat; iifname "wan" meta l4proto udp '
                  f"{known}dnat ip to udp dport map @owner\n  }}")
    elif kind == "one-to-one":
        mapping = f"ip saddr {lan} snat ip to {wan}"
        chains = (f'chain pre {{ type nat hook prerouting priority dstnat; iifname "wan" ip daddr {wan} '
                  f"dnat ip to {lan}\n  }}")
    elif kind == "udp-blocked":
        extra = "meta l4proto udp drop"
    elif kind == "tcp443":
        allowed = 'iifname "lan" oifname "wan" tcp dport 443 accept'
    elif kind == "clash":
        incoming = ""
    elif kind != "easy":
        raise ValueError(f"no NAT of the kind {kind!r}")
    text = FORWARD % {"extra": extra, "allowed": allowed, "input": incoming}
    text += MASQUERADE % {"declarations": declarations, "mapping": mapping, "chains": chains}
    return text + (IPV6_FIREWALL if ipv6_firewall else "")
