"""The NAT laboratory: hosts behind routers, on a small internet, in network namespaces.

    with Lab() as lab:
        a = lab.host("a", nat="easy")
        b = lab.host("b", nat="symmetric")
        lab.block_udp(a, b)

A star of routed veths, no bridge: the namespace "core" is the internet, each host hangs on it directly
or behind one or two routers. Namespaces are called wr<pid>-<n>-<name>; leaving the `with` block removes
them and every process that runs in them, also after an exception, SIGINT, SIGTERM and SIGHUP. What a
killed test left behind goes when the next Lab starts. Needs root. Recipes: nat.py.

Addresses: site i has 20.0.i.0/24 and 2a00:77:i::/64 outside, 192.168.i.0/24 and 2a00:77:1000+i::/64
inside. They look public to a node and exist in these namespaces only.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from nat import ruleset

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    pass


def run(command, input=None, timeout=60, check=True):
    """Runs a command; its output as text. A failure carries what it printed."""
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Namespace:
    """One network namespace."""

    def __init__(self, lab, name):
        self.lab, self.label = lab, name
        self.name = f"wr{os.getpid()}-{lab.number}-{name}"
        self.path = f"/run/netns/{self.name}"
        lab.namespaces.append(self)  # before it is there: a signal may come at any moment
        run(["ip", "netns", "add", self.name])
        self.ip_batch("link set lo up")
        self.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                    "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                    "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                    "net.ipv6.conf.default.accept_ra=0",
                    "net.ipv6.conf.all.keep_addr_on_down=1", "net.ipv6.conf.default.keep_addr_on_down=1", "net.ipv4.ping_group_range=0 2147483647")

    def command(self, command):
        """The command as it runs in here; it dies with the thread that started it."""
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.name, *command]

    def run(self, *command, **options):
        return run(self.command(command), **options)

    def popen(self, command, **options):
        """Starts a command that the lab ends. Call this on the main thread."""
        process = subprocess.Popen(self.command(command), stdin=subprocess.DEVNULL, **options)
        self.lab.processes.append(process)
        return process

    def ip_batch(self, *lines):
        run(["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines) + "\n")

    def ip_json(self, *arguments):
        """What `ip -json …` says in here, decoded."""
        return json.loads(run(["ip", "-n", self.name, "-json", *arguments]) or "[]")

    def nft(self, rules):
        self.run("nft", "-f", "-", input=rules)

    def sysctl(self, *settings):
        self.run("sysctl", "-qw", *settings)

    def socket(self, *arguments):
        """A socket of this namespace for use in this process: it stays where it was created."""
        made = []

        def make():
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                if _libc.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                os.close(fd)
                made.append(socket.socket(*arguments))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def resolv_conf(self, text):
        """Gives programs that start here from now on their own /etc/resolv.conf."""
        os.makedirs(f"/etc/netns/{self.name}", exist_ok=True)
        with open(f"/etc/netns/{self.name}/resolv.conf", "w") as file:
            file.write(text)

    @property
    def resolv_conf_path(self):
        return f"/etc/netns/{self.name}/resolv.conf"


class Host(Namespace):
    """A host of the lab: `ip4`/`ip6` are its own addresses, `outside4` what the internet sees."""

    def __init__(self, lab, name, index):
        super().__init__(lab, name)
        self.index = index
        self.routers = []  # from the host to the internet
        self.ip4 = self.ip6 = self.outside4 = None
        self.uplink = f"s{index}"  # this site's interface in the core
        self.nets4, self.nets6 = [], []  # all addresses of this site as the core sees them
        self.core_routes = []  # the core's `ip route add` arguments for nets behind a router


class Lab:
    _count = 0

    def __init__(self):
        if os.geteuid() != 0:
            raise LabError("the laboratory needs root")
        Lab._count += 1
        self.number = Lab._count
        self.namespaces, self.processes = [], []
        self.sites = 0
        self._blocked = set()
        self._handlers = {}

    def __enter__(self):
        remove_stale()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _exit_on_signal)
        try:
            self.core = Namespace(self, "core")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def popen(self, command, **options):
        """Starts a command outside of every namespace; the lab ends it. Call this on the main thread."""
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 5
        for process in self.processes:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for namespace in self.namespaces:
            remove_namespace(namespace.name)
        self.namespaces, self.processes = [], []
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def host(self, name, nat=None, ipv6=None, ipv6_firewall=True):
        """A new host, alone at its site, behind the given NAT ("easy", … of nat.py, None: none;
        "cgnat": two routers). IPv6 is there by default only without NAT: with it, a NAT is no obstacle."""
        self.sites += 1
        index = self.sites
        host = Host(self, name, index)
        ipv6 = nat is None if ipv6 is None else ipv6
        kinds = [] if nat is None else ["easy", nat[6:] or "easy"] if nat.startswith("cgnat") else [nat]
        host.routers = [Namespace(self, f"{name}-r{n}") for n in range(len(kinds))]
        # Nodes from the inside out; link n joins chain[n] with chain[n+1].
        chain = [host, *host.routers, self.core]
        nets = [f"192.168.{index}"] + [f"10.100.{index}"] * (len(kinds) - 1) + [f"20.0.{index}"]
        nets = nets[-(len(chain) - 1):]
        for n, (inner, outer) in enumerate(zip(chain, chain[1:])):
            upper = "eth0" if n == 0 else "wan"
            lower = host.uplink if outer is self.core else "lan"
            run(["ip", "link", "add", upper, "netns", inner.name, "type", "veth", "peer", "name", lower,
                 "netns", outer.name])
            inner.ip_batch(f"address add {nets[n]}.2/24 dev {upper}", f"link set {upper} up")
            outer.ip_batch(f"address add {nets[n]}.1/24 dev {lower}", f"link set {lower} up")
            inner.ip_batch(f"route add default via {nets[n]}.1")
        host.ip4, host.outside4 = f"{nets[0]}.2", f"20.0.{index}.2"
        host.nets4 = [f"20.0.{index}.0/24"]
        if ipv6:
            self._add_ipv6(host, chain)
        for kind, router in zip(kinds, host.routers):
            wan = next(n for n, node in zip(nets[1:], chain[1:]) if node is router)
            lan = nets[chain.index(router) - 1]
            router.nft(ruleset(kind, f"{wan}.2", f"{lan}.2", ipv6_firewall))
        return host

    def _add_ipv6(self, host, chain):
        outer_net, inner_net = f"2a00:77:{host.index:x}", f"2a00:77:{0x1000 + host.index:x}"
        if len(chain) > 3:
            raise LabError("IPv6 behind two routers is not laid out")
        nets = [outer_net] if len(chain) == 2 else [inner_net, outer_net]
        for n, (inner, outer) in enumerate(zip(chain, chain[1:])):
            upper = "eth0" if n == 0 else "wan"
            lower = host.uplink if outer is self.core else "lan"
            outer.ip_batch(f"address add {nets[n]}::1/64 dev {lower} nodad")
            inner.ip_batch(f"address add {nets[n]}::2/64 dev {upper} nodad", f"route add default via {nets[n]}::1")
        if len(chain) == 3:
            host.core_routes = [f"{inner_net}::/64 via {outer_net}::2"]
            self.core.ip_batch(*(f"route add {route}" for route in host.core_routes))
        host.ip6 = f"{nets[0]}::2"
        host.nets6 = [f"{net}::/64" for net in nets]

    def server(self, name, net4, net6=None):
        """A host of the internet with addresses that the test chooses (`net4` = "10.77.0" gives .2)."""
        self.sites += 1
        host = Host(self, name, self.sites)
        run(["ip", "link", "add", "eth0", "netns", host.name, "type", "veth", "peer", "name", host.uplink,
             "netns", self.core.name])
        self.core.ip_batch(f"address add {net4}.1/24 dev {host.uplink}", f"link set {host.uplink} up")
        host.ip_batch(f"address add {net4}.2/24 dev eth0", "link set eth0 up", f"route add default via {net4}.1")
        host.ip4 = host.outside4 = f"{net4}.2"
        host.nets4 = [f"{net4}.0/24"]
        if net6:
            self.core.ip_batch(f"address add {net6}::1/64 dev {host.uplink} nodad")
            host.ip_batch(f"address add {net6}::2/64 dev eth0 nodad", f"route add default via {net6}::1")
            host.ip6 = f"{net6}::2"
            host.nets6 = [f"{net6}::/64"]
        return host

    def behind(self, router, name, net4, net6=None):
        """A host that is reached through `router` alone and knows no way further than it: the network
        behind a subnet router (`net4` = "192.168.50" gives .2, the router has .1)."""
        inner = Namespace(self, name)
        run(["ip", "link", "add", "eth0", "netns", inner.name, "type", "veth", "peer", "name", name, "netns",
             router.name])
        router.ip_batch(f"address add {net4}.1/24 dev {name}", f"link set {name} up")
        inner.ip_batch(f"address add {net4}.2/24 dev eth0", "link set eth0 up")
        inner.ip4, inner.ip6 = f"{net4}.2", None
        if net6:
            router.ip_batch(f"address add {net6}::1/64 dev {name} nodad")
            inner.ip_batch(f"address add {net6}::2/64 dev eth0 nodad")
            inner.ip6 = f"{net6}::2"
        return inner

    def block_udp(self, a, b):
        """Drops UDP between the two hosts' sites, in both directions, until unblock_udp."""
        self._blocked.add((a, b))
        self._apply_blocks()

    def unblock_udp(self, a, b):
        self._blocked.discard((a, b))
        self._apply_blocks()

    def _apply_blocks(self):
        rules = []
        for a, b in self._blocked:
            for x, y in ((a, b), (b, a)):
                for family, sources, destinations in (("ip", x.nets4, y.nets4), ("ip6", x.nets6, y.nets6)):
                    if sources and destinations:
                        rules.append(f"{family} saddr {{ {', '.join(sources)} }} {family} daddr "
                                     f"{{ {', '.join(destinations)} }} meta l4proto udp drop")
        self.core.nft("table inet wrblock {}\ndelete table inet wrblock\ntable inet wrblock {\n"
                      "chain forw { type filter hook forward priority filter; policy accept;\n"
                      + "\n".join(rules) + "\n}\n}\n")

    def cut(self, host):
        """Pulls the site's cable out of the internet."""
        self.core.ip_batch(f"link set {host.uplink} down")

    def mend(self, host):
        self.core.ip_batch(f"link set {host.uplink} up", *(f"route replace {route}" for route in host.core_routes))


def _exit_on_signal(number, _frame):
    raise SystemExit(128 + number)


def remove_namespace(name):
    """Ends what runs in a namespace of ours and removes it."""
    for pid in run(["ip", "netns", "pids", name], check=False).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    run(["ip", "netns", "delete", name], check=False)
    shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def lives(pid):
    """Whether a process runs; one that nobody has asked for its end does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def remove_stale():
    """Removes the namespaces of test processes that are gone."""
    names = {line.split()[0] for line in run(["ip", "netns", "list"]).splitlines() if line}
    if os.path.isdir("/etc/netns"):
        names.update(os.listdir("/etc/netns"))
    for name in names:
        pid = name[2:].split("-")[0]
        if name.startswith("wr") and "-" in name and pid.isdigit() and not lives(pid):
            remove_namespace(name)
