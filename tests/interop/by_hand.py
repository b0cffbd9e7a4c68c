#!/usr/bin/python3
"""A small tailnet to try things by hand. Stays up until a signal, or for an hour.

    tests/interop/by_hand.py [--register] KIND[:NAT] …

KIND is official, warren (from $WARREN_BUILD) or bare (an empty host for a program of yours), NAT one of
tests/natlab/nat.py. Prints how to reach everything. Example: by_hand.py official warren:easy bare
"""

import sys
import time

from lab import Lab, Tailnet
from nodes import make_node


def main():
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not wanted:
        sys.exit(__doc__)
    server = "labregister" if "--register" in sys.argv else "labcontrol"
    with Lab() as lab, Tailnet(lab, server=server) as tailnet:
        print(f"control server  {tailnet.control.url}\n"
              f"  command       curl -s --unix-socket {tailnet.control.socket_path} http://x/nodes -d '{{}}'\n"
              f"logs            {tailnet.dir}")
        if server == "labregister":
            tailnet.control("mode", open=True)
        for n, argument in enumerate(wanted):
            kind, _, nat = argument.partition(":")
            name = f"{kind}{n}"
            host = lab.host(name, nat=nat or None)
            print(f"{name}: ip netns exec {host.name} …   addresses {host.ip4} {host.ip6 or ''}")
            if kind == "bare":
                continue
            node = make_node(kind, tailnet, host, name).start()
            node.up()
            prefix = f"env WARREN_BUS={node.bus} " if kind == "warren" else ""
            print(f"  tailnet {node.ip4} {node.ip6}\n"
                  f"  ip netns exec {host.name} {prefix}{' '.join(node.cli_command())} status")
        print("up; end with a signal", flush=True)
        time.sleep(3600)


main()
