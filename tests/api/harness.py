"""A daemon on a message bus of its own, for tests of what the bus may do.

The program runs itself again in network and mount namespaces of its own, so that the daemon owns a network, and
polkit's folders can be replaced, without touching this computer.
"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "natlab"))

from tap import Tap, skip_all  # noqa: E402  (found through the line above)

BUILD = os.environ.get("WARREN_BUILD", os.path.join(ROOT, "build"))
COORDINATOR = os.path.join(BUILD, "daemon", "coordinator", "warren-coordinator")
WARREND = os.path.join(BUILD, "daemon", "warrend")
XML = os.path.join(ROOT, "data", "org.warrenvpn.Daemon1.xml")
DAEMON_UID = 65534
PREFIX = "org.warrenvpn.Daemon1"
POLICY = os.path.join(ROOT, "data", "system", f"{PREFIX}.policy")
AUTHORITY = "org.freedesktop.PolicyKit1"
PATH = "/org/warrenvpn/Daemon1"
MANAGER = PATH + "/Manager"
NETWORK = PATH + "/Network"
SERVER = "http://127.0.0.1:9"  # nobody there

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{folder}/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <deny send_type="method_call"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
    <allow send_interface="org.freedesktop.PolicyKit1.AuthenticationAgent"/>
    <allow send_destination="org.warrenvpn.Daemon1"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""


def isolate():
    """Goes on in namespaces of its own; skips where that is not possible."""
    if os.environ.get("WARREN_API_ISOLATED"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    for program in ("dbus-daemon", "unshare", "setpriv", "ip"):
        if not shutil.which(program):
            skip_all(f"needs {program}")
    if os.getuid() != 0:
        skip_all("needs root")
    if not os.path.exists(WARREND):
        skip_all("needs warrend")
    os.environ["WARREN_API_ISOLATED"] = "1"
    os.execvp("unshare", ["unshare", "-n", "-m", "--propagation", "private", sys.executable, *sys.argv])


class Stage:
    """A folder, a bus, and every process started on it; all gone at the end."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="warren-api-")
        os.chmod(self.folder, 0o755)
        os.mkdir(os.path.join(self.folder, "services"))
        self.processes, self.callers = [], {}
        self.address = f"unix:path={self.folder}/bus"
        self.daemon = None

    def __enter__(self):
        config = os.path.join(self.folder, "bus.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(BUS_CONFIG.format(folder=self.folder))
        self.start(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"], "bus")
        wait_for(lambda: os.path.exists(f"{self.folder}/bus")
                 and os.stat(f"{self.folder}/bus").st_mode & 0o666 == 0o666, 30, "the bus")
        return self

    def __exit__(self, *_):
        for caller in self.callers.values():
            caller.end()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
        shutil.rmtree(self.folder)

    def start(self, command, log, **options):
        with open(os.path.join(self.folder, log + ".log"), "ab") as file:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL,
                                       stdout=file, stderr=file, **options)
        self.processes.append(process)
        return process

    def log(self, name):
        path = os.path.join(self.folder, name + ".log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @property
    def state_dir(self):
        return os.path.join(self.folder, "state")

    def start_daemon(self, wait=True):
        """As an unprivileged user with the two capabilities as ambient ones."""
        if not os.path.isdir(self.state_dir):
            os.mkdir(self.state_dir, 0o700)
            os.chown(self.state_dir, DAEMON_UID, DAEMON_UID)
        self.daemon = self.start([*drop_privileges(), *daemon_command(self.state_dir, self.address)], "daemon")
        if wait:
            caller = self.caller(0)
            wait_for(lambda: self.daemon.poll() is not None or "value" in caller.get(MANAGER, "Manager", "Version",
                                                                                     no_start=True),
                     10, "the daemon")
            assert self.daemon.poll() is None, self.log("daemon")[-2000:]
        return self.daemon

    def stop_daemon(self):
        self.daemon.terminate()
        return self.daemon.wait(10)

    def caller(self, uid, fresh=False):
        if fresh or uid not in self.callers:
            self.callers[uid] = Caller(self.address, uid)
        return self.callers[uid]

    def identity_hash(self):
        """Of everything that the daemon keeps."""
        digest = hashlib.sha256()
        for folder, folders, files in os.walk(self.state_dir):
            folders[:] = sorted(name for name in folders if name != "network")  # that is the coordinator's
            for name in sorted(files):
                path = os.path.join(folder, name)
                digest.update(path.encode())
                with open(path, "rb") as file:
                    digest.update(file.read())
        return digest.hexdigest()


def drop_privileges():
    capabilities = "-all,+net_admin,+net_raw"
    return [shutil.which("setpriv"), "--reuid", str(DAEMON_UID), "--regid", str(DAEMON_UID), "--clear-groups",
            "--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities,
            "--no-new-privs"]


def daemon_command(state_dir, address):
    return [WARREND, "--state-dir", state_dir, "--tun", "wrapi0", "--bus", address, "--coordinator", COORDINATOR, "-v"]


class Caller:
    def __init__(self, address, uid):
        self.uid = uid
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "caller.py"), address, str(uid)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def request(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the caller of uid {self.uid} died on {request}"
        return json.loads(line)

    def call(self, path, interface, method, args="()", **options):
        return self.request(path=path, interface=f"{PREFIX}.{interface}", method=method, args=args, **options)

    def get(self, path, interface, name, **options):
        return self.request(path=path, interface=f"{PREFIX}.{interface}", get=name, **options)

    def value(self, path, interface, name):
        """The printed value of a property."""
        answer = self.get(path, interface, name)
        assert "value" in answer, answer
        return answer["value"][len("(<"):-len(">,)")]

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)


def start_polkitd(stage):
    """polkitd with our actions and rules of our own, in this program's mounts only."""
    program = "/usr/lib/polkit-1/polkitd"
    for target, name in (("/usr/share/polkit-1/actions", "actions"), ("/usr/share/polkit-1/rules.d", "rules"),
                         ("/etc/polkit-1/rules.d", "admin")):
        folder = os.path.join(stage.folder, name)
        os.mkdir(folder, 0o755)
        os.makedirs(target, exist_ok=True)
        subprocess.run(["mount", "--bind", folder, target], check=True)
    with open(POLICY, encoding="utf-8") as file:  # the daemon of this test has another user
        policy = file.read().replace("unix-user:warren", "unix-user:nobody")
    with open(f"/usr/share/polkit-1/actions/{PREFIX}.policy", "w", encoding="utf-8") as file:
        file.write(policy)
    shutil.copy(os.path.join(ROOT, "data", "system", "50-warren.rules"), "/usr/share/polkit-1/rules.d/")
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=stage.address)
    process = stage.start([program, "--no-debug"], "polkitd", env=environment)
    wait_for(lambda: owns(stage, AUTHORITY), 10, "polkitd")
    return process


