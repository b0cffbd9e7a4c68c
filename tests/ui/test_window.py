#!/usr/bin/python3
"""The window: its pictures, and every page through the accessibility bus and the keyboard
(spec/desktop.md §6, §7.1, §10.4, §17)."""
import os
import re

import harness
from desktop import Desktop, same_picture, settle
from harness import wait_for

harness.need("Xvfb", "openbox", "xdotool", "xprop", "import", "compare", "convert", "identify",
             "dbus-daemon", "gdbus",
             modules=["import gi; gi.require_version('Atspi', '2.0'); "
                      "from gi.repository import Atspi"])
APP = harness.program("window/warren-app")

WIDE, NARROW = "880x640", "368x640"  # the frame takes four pixels on each side


CLICKABLE = ("push button", "button", "toggle button", "check box", "switch", "list item")


class WindowTest(harness.UserTest):
    size = WIDE
    accessible = False

    def setUp(self):
        super().setUp()
        self.desktop = Desktop(self, self.size)
        self.desktop.window_manager()
        if self.accessible:
            self.desktop.accessibility()

    def start(self, **more):
        self.app = self.desktop.run([APP], **more)
        return self.app

    def show(self, scenario, **more):
        self.mock.Scenario(scenario)
        self.start(**more)

    def check(self, name):
        picture = self.desktop.stable_picture(name)
        self.assertIsNone(self.app.poll(), "the window is gone")
        self.assertTrue(same_picture(picture, name), name)


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
        self.desktop.stable_picture("window-device")
        self.desktop.xdotool("mousemove", 150, 308, "click", 1)
        settle(1.5)
        self.check("window-device")

    def test_exit_nodes(self):
        self.show("exit-active")
        self.desktop.stable_picture("window-exit-nodes")
        self.desktop.xdotool("key", "ctrl+e")
        settle(1)
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
        catalog = os.path.join(harness.BUILD, "po", "de", "LC_MESSAGES", "warren.mo")
        if not os.path.exists(catalog):
            self.skipTest("needs the built translation")
        self.show("connected", LANGUAGE="de", LC_ALL="C.UTF-8", LC_MESSAGES="de_DE.UTF-8")
        settle(2)
        self.assertIsNone(self.app.poll())


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
        self.desktop.stable_picture("window-device-narrow")
        self.desktop.xdotool("mousemove", 150, 308, "click", 1)
        settle(1.5)
        self.check("window-device-narrow")
        self.desktop.xdotool("key", "alt+Left")
        settle(1)
        self.check("window-devices-narrow")


