#!/usr/bin/python3
"""The window: its pictures, and every page through the accessibility bus and the keyboard
(spec/desktop.md §6, §7.1, §10.4, §17)."""
import os
import re

import harness
from desktop import settle
from harness import wait_for
from walker import AT_FIRST, LATER, NARROW, Walker, WindowTest


class WidePictures(WindowTest):
    def test_first_run(self):
        self.show("empty")
        self.check("window-first-run")

    def test_first_run_dark(self):
        self.show("empty", ADW_DEBUG_COLOR_SCHEME="prefer-dark")
        self.check("window-first-run-dark")

    def test_devices(self):
        self.show("connected")
        self.check("window-devices")

    def test_devices_dark(self):
        self.show("connected", ADW_DEBUG_COLOR_SCHEME="prefer-dark")
        self.check("window-devices-dark")

    def test_device(self):
        self.show("connected")
        self.check("window-devices")
        self.desktop.xdotool("mousemove", 150, 308, "click", 1)
        self.check("window-device")

    def test_exit_nodes(self):
        self.show("exit-active")
        self.desktop.stable_picture("window-exit-nodes")
        self.desktop.xdotool("key", "ctrl+e")
        self.check("window-exit-nodes")

    def test_login(self):
        self.show("waiting-browser")
        self.check("window-login")

    def test_problem(self):
        self.show("problem:server-unreachable")
        self.check("window-problem")

    def test_exit_node_offline(self):
        self.show("exit-unreachable")
        self.check("window-exit-offline")

    def test_service_is_not_running(self):
        self.mock.stop()
        self.start()
        self.check("window-service")

    def test_german(self):
        """Every page was looked at in German, the longest language we have; these stay."""
        self.show("connected", **self.german())
        self.check("window-devices-german")
        self.desktop.xdotool("key", "ctrl+e")
        self.check("window-exit-nodes-german")


class NarrowPictures(WindowTest):
    size = NARROW

    def test_first_run(self):
        self.show("empty")
        self.check("window-first-run-narrow")

    def test_devices(self):
        self.show("connected")
        self.check("window-devices-narrow")

    def test_device_and_back(self):
        self.show("connected")
        self.check("window-devices-narrow")
        self.desktop.xdotool("mousemove", 150, 308, "click", 1)
        self.check("window-device-narrow")
        self.desktop.xdotool("key", "alt+Left")
        self.check("window-devices-narrow")


class Walk(Walker):
    def test_every_page(self):
        self.listen()
        self.show("empty")
        self.first_run()
        self.wrong_key()
        self.each_problem()
        self.connected()
        self.device()
        self.exit_nodes()
        self.keyboard()
        self.ten_thousand()
        self.daemon_gone()

    def first_run(self):
        self.hidden = AT_FIRST
        self.eventually("label", "Welcome to Warren")
        self.assert_names("first run")
        self.focus()
        self.click_on("check box", "My Own Server")
        self.click_on("text", "Server Address")
        self.desktop.xdotool("type", "vpn.example.org/")
        self.eventually("text", "Server Address")
        self.press("Continue")
        self.called('CreateSession "https://vpn.example.org"')
        self.eventually(None, "Finish in Your Browser")
        self.assert_names("sign-in")
        self.called("Session.GetLoginUrl")
        self.assertTrue(wait_for(lambda: [n for n in self.all() if "hskey-authreq" in
                                          (n.get_name() or "")]), self.names())
        self.press("Cancel")
        self.called("Session.CancelLogin")

    def wrong_key(self):
        self.hidden = ("WarrenNetworkPage", "WarrenCreateNetworkPage")
        self.mock.Scenario("refused:auth-key-invalid:invalid key: API key does not exist")
        self.assertTrue(wait_for(lambda: [n for n in self.all() if "API key does not exist"
                                          in (n.get_name() or "")]), self.names())
        self.assertTrue([n for n in self.all() if "Create a new key" in (n.get_name() or "")])

    def each_problem(self):
        """Every code shows a sentence of its own in the banner (spec/desktop.md §8.4)."""
        with open(os.path.join(harness.SOURCE, "data/org.warrenvpn.Daemon1.xml")) as xml:
            codes = re.search(r"Codes: (.*?)-->", xml.read(), re.S).group(1).split()
        banner = [n for n in self.all() if "API key does not exist" in (n.get_name() or "")][0]
        seen = {banner.get_name()}
        for code in codes:
            self.mock.Scenario("error:" + code)
            self.assertTrue(wait_for(lambda: banner.get_name() not in seen), code)
            seen.add(banner.get_name())

    def connected(self):
        self.hidden = LATER
        self.mock.Scenario("connected")
        self.assertTrue(wait_for(lambda: [n for n in self.all() if n.get_name() == "Connected"]))
        self.assert_names("devices")
        self.eventually(None, "atlas, online, direct, 100.64.0.2")
        self.assertTrue(self.find(None, "phone, offline, 2 hours ago, 100.64.0.5"))
        self.press("Connected")
        self.called("Session.Disconnect")
        self.eventually(None, "Not Connected")
        self.mock.Scenario("connected")
        settle(0.5)

    def device(self):
        self.focus()
        self.desktop.xdotool("key", "ctrl+f")
        settle(0.3)
        self.desktop.xdotool("type", "64.0.3")
        settle(0.8)
        self.desktop.xdotool("key", "Return")
        self.eventually(None, "Copy 100.64.0.3|100.64.0.3 Copy")
        self.assert_names("device")
        self.eventually(None, "Through relay fra")
        self.press_and_read("Ping", "Answer after 21 ms, through a relay")
        self.desktop.xdotool("key", "Escape")
        settle(0.3)

    def exit_nodes(self):
        self.desktop.xdotool("key", "ctrl+e")
        self.eventually(None, "Automatic")
        self.assert_names("exit nodes")
        self.click(600, 430)
        self.called('"ExitNode": "n000')
        self.eventually(None, "Connected via (Zurich|home-router)")
        self.mock.Scenario("exit-unreachable")
        self.press("Stop Using Exit Node")
        self.called('"ExitNode": ""')

    def keyboard(self):
        self.mock.Scenario("stopped")
        self.eventually(None, "Not Connected")
        self.desktop.xdotool("key", "ctrl+d")
        self.called("Session.Connect")
        self.eventually(None, "Connected")

    def ten_thousand(self):
        self.mock.Peers(10000)
        self.assertTrue(wait_for(lambda: self.find(None, "node-0.*")), "no rows")
        self.desktop.xdotool("key", "ctrl+f")
        settle(0.3)
        self.desktop.xdotool("type", "node-09877")
        self.eventually(None, "node-09877, .*")
        with open("/proc/%d/status" % self.app.pid) as status:
            resident = int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
        self.assertLessEqual(resident, 140 * 1024)

    def daemon_gone(self):
        self.mock.stop()
        self.eventually(None, "Warren Service Is Not Running")
        self.mock.start("connected")
        self.eventually(None, "Connected")
        self.assertIsNone(self.app.poll())


if __name__ == "__main__":
    harness.main()
