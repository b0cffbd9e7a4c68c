"""Sets of addresses as sorted lists of closed ranges in one line of integers, IPv4 before IPv6."""

import ipaddress

V6 = 1 << 130


def number(address):
    return int(address) + (V6 if address.version == 6 else 0)


def address(value):
    return ipaddress.IPv6Address(value - V6) if value >= V6 else ipaddress.IPv4Address(value)


def of_prefix(text):
    net = ipaddress.ip_network(text, strict=False)
    return [(number(net[0]), number(net[-1]))]


def of_range(text):
    first, last = (ipaddress.ip_address(part) for part in text.split("-"))
    return [(number(first), number(last))]


def union(*sets):
    out = []
    for first, last in sorted(r for s in sets for r in s):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out


def minus(a, b):
    out = list(union(a))
    for first, last in b:
        rest = []
        for low, high in out:
            if last < low or high < first:
                rest.append((low, high))
                continue
            if low < first:
                rest.append((low, first - 1))
            if last < high:
                rest.append((last + 1, high))
        out = rest
    return union(out)


def overlap(a, b):
    return any(low <= last and first <= high for first, last in a for low, high in b)


def meet(a, b):
    return union([(max(first, low), min(last, high)) for first, last in a for low, high in b
                  if low <= last and first <= high])


def contains(a, b):
    """Whether the whole of b lies in a."""
    return not minus(b, a)


def prefixes(ranges):
    out = []
    for first, last in union(ranges):
        out += [str(net) for net in ipaddress.summarize_address_range(address(first), address(last))]
    return out


def texts(ranges):
    """Single addresses, prefixes where exact, else first-last."""
    out = []
    for first, last in union(ranges):
        if first == last:
            out.append(str(address(first)))
            continue
        nets = list(ipaddress.summarize_address_range(address(first), address(last)))
        out.append(str(nets[0]) if len(nets) == 1 else f"{address(first)}-{address(last)}")
    return out


def of_text(text):
    """The inverse for one element; "*" is everything."""
    if text == "*":
        return EVERYTHING
    return of_range(text) if "-" in text else of_prefix(text)


EVERYTHING = of_prefix("0.0.0.0/0") + of_prefix("::/0")
INTERNET_TEXTS = ["0.0.0.0-9.255.255.255", "11.0.0.0-100.63.255.255", "100.128.0.0-169.253.255.255",
                  "169.255.0.0-172.15.255.255", "172.32.0.0-192.167.255.255", "192.169.0.0-255.255.255.255",
                  "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
INTERNET = union(*(of_range(text) for text in INTERNET_TEXTS))
TAILNET_TEXTS = ["100.64.0.0-100.115.91.255", "100.115.94.0-100.127.255.255", "fd7a:115c:a1e0::/48"]
TAILNET = union(*(of_text(text) for text in TAILNET_TEXTS))