class Walk(WindowTest):
    """One accessibility bus for one process: all steps in one test."""
    accessible = True

    def find(self, role=None, name=None, root=None):
        """The first object with role name and name (a regular expression), or None."""
        stack = [root or self.frame()]
        while stack:
            node = stack.pop()
            try:
                if node is None:
                    continue
                if ((role is None or node.get_role_name() == role)
                        and (name is None or re.fullmatch(name, node.get_name() or ""))):
                    return node
                stack.extend(node.get_child_at_index(i)
                             for i in reversed(range(node.get_child_count())))
            except self.errors:
                continue
        return None

    def frame(self):
        root = self.atspi.get_desktop(0)
        for i in range(root.get_child_count()):
            try:
                child = root.get_child_at_index(i)
                if child is not None and child.get_name() in ("warren-app", "Warren"):
                    return child
            except self.errors:
                continue
        return None

    def eventually(self, role, name):
        found = wait_for(lambda: self.find(role, name), 10, 0.1)
        self.assertIsNotNone(found, "no %s named %s; there is: %s" % (role, name, self.names()))
        return found

    def names(self):
        return sorted({"%s:%s" % (n.get_role_name(), n.get_name()) for n in self.all()
                       if n.get_name()})

    def all(self):
        stack, found = [self.frame()], []
        while stack:
            node = stack.pop()
            if node is None:
                continue
            try:
                found.append(node)
                stack.extend(node.get_child_at_index(i) for i in range(node.get_child_count()))
            except self.errors:
                continue
        return found

    def assert_names(self, page):
        """No control that takes the focus is without a name."""
        for node in self.all():
            try:
                states = node.get_state_set()
                role = node.get_role_name()
                if (states.contains(self.states.FOCUSABLE) and states.contains(self.states.VISIBLE)
                        and role in CLICKABLE[:-1] + ("entry", "text", "password text")):
                    # GTK names by type what has no name; the pencil of an entry row is one of its own
                    named = not re.match("(Gtk|Adw|Warren)", node.get_name() or "Gtk")
                    self.assertTrue(named or node.get_name() == "GtkImage" or self.labelled(node),
                                    "%s: %s without a name" % (page, role))
            except self.errors:
                continue

    @staticmethod
    def labelled(node):
        return any(r.get_relation_type().value_nick == "labelled-by"
                   for r in node.get_relation_set())

    def called(self, text):
        self.assertTrue(wait_for(lambda: [c for c in self.mock.calls() if text in c], 8),
                        "%s not in %s" % (text, self.mock.calls()))

    def test_every_page(self):
        os.environ.update(DISPLAY=self.desktop.display,
                          DBUS_SESSION_BUS_ADDRESS=self.desktop.session.address)
        import gi
        gi.require_version("Atspi", "2.0")
        from gi.repository import Atspi, GLib
        self.atspi, self.errors, self.states = Atspi, (GLib.Error, TypeError), Atspi.StateType
        Atspi.init()
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
        self.eventually("label", "Welcome to Warren")
        self.assert_names("first run")
        self.focus()
        self.click(300, 382)  # check buttons have no action in this version of GTK
        self.desktop.xdotool("type", "vpn.example.org/")
        settle(0.5)
        self.press("Continue")
        self.called('CreateSession "https://vpn.example.org"')
        self.eventually(None, "Finish in Your Browser")
        self.assert_names("sign-in")
        self.called("Session.GetLoginUrl")
        self.assertTrue(wait_for(lambda: [n for n in self.all() if "hskey-authreq" in
                                          (n.get_name() or "")], 5), self.names())
        self.press("Cancel")
        self.called("Session.CancelLogin")

    def press(self, name):
        """Clicks the button, check button or switch with this name."""
        found = wait_for(lambda: [n for n in self.all() if n.get_name() == name
                                  and n.get_role_name() in CLICKABLE
                                  and n.get_action_iface().get_n_actions()
                                  and n.get_state_set().contains(self.states.SENSITIVE)], 8)
        self.assertTrue(found, "nothing to click: %s in %s" % (name, self.names()))
        self.assertTrue(found[0].get_action_iface().do_action(0), name)
        settle(0.4)

    def wrong_key(self):
        self.mock.Scenario("refused:auth-key-invalid:invalid key: API key does not exist")
        self.assertTrue(wait_for(lambda: [n for n in self.all() if "API key does not exist"
                                          in (n.get_name() or "")], 8), self.names())
        self.assertTrue([n for n in self.all() if "Create a new key" in (n.get_name() or "")])

    def each_problem(self):
        """Every code shows a sentence of its own in the banner (spec/desktop.md §8.4)."""
        with open(os.path.join(harness.SOURCE, "data/org.warrenvpn.Daemon1.xml")) as xml:
            codes = re.search(r"Codes: (.*?)-->", xml.read(), re.S).group(1).split()
        banner = [n for n in self.all() if "API key does not exist" in (n.get_name() or "")][0]
        seen = {banner.get_name()}
        for code in codes:
            self.mock.Scenario("error:" + code)
            self.assertTrue(wait_for(lambda: banner.get_name() not in seen, 8), code)
            seen.add(banner.get_name())

    def connected(self):
        self.mock.Scenario("connected")
        self.assertTrue(wait_for(lambda: [n for n in self.all() if n.get_name() == "Connected"], 8))
        self.assert_names("devices")
        self.assertTrue(wait_for(lambda: self.find(None, "atlas, online, direct, 100.64.0.2"), 8),
                        self.names())
        self.assertTrue(self.find(None, "phone, offline, 2 hours ago, 100.64.0.5"))
        self.press("Connected")
        self.called("Session.Disconnect")
        self.assertTrue(wait_for(lambda: self.find(None, "Not Connected"), 8))
        self.mock.Scenario("connected")
        settle(0.5)

    def device(self):
        self.focus()
        self.desktop.xdotool("key", "ctrl+f")
        settle(0.3)
        self.desktop.xdotool("type", "64.0.3")
        settle(0.8)
        self.desktop.xdotool("key", "Return")
        self.assertTrue(wait_for(lambda: self.find(None, "Copy 100.64.0.3|100.64.0.3 Copy"), 8), self.names())
        self.assert_names("device")
        self.assertTrue(wait_for(lambda: self.find(None, "Through relay fra"), 8), self.names())
        self.press("Ping")
        self.assertTrue(wait_for(lambda: self.find(None, "Answer after 21 ms, through a relay"), 8),
                        self.names())
        self.desktop.xdotool("key", "Escape")
        settle(0.3)

    def exit_nodes(self):
        self.desktop.xdotool("key", "ctrl+e")
        self.assertTrue(wait_for(lambda: self.find(None, "Automatic"), 8))
        self.assert_names("exit nodes")
        self.click(600, 374)
        self.called('"ExitNode": "n000')
        self.assertTrue(wait_for(lambda: self.find(None, "Connected via (Zurich|home-router)"), 8))
        self.mock.Scenario("exit-unreachable")
        self.press("Stop Using Exit Node")
        self.called('"ExitNode": ""')

    def click(self, x, y):
        self.desktop.xdotool("mousemove", x, y, "click", 1)
        settle(0.5)

    def focus(self):
        found = self.desktop.xdotool("search", "--onlyvisible", "--class", "warren").split()
        self.desktop.xdotool("windowactivate", "--sync", found[-1])

    def keyboard(self):
        self.mock.Scenario("stopped")
        self.assertTrue(wait_for(lambda: self.find(None, "Not Connected"), 8))
        self.desktop.xdotool("key", "ctrl+d")
        self.called("Session.Connect")
        self.assertTrue(wait_for(lambda: self.find(None, "Connected"), 8))

    def ten_thousand(self):
        self.mock.Peers(10000)
        self.assertTrue(wait_for(lambda: self.find(None, "node-0.*"), 20), "no rows")
        self.desktop.xdotool("key", "ctrl+f")
        settle(0.3)
        self.desktop.xdotool("type", "node-09877")
        self.assertTrue(wait_for(lambda: self.find(None, "node-09877, .*"), 10))
        with open("/proc/%d/status" % self.app.pid) as status:
            resident = int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
        self.assertLessEqual(resident, 140 * 1024)

    def daemon_gone(self):
        self.mock.stop()
        self.assertTrue(wait_for(lambda: self.find(None, "Warren Service Is Not Running"), 10),
                        self.names())
        self.mock.start("connected")
        self.assertTrue(wait_for(lambda: self.find(None, "Connected"), 10))
        self.assertIsNone(self.app.poll())


if __name__ == "__main__":
    harness.main()
