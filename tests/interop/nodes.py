"""Nodes of a tailnet, each in a namespace of its own, behind one interface whether official or ours.

    a = make_node("warren", tailnet, lab.host("a"), "alpha").start()
    a.up(); a.wait_running(); a.ping(b)

A Warren daemon runs as an unprivileged user with exactly CAP_NET_ADMIN and CAP_NET_RAW as ambient
capabilities, cannot gain others, and has a message bus of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

from lab import LabError, run, skip_all, tail, wait_for

NOBODY = "65534"
TUN = "/dev/net/tun"
MANAGER = "/org/warrenvpn/Daemon1/Manager"


def open_to_all(path):
    """Whether a bus takes connections of every user: it makes its socket first and opens it then."""
    return os.path.exists(path) and os.stat(path).st_mode & 0o666 == 0o666


class Node:
    """What both kinds share: their command lines take the same words."""

    kind = None

    def __init__(self, tailnet, host, name, port=None):
        self.tailnet, self.host, self.name, self.port = tailnet, host, name, port
        self.dir = os.path.join(tailnet.dir, f"node-{name}")
        os.mkdir(self.dir)
        self.log_path = os.path.join(self.dir, "log")
        self.process = None
        # The trust roots of the person who runs the tests are not those of a service.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("SSL_CERT_")}
        if tailnet.ca_file:
            self.environment["SSL_CERT_FILE"] = tailnet.ca_file
        self.restore_resolv_conf()
        self.login = None  # the waiting `up` of an interactive sign-in
        tailnet.nodes.append(self)

    # The daemon

    def restore_resolv_conf(self):
        """The file as it was before any start: a predecessor's would be taken for damage."""
        self.host.resolv_conf(f"nameserver {self.tailnet.names.host.ip4}\n")

    def start(self):
        """Starts the daemon and waits until it answers."""
        self.launch()
        wait_for(lambda: self.answers() or self.process.poll() is not None, 10, f"{self.name} answers")
        if self.process.poll() is not None:
            raise LabError(f"{self.name} ended with {self.process.returncode}: {tail(self.log_path, 5)}")
        return self

    def answers(self):
        """Whether the daemon takes commands."""
        return bool(self.status())

    def stop(self, timeout=60):
        """A clean stop; returns the exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        return self.process.wait(timeout)

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def abandon(self):
        """The end of the test: no waiting."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    # The command line

    def cli(self, *arguments, timeout=90, check=True):
        done = subprocess.run(self.host.command(self.cli_command() + list(arguments)), env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(arguments)}: exit {done.returncode}: "
                           f"{(done.stderr + done.stdout).strip()}")
        return done

    def up(self, *options, auth_key=None, timeout=90, check=True, login_server=None):
        """Connects; back when Running (or with check=False whatever came of it)."""
        arguments = ["up", f"--login-server={login_server or self.tailnet.control.url}", f"--hostname={self.name}",
                     f"--timeout={timeout}s", "--accept-dns=false", *options]
        if auth_key:
            arguments.append(f"--auth-key={auth_key}")
        return self.cli(*arguments, timeout=timeout + 10, check=check)

    def begin_login(self, *options, timeout=15):
        """Starts an interactive sign-in and returns the address of its page; wait_running() afterwards."""
        arguments = ["up", f"--login-server={self.tailnet.control.url}", f"--hostname={self.name}",
                     "--accept-dns=false", "--timeout=300s", *options]
        with open(os.path.join(self.dir, "login.log"), "w") as log:
            self.login = self.host.popen(self.cli_command() + arguments, env=self.environment, stdout=log,
                                         stderr=subprocess.STDOUT)
        return wait_for(self.login_url, timeout, f"{self.name} shows the address of a sign-in page")

    def login_url(self):
        """The address that the waiting `up` printed."""
        for line in tail(os.path.join(self.dir, "login.log")).splitlines():
            if line.strip().startswith(("http://", "https://")):
                return line.strip()
        return None

    def down(self):
        self.cli("down")

    def logout(self):
        self.cli("logout")

    def set(self, *options):
        self.cli("set", *options)

    def status(self):
        """The official Status document; {} while the daemon does not answer."""
        done = self.cli("status", "--json", check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {}

    def state(self):
        return self.status().get("BackendState", "")

    def wait_state(self, state, timeout=30):
        wait_for(lambda: self.state() == state, timeout, f"{self.name} is {state}")

    def wait_running(self, timeout=30):
        self.wait_state("Running", timeout)

    def addresses(self):
        return self.status().get("TailscaleIPs") or []

    @property
    def ip4(self):
        return next(a for a in self.addresses() if ":" not in a)

    @property
    def ip6(self):
        return next(a for a in self.addresses() if ":" in a)

    def address(self, family):
        return self.ip6 if family == 6 else self.ip4

    def peer(self, other):
        """The Status entry of another node, None when it is not in the list."""
        for entry in (self.status().get("Peer") or {}).values():
            if entry.get("DNSName", "").split(".")[0] == other.name or entry.get("HostName") == other.name:
                return entry
        return None

    def wait_peer(self, other, predicate=bool, timeout=20, what="is a peer"):
        return wait_for(lambda: predicate(self.peer(other)), timeout, f"{other.name} {what} at {self.name}")

    def wait_approved(self, *options):
        """The interactive sign-in from end to end, with the test as the person who approves."""
        url = self.begin_login(*options)
        self.tailnet.control("approve" if self.tailnet.server == "labregister" else "auth", URL=url)
        if self.login.wait(90) != 0:
            raise LabError(f"{self.name}: up after the approval: {tail(os.path.join(self.dir, 'login.log'))}")
        self.wait_running()

    def ping(self, other, count=1, until_direct=False, timeout=5, check=True):
        """`ping` of the command line; its text."""
        done = self.cli("ping", f"-c={count}", f"--until-direct={'true' if until_direct else 'false'}",
                        f"--timeout={timeout}s", other if isinstance(other, str) else other.ip4,
                        timeout=count * (timeout + 2) + 60, check=check)
        return done.stdout + done.stderr

    def icmp(self, address, count=3, check=True):
        """The system's ping through the tunnel; True when an echo came back."""
        command = ["ping", "-q", "-n", f"-c{count}", "-i0.2", "-W10" if check else "-W3", address]
        done = subprocess.run(self.host.command(command), capture_output=True, text=True, timeout=count * 11 + 60)
        if check and done.returncode != 0:
            raise LabError(f"{self.name} gets no echo from {address}: {done.stdout.strip().splitlines()[-1:]}")
        return done.returncode == 0

    def path(self, other):
        """"direct", "relay" or "none", as this node's status says it of its path to the other."""
        entry = self.peer(other) or {}
        if entry.get("CurAddr"):
            return "direct"
        return "relay" if entry.get("Relay") and entry.get("Active", True) else "none"

    def wait_path(self, other, path, timeout=30):
        """Uses the path (only then is one looked for) until it is as wished."""
        address = other.ip4

        def reached():
            self.icmp(address, count=1, check=False)
            self.ping(address, check=False, timeout=2)
            return self.path(other) == path
        wait_for(reached, timeout, f"path from {self.name} to {other.name} is {path}")


class Official(Node):
    kind = "official"

    def __init__(self, *arguments, own_etc=False, **options):
        """With OWN_ETC the daemon has a /etc of its own, in which it can put itself in front of the resolver."""
        super().__init__(*arguments, **options)
        self.tun, self.own_etc = "tailscale0", own_etc
        self.environment |= {
            "TS_NO_LOGS_NO_SUPPORT": "true", "TS_DEBUG_FIREWALL_MODE": "nftables", "TS_DISABLE_PORTMAPPER": "1",
            "TS_PANIC_IF_HIT_MAIN_CONTROL": "1", "TS_DEBUG_LOG_RATE": "all",
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent",
        }

    def launch(self):
        command = [os.path.join(self.tailnet.bin, "tailscaled"), "--no-logs-no-support", f"--statedir={self.dir}",
                   f"--socket={self.dir}/sock", f"--tun={self.tun}"]
        if self.port:
            command.append(f"--port={self.port}")
        self.restore_resolv_conf()
        if self.own_etc:
            command = self._with_etc(command)
        with open(self.log_path, "a") as log:
            self.process = self.host.popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)

    def _with_etc(self, command):
        etc = os.path.join(self.dir, "etc")
        shutil.rmtree(etc, ignore_errors=True)
        os.mkdir(etc)
        for name in ("hosts", "nsswitch.conf", "passwd", "group"):
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", etc)
        shutil.copy(self.host.resolv_conf_path, os.path.join(etc, "resolv.conf"))
        return ["sh", "-c", f'mount --bind "{etc}" /etc && exec "$@"', "sh", *command]

    def see(self, *command):
        """Runs a command where /etc is the daemon's own."""
        return run(["nsenter", "-m", "-n", "-t", str(self.process.pid), "--", *command])

    def cli_command(self):
        return [os.path.join(self.tailnet.bin, "tailscale"), f"--socket={self.dir}/sock"]