def owns(stage, name):
    done = subprocess.run(["busctl", f"--address={stage.address}", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "NameHasOwner", "s", name], capture_output=True, text=True)
    return done.stdout.strip() == "b true"


def error_name(answer):
    """The last part of the error's name, or "" for success."""
    return (answer.get("error") or "").removeprefix(f"{PREFIX}.Error.")


def create_session(caller, server=SERVER):
    answer = caller.call(MANAGER, "Manager", "CreateSession", f"('{server}', @a{{sv}} {{}})")
    assert "value" in answer, answer
    return answer["value"].split("'")[1]


def path_of(interface, session):
    """The object on which a method is called."""
    return {"Manager": MANAGER, "Network": NETWORK}.get(interface, session)


def create_network(caller, name="home", port=8080):
    """A private network of this computer, on its loopback device."""
    options = {"Name": name, "PublicUrl": f"http://127.0.0.1:{port}", "Listen": f"127.0.0.1:{port}"}
    text = ", ".join(f"'{key}': <'{value}'>" for key, value in options.items())
    answer = caller.call(MANAGER, "Manager", "CreateNetwork", f"({{{text}}},)")
    assert answer.get("value") == f"('{NETWORK}',)", answer
    return NETWORK


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.05)


__all__ = [name for name in dir() if not name.startswith("_")]
