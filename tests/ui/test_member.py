#!/usr/bin/python3
"""Tray and window in front of the real daemon and the real coordinator: the sign-in with a link, the
devices and the way to them, the click that connects, the daemon that stops and starts."""
import harness
from desktop import settle
from harness import wait_for
from real import RealTest, make_node
from test_tray import TRAY, Host
from walker import AT_FIRST, LATER

from home import Home  # noqa: E402  (real.py has made the folder known)


class Client(RealTest):
    """A device on a network that somebody else runs."""

    def make_desktop(self):
        self.home = Home(self.lab, official=False)
        self.home.start()
        self.addCleanup(self.home.stop)
        self.addCleanup(self.home.names.close)
        node = make_node("warren", self.home, self.lab.host("desk"), "desk")
        self.addCleanup(self.end_node, node)
        return node.start()

    def test_sign_in_connect_and_restart(self):
        self.host = Host(self.desktop.session.address)
        self.desktop.run([TRAY])
        self.start()
        self.first_run()
        self.devices()
        self.tray_click()
        self.daemon_stops_and_starts()
        self.assertIsNone(self.app.poll())

    def tray_says(self, ident, text):
        self.assertTrue(self.host.turn(30, lambda: self.host.items
                                       and self.host.label(ident).startswith(text)),
                        self.host.items and self.host.label(ident))

    def first_run(self):
        self.tray_says(1, "Welcome to Warren")
        self.hidden = AT_FIRST
        self.eventually("label", "Welcome to Warren")
        self.focus()
        self.click_on("check box", "My Own Server")
        self.click_on("text", "Server Address")
        self.desktop.xdotool("type", self.home.url)
        settle(0.5)
        self.press("Continue")
        self.says("Finish in Your Browser")
        self.says(self.home.url + "/register/")
        link = self.name_of(self.shown("/register/")[0])
        self.assertEqual(self.node.problem(), "")
        self.tray_says(1, "Waiting for Your Browser")
        self.home.run("nodes", "approve", link.rstrip("/").split("/")[-1])
        self.tray_says(1, "Connected")
        self.hidden = LATER
        self.eventually(None, "Connected")

    def devices(self):
        other = make_node("warren", self.home, self.lab.host("other"), "other").start()
        self.addCleanup(self.end_node, other)
        other.up(auth_key=self.home.run("keys", "create").strip())
        self.node.wait_path(other, "direct")
        address = other.ip4
        self.assertTrue(wait_for(lambda: self.find(None, "other, online, direct, " + address), 20,
                                 0.2), self.names())
        self.focus()
        self.desktop.xdotool("key", "ctrl+f")
        settle(0.3)
        self.desktop.xdotool("type", "other")
        settle(0.8)
        self.desktop.xdotool("key", "Return")
        self.says("Direct, ")
        self.press_and_read("Ping", "Answer after ")
        self.tray_says(11, "Devices")
        labels = [n[1].get("label", "") for n in self.host.layout(11)[1][2]]
        self.assertIn("other · " + address, labels)

    def tray_click(self):
        self.tray_says(2, "Disconnect")
        self.host.click(2)
        self.tray_says(1, "Not Connected")
        self.assertEqual(self.node.session()["State"], "stopped")
        self.assertEqual(self.node.state(), "Stopped")
        self.eventually(None, "Not Connected")
        self.host.click(2)
        self.tray_says(1, "Connected")
        self.node.wait_running()

    def daemon_stops_and_starts(self):
        self.node.stop()
        self.tray_says(1, "Warren Service Is Not Running")
        self.says("Warren Service Is Not Running")
        self.node.start()
        self.tray_says(1, "Connected")
        self.eventually(None, "Connected")
        self.eventually(None, "other, online.*")


if __name__ == "__main__":
    harness.main()
