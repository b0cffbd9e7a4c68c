"""What the tests of the user's side share: private buses, the mock daemon, programs, waiting.

Programs come from $WARREN_BUILD (set by meson). A test that lacks a program ends with
"skipped: needs …" and exit code 77. Everything that a test starts, it ends itself.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("WARREN_BUILD", os.path.join(SOURCE, "build"))
PYTHON = "/usr/bin/python3"  # the one that has the distribution's gi

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>unix:path=%s</listen>
  <servicedir>%s</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_message_size">134217728</limit>
</busconfig>
"""


def need(*programs, modules=()):
    """Ends the test as skipped where a program or a module of Python is missing."""
    for program in programs:
        if shutil.which(program) is None:
            skip(program)
    for module in modules:
        if subprocess.run([PYTHON, "-c", module], stderr=subprocess.DEVNULL).returncode:
            skip(module)


def skip(what):
    print("skipped: needs " + what)
    sys.exit(77)


def program(name):
    path = os.path.join(BUILD, "app", name)
    if not os.path.exists(path):
        skip("the built program app/" + name)
    return path


def wait_for(what, timeout=30.0, interval=0.05):
    """The first true result of WHAT, or its last result when the time is up."""
    end = time.monotonic() + timeout
    while True:
        result = what()
        if result or time.monotonic() > end:
            return result
        time.sleep(interval)


class Processes:
    """Ends what it started, last first."""

    def __init__(self):
        self.started = []

    def start(self, argv, **options):
        process = subprocess.Popen(argv, **options)
        self.started.append(process)
        return process

    def end(self, process):
        if process in self.started:
            self.started.remove(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def end_all(self):
        for process in reversed(list(self.started)):
            self.end(process)


class Bus:
    """A dbus-daemon of our own."""

    def __init__(self, processes, directory, name):
        self.path = os.path.join(directory, name)
        self.address = "unix:path=" + self.path
        self.services = os.path.join(directory, name + "-services")
        os.makedirs(self.services)
        config = os.path.join(directory, name + ".conf")
        with open(config, "w") as out:
            out.write(BUS_CONFIG % (self.path, self.services))
        processes.start(["dbus-daemon", "--nofork", "--nopidfile", "--config-file=" + config],
                        stderr=subprocess.DEVNULL)
        assert wait_for(lambda: os.path.exists(self.path)), "the bus did not start"

    def call(self, destination, path, interface, method, *args):
        """One call by gdbus; the printed reply."""
        result = subprocess.run(
            ["gdbus", "call", "--address", self.address, "--dest", destination, "--object-path",
             path, "--method", interface + "." + method, "--"] + [str(a) for a in args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
        if result.returncode:
            raise RuntimeError(result.stderr)
        return result.stdout.strip()


class Mock:
    """The mock daemon as a process, and its strings."""

    def __init__(self, processes, bus, scenario="empty", peers=0):
        self.processes = processes
        self.bus = bus
        self.start(scenario, peers)

    def start(self, scenario="connected", peers=0):
        self.process = self.processes.start(
            [PYTHON, os.path.join(SOURCE, "tests/ui/mock_daemon.py"), "--bus", self.bus.address,
             "--scenario", scenario, "--peers", str(peers)])
        assert wait_for(self.is_there, interval=0.05), "the mock daemon did not start"

    def is_there(self):
        return "true" in self.bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "NameHasOwner",
                                       "org.warrenvpn.Daemon1")

    def stop(self):
        self.processes.end(self.process)

    def __getattr__(self, method):
        if method.startswith("_") or not method[0].isupper():
            raise AttributeError(method)
        return lambda *args: self.bus.call("org.warrenvpn.Daemon1", "/org/warrenvpn/Mock",
                                           "org.warrenvpn.MockDaemon", method, *args)

    def calls(self):
        """Calls that changed something, in order, as printed by the mock."""
        quiet = ("GetPermissions", "Subscribe", "Unsubscribe")
        text = self.Calls()
        entries = text[len("(["):-len("],)")].split("', '") if len(text) > 7 else []
        return [e.strip("'") for e in entries if not any(q in e.split(" ")[0] for q in quiet)]


class UserTest(unittest.TestCase):
    """A private system bus with the mock daemon, and a directory that goes away."""
    scenario = "empty"
    peers = 0

    def setUp(self):
        self.prepare()
        self.bus = Bus(self.processes, self.directory, "system")
        self.mock = Mock(self.processes, self.bus, self.scenario, self.peers)

    def prepare(self):
        self.directory = tempfile.mkdtemp(prefix="warren-ui-")
        self.processes = Processes()
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(self.processes.end_all)

    def environment(self, **more):
        env = {k: v for k, v in os.environ.items()
               if k not in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")}
        env.update({"WARREN_BUS": self.bus.address, "LC_ALL": "C.UTF-8", "LANGUAGE": "",
                    "HOME": self.directory, "XDG_RUNTIME_DIR": self.directory,
                    "XDG_CONFIG_HOME": os.path.join(self.directory, "config"),
                    "XDG_DATA_HOME": os.path.join(self.directory, "data"),
                    "XDG_CACHE_HOME": os.path.join(self.directory, "cache"),
                    "GSETTINGS_BACKEND": "memory", "G_DEBUG": "fatal-criticals"})
        env.update(more)
        return env


def main():
    unittest.main(verbosity=2)
