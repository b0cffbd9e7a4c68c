#!/usr/bin/python3
"""The window in front of a real daemon that runs a real private network: made at the first run, another
device waits and is let in, the policy is checked by the coordinator and put in force."""
import os
import tempfile

import harness
from desktop import settle
from harness import wait_for
from real import Alone, RealTest, copy_for_daemon, make_node
from walker import LATER


class Owner(RealTest):
    """A computer that runs a private network of its own."""

    def make_desktop(self):
        directory = tempfile.mkdtemp(prefix="warren-lab-")
        os.chmod(directory, 0o711)
        self.tailnet = Alone(self.lab, directory)
        node = make_node("warren", self.tailnet, self.lab.server("desk", "10.77.0"), "desk")
        self.addCleanup(self.end_node, node)
        node.launch("--coordinator", copy_for_daemon(self.tailnet, "warren-coordinator"))
        assert wait_for(node.answers, interval=0.1), node.log()
        return node

    def test_network_from_the_first_run_on(self):
        self.start()
        self.create()
        self.approve()
        self.policy()
        self.assertIsNone(self.app.poll())

    def entry(self, name):
        found = wait_for(lambda: [n for n in self.all() if n.get_role_name() == "text"
                                  and n.get_name() == name], interval=0.2)
        self.assertTrue(found, self.names())
        return found[0].get_editable_text_iface()

    def create(self):
        self.hidden = ("WarrenMainPage", "WarrenLoginPage", "WarrenNetworkPage")
        self.eventually("label", "Welcome to Warren")
        self.focus()
        self.click_on("check box", "New Private Network")
        self.press("Continue")
        self.entry("Listens On").set_text_contents("10.77.0.2:8080")
        self.entry("Name of the Network").set_text_contents("burrow")
        self.entry("Name of This Device").set_text_contents("desk")
        settle(0.5)
        self.press("Create Network")
        self.hidden = LATER
        self.assertTrue(wait_for(lambda: self.find(None, "Connected"), interval=0.2),
                        self.names() + [self.node.log()[-2000:]])
        self.node.wait_running()
        self.url = "http://10.77.0.2:8080"

    def approve(self):
        self.tailnet.control.url = self.url
        other = make_node("warren", self.tailnet, self.lab.server("other", "10.77.1"), "other")
        other.start()
        self.addCleanup(self.end_node, other)
        other.begin_login()
        self.says("1 device waits for approval")
        self.focus()
        self.desktop.xdotool("key", "ctrl+shift+n")
        self.hidden = ("WarrenMainPage", "WarrenWelcomePage", "WarrenLoginPage", "WarrenCreateNetworkPage")
        self.says("Waiting for Approval")
        self.press("Approve other")
        other.wait_running()
        self.eventually(None, "other")
        address = other.ip4
        self.assertTrue(wait_for(lambda: self.node.icmp(address, count=1, check=False), interval=0.5),
                        other.log()[-3000:])

    def policy(self):
        self.press("Policy")
        editor = wait_for(lambda: self.find(None, "Policy of the network"), interval=0.2)
        self.says("In force")
        settle(0.5)
        editor.get_editable_text_iface().set_text_contents('{"acls": [\n{"action": "drop"}\n]}\n')
        self.says("Line 2: ")
        editor.get_editable_text_iface().set_text_contents(
            '{"acls": [\n{"action": "accept", "src": ["*"], "dst": ["*:*"]}\n]}\n')
        self.says("No faults, not yet applied")
        self.press("Apply")
        self.says("In force")


if __name__ == "__main__":
    harness.main()
