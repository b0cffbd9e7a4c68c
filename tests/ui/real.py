"""A desktop in front of the real daemon: warrend in a network namespace of the laboratory, its bus,
and tray and window outside, as `python-dbusmock` cannot be wrong about what is not made up."""
import os
import shutil
import sys
import types

import harness
from desktop import Desktop, settle  # noqa: F401
from walker import WIDE, Walker

for folder in ("interop", "natlab"):
    sys.path.insert(0, os.path.join(harness.SOURCE, "tests", folder))

from lab import Lab  # noqa: E402
from nodes import find_program, make_node  # noqa: E402


class Alone:
    """A tailnet that has no server of its own: what a node needs to know of one."""

    def __init__(self, lab, directory):
        self.lab, self.dir, self.nodes, self.ca_file = lab, directory, [], None
        self.bin, self.server = None, "none"
        self.names = types.SimpleNamespace(host=types.SimpleNamespace(ip4="192.0.2.53"))
        self.control = types.SimpleNamespace(url="")


class RealTest(Walker):
    """self.node is the desktop's daemon; self.bus is its bus."""

    def setUp(self):
        harness.UserTest.prepare(self)
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.lab = Lab()
        self.lab.__enter__()
        self.addCleanup(self.lab.close)
        self.node = self.make_desktop()
        self.bus = types.SimpleNamespace(address=self.node.bus)
        self.desktop = Desktop(self, WIDE)
        self.desktop.window_manager()
        self.desktop.accessibility()
        self.listen()

    def make_desktop(self):
        raise NotImplementedError

    def end_node(self, node):
        if node.process and node.process.poll() is None:
            node.stop()


def copy_for_daemon(tailnet, name):
    """A program where the unprivileged user of the daemon can run it."""
    target = os.path.join(tailnet.dir, name)
    if not os.path.exists(target):
        shutil.copy(find_program(name), target)
    return target


__all__ = ["Alone", "RealTest", "copy_for_daemon", "make_node"]