class Warren(Node):
    kind = "warren"

    def __init__(self, *arguments, as_root=False, uid=NOBODY, **options):
        super().__init__(*arguments, **options)
        self.tun, self.as_root, self.uid = "warren0", as_root, uid
        self.capabilities = "-all,+net_admin,+net_raw"
        self.tun_device = None  # a file in the place of /dev/net/tun, as the daemon sees it
        self.bus = f"unix:path={self.dir}/bus"
        self.state_dir = os.path.join(self.dir, "state")
        os.mkdir(self.state_dir, 0o700)
        if not as_root:
            os.chown(self.state_dir, int(self.uid), int(self.uid))
        self.environment["WARREN_BUS"] = self.bus
        self._start_bus()

    def _start_bus(self):
        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w") as file:
            file.write(f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>{self.bus}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
""")
        with open(os.path.join(self.dir, "bus.log"), "a") as log:
            self.tailnet.lab.popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"],
                                   stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: open_to_all(f"{self.dir}/bus"), 5, "the private bus listens")

    def launch(self, *options):
        command = [self._program(), "--state-dir", self.state_dir, "--tun", self.tun,
                   "--bus", self.bus, "-v", *options]
        if self.port:
            command += ["--port", str(self.port)]
        if not self.as_root:
            command = self._unprivileged(command)
        with open(self.log_path, "a") as log:
            self.process = self.host.popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)

    def _program(self):
        """A copy of warrend where the unprivileged user can read it, wherever the build folder is."""
        copy = os.path.join(self.tailnet.dir, "warrend")
        if not os.path.exists(copy):
            shutil.copy(find_program("warrend"), copy)
        return copy

    def _unprivileged(self, command):
        capabilities = self.capabilities
        drop = ["setpriv", "--reuid", self.uid, "--regid", self.uid, "--clear-groups", "--inh-caps", capabilities,
                "--ambient-caps", capabilities, "--bounding-set", capabilities, "--no-new-privs",
                "--pdeathsig", "KILL", *command]
        if os.stat(TUN).st_mode & 0o666 == 0o666 and self.tun_device is None:
            return drop
        # The device as udev leaves it on a real system, in this process's mounts only.
        device = self.tun_device or os.path.join(self.tailnet.dir, "tun")
        if not os.path.exists(device):
            run(["mknod", "-m", "666", device, "c", "10", "200"])
        return ["sh", "-c", f'mount --bind "{device}" {TUN} && exec "$@"', "sh", *drop]

    def cleanup(self):
        """`warrend --cleanup`: what a crash left in the host goes."""
        self.launch("--cleanup")
        if self.process.wait(60) != 0:
            raise LabError(f"warrend --cleanup: exit {self.process.returncode}: {tail(self.log_path, 5)}")

    def cli_command(self):
        return [find_program("warren")]

    def answers(self):
        try:
            return bool(self.bus_objects())
        except LabError:
            return False

    def bus_objects(self):
        """Everything the daemon shows on its bus: path -> interface -> property -> value."""
        done = run(["busctl", f"--address={self.bus}", "--json=short", "call", "org.warrenvpn.Daemon1",
                    "/org/warrenvpn/Daemon1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"])
        objects = json.loads(done)["data"][0]
        return {path: {interface: {name: value["data"] for name, value in properties.items()}
                       for interface, properties in interfaces.items()} for path, interfaces in objects.items()}

    def bus_call(self, path, interface, method, *arguments):
        """Calls a method of the daemon, arguments as busctl takes them; the answer's values."""
        done = run(["busctl", f"--address={self.bus}", "--json=short", "call", "org.warrenvpn.Daemon1",
                    path, f"org.warrenvpn.Daemon1.{interface}", method, *arguments])
        return json.loads(done)["data"] if done.strip() else []

    def active_session(self):
        """The object path of the active session."""
        return self.bus_objects()[MANAGER]["org.warrenvpn.Daemon1.Manager"]["ActiveSession"]

    def session(self):
        """The properties of the active session."""
        objects = self.bus_objects()
        active = objects[MANAGER]["org.warrenvpn.Daemon1.Manager"]["ActiveSession"]
        return objects.get(active, {}).get("org.warrenvpn.Daemon1.Session", {})

    def problem(self):
        """The code of the session's problem, "" for none."""
        return self.session().get("Problem", [""])[0]

    def warnings(self):
        """The codes of the session's warnings."""
        return [w["Code"]["data"] for w in self.session().get("Warnings", [])]


def find_program(name):
    """A program of ours in the build folder $WARREN_BUILD, None when it is not there."""
    build = os.environ.get("WARREN_BUILD", "")
    for folder in ("daemon", "daemon/coordinator", "app/cli", "app/tray", "app/window", "app", "tests/interop", "tests/bench", "."):
        path = os.path.join(build, folder, name)
        if build and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return shutil.which(name) if not build else None


KINDS = {"official": Official, "warren": Warren}


def make_node(kind, tailnet, host, name, **options):
    return KINDS[kind](tailnet, host, name, **options)


def chosen_pairs(default=("warren/official", "warren/warren")):
    """The pairs of kinds to test: from --pairs official/official,…, else the given ones that can run."""
    pairs = list(default)
    if "--pairs" in sys.argv:
        pairs = sys.argv[sys.argv.index("--pairs") + 1].split(",")
    if any("warren" in pair for pair in pairs) and not (find_program("warrend") and find_program("warren")):
        skip_all("needs warrend and warren in $WARREN_BUILD")
    return [tuple(pair.split("/")) for pair in pairs]
