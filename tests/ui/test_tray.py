#!/usr/bin/python3
"""The tray in a real host (xfce4-panel) and in front of a made-up one that is strict
(spec/desktop.md §2, §3, §5.3, §17)."""
import os
import re
import subprocess
import time

import harness
from desktop import Desktop, same_picture, settle
from harness import wait_for

harness.need("Xvfb", "xfce4-panel", "xdotool", "import", "compare", "convert", "dbus-daemon",
             "gdbus", modules=["import gi"])
TRAY = harness.program("tray/warren-tray")

import gi  # noqa: E402
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

SNI = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"
WATCHER_XML = """<node><interface name='org.kde.StatusNotifierWatcher'>
<method name='RegisterStatusNotifierItem'><arg type='s' direction='in'/></method>
<property name='IsStatusNotifierHostRegistered' type='b' access='read'/>
</interface></node>"""


class Host:
    """A strict host: remembers every signal, reads as the real ones do."""

    def __init__(self, address):
        self.bus = Gio.DBusConnection.new_for_address_sync(
            address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.items = []
        self.signals = []
        info = Gio.DBusNodeInfo.new_for_xml(WATCHER_XML).interfaces[0]
        self.bus.register_object("/StatusNotifierWatcher", info, self.on_call,
                                 lambda *a: GLib.Variant("b", True), None)
        self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                  "RequestName", GLib.Variant("(su)", ("org.kde.StatusNotifierWatcher", 0)))
        for interface in (SNI, MENU):
            self.bus.signal_subscribe(None, interface, None, None, None, Gio.DBusSignalFlags.NONE,
                                      lambda b, s, p, i, name, args:
                                      self.signals.append((name, args.unpack())))

    def on_call(self, bus, sender, path, interface, method, args, invocation):
        self.items.append(args.unpack()[0])
        invocation.return_value(None)

    def turn(self, seconds=0.0, until=None):
        end = time.monotonic() + seconds
        while True:
            while GLib.MainContext.default().iteration(False):
                pass
            if until is not None and until():
                return True
            if time.monotonic() > end:
                return until is None
            time.sleep(0.005)

    def call(self, name, path, interface, method, args):
        return self.bus.call_sync(name, path, interface, method, args, None, 0, 30000, None).unpack()

    @property
    def item(self):
        return self.items[-1]

    def property(self, name):
        return self.call(self.item, "/StatusNotifierItem", "org.freedesktop.DBus.Properties", "Get",
                         GLib.Variant("(ss)", (SNI, name)))[0]

    def menu(self, method, signature, *args):
        return self.call(self.item, "/MenuBar", MENU, method, GLib.Variant(signature, args))

    def layout(self, parent=0, depth=-1, names=()):
        return self.menu("GetLayout", "(iias)", parent, depth, list(names))

    def items_by_id(self):
        found = {}

        def walk(node):
            found[node[0]] = node
            for child in node[2]:
                walk(child)
        walk(self.layout()[1])
        return found

    def label(self, ident):
        return self.items_by_id()[ident][1]["label"]

    def visible(self, ident):
        return self.items_by_id()[ident][1].get("visible", True)

    def click(self, ident):
        self.menu("Event", "(isvu)", ident, "clicked", GLib.Variant("i", 0), 0)


class TrayTest(harness.UserTest):
    scenario = "connected"

    def setUp(self):
        super().setUp()
        self.desktop = Desktop(self)

    def start(self, **more):
        self.tray = self.desktop.run([TRAY], **more)
        return self.tray


class StrictHost(TrayTest):
    def setUp(self):
        super().setUp()
        self.host = Host(self.desktop.session.address)
        self.start()
        self.assertTrue(self.host.turn(30, lambda: self.host.items))
        self.host.turn(0.4)
        self.host.signals.clear()

    def eventually(self, what, message=None):
        self.assertTrue(self.host.turn(30, what), message)

    def test_registers_its_unique_name_with_the_right_first_icon(self):
        self.assertEqual(len(self.host.items), 1)
        self.assertTrue(self.host.item.startswith(":"))
        self.assertEqual(self.host.property("IconName"), "org.warrenvpn.Warren-on-symbolic")
        names = self.host.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "ListNames", None)[0]
        self.assertFalse([n for n in names if "StatusNotifierItem" in n])

    def test_every_property_has_its_type(self):
        reply = self.host.bus.call_sync(self.host.item, "/StatusNotifierItem",
                                        "org.freedesktop.DBus.Properties", "GetAll",
                                        GLib.Variant("(s)", (SNI,)), None, 0, 30000, None)
        values = reply.get_child_value(0)
        types = {values.get_child_value(i).get_child_value(0).get_string():
                 values.get_child_value(i).get_child_value(1).get_variant().get_type_string()
                 for i in range(values.n_children())}
        self.assertEqual(types, {
            "Category": "s", "Id": "s", "Title": "s", "Status": "s", "WindowId": "i",
            "IconThemePath": "s", "Menu": "o", "ItemIsMenu": "b", "IconName": "s",
            "IconPixmap": "a(iiay)", "OverlayIconName": "s", "OverlayIconPixmap": "a(iiay)",
            "AttentionIconName": "s", "AttentionIconPixmap": "a(iiay)", "AttentionMovieName": "s",
            "ToolTip": "(sa(iiay)ss)", "IconAccessibleDesc": "s", "AttentionAccessibleDesc": "s"})
        self.assertEqual(self.host.property("Id"), "org.warrenvpn.Warren")
        self.assertEqual(self.host.property("ToolTip")[3],
                         "Connected\nexample.com · 100.64.0.1")

    def test_layout_honours_depth_and_names(self):
        revision, root = self.host.layout(0, 0)
        self.assertEqual((root[0], root[2]), (0, []))
        self.assertEqual(root[1]["children-display"], "submenu")
        one = self.host.layout(0, 1)[1]
        self.assertTrue(one[2])
        self.assertFalse(any(child[2] for child in one[2]))
        named = self.host.layout(0, -1, ["toggle-type", "children-display"])[1]
        self.assertEqual({k for c in named[2] for k in c[1]}, {"children-display"})
        with self.assertRaises(GLib.Error):
            self.host.layout(999)
        self.assertEqual(self.host.menu("GetGroupProperties", "(aias)", [1, 999], [])[0][0][0], 1)
        self.assertEqual(self.host.menu("AboutToShowGroup", "(ai)", [0, 999])[1], [999])
        version = self.host.call(self.host.item, "/MenuBar", "org.freedesktop.DBus.Properties",
                                 "Get", GLib.Variant("(ss)", (MENU, "Version")))[0]
        self.assertEqual(version, 3)

    def test_click_disconnects_and_connects(self):
        self.assertEqual(self.host.label(2), "Disconnect")
        self.host.click(2)
        self.eventually(lambda: self.host.label(2) == "Connect")
        self.assertIn("Session.Disconnect", self.mock.calls())
        missing = self.host.menu("EventGroup", "(a(isvu))",
                                 [(2, "clicked", GLib.Variant("s", ""), 0),
                                  (999, "clicked", GLib.Variant("i", 0), 0)])[0]
        self.assertEqual(missing, [999])
        self.eventually(lambda: self.host.label(1).startswith("Connected"))
        self.assertIn("Session.Connect", self.mock.calls())

    def test_exit_node_moves_only_two_ticks_and_one_label(self):
        nodes = {n[1]["label"]: n[0] for n in self.host.layout(20)[1][2] if n[0] >= 1000}
        self.assertIn("Zurich, Switzerland", nodes)
        self.host.signals.clear()
        self.host.click(nodes["Zurich, Switzerland"])
        self.eventually(lambda: self.host.label(20) == "Exit Node: Zurich")
        self.host.turn(0.5)
        self.assertFalse([s for s in self.host.signals if s[0] == "LayoutUpdated"])
        changed = {}
        for name, args in self.host.signals:
            if name == "ItemsPropertiesUpdated":
                for ident, values in args[0]:
                    changed.setdefault(ident, {}).update(values)
        self.assertEqual(changed[21], {"toggle-state": 0})
        self.assertEqual(changed[nodes["Zurich, Switzerland"]], {"toggle-state": 1})
        self.assertEqual(changed[20], {"label": "Exit Node: Zurich"})
        self.assertEqual(set(changed), {1, 20, 21, nodes["Zurich, Switzerland"]})
        self.assertEqual(self.host.property("IconName"), "org.warrenvpn.Warren-exit-symbolic")
        self.host.click(21)
        self.eventually(lambda: self.host.label(20) == "Exit Node: None")

    def test_exit_node_offline_blocks_and_says_so(self):
        self.mock.Scenario("exit-unreachable")
        self.eventually(lambda: self.host.label(1) == "Exit Node Offline · example.com")
        self.assertEqual(self.host.property("Status"), "NeedsAttention")
        self.assertEqual(self.host.label(7), "Stop Using Exit Node")
        self.host.click(7)
        self.eventually(lambda: self.host.label(20) == "Exit Node: None")

    def test_structure_changes_name_every_parent_and_rise(self):
        before = self.host.layout()[0]
        self.mock.RemovePeer("n0007CNTRL")
        self.eventually(lambda: {11, 20} == {s[1][1] for s in self.host.signals
                                             if s[0] == "LayoutUpdated"}, self.host.signals)
        updates = [s[1] for s in self.host.signals if s[0] == "LayoutUpdated"]
        self.assertTrue(all(u[0] > before for u in updates))
        self.assertTrue(self.host.menu("AboutToShow", "(i)", 20)[0])
        self.host.layout(20)
        self.assertFalse(self.host.menu("AboutToShow", "(i)", 20)[0])

    def test_an_open_menu_does_not_move(self):
        self.host.menu("AboutToShow", "(i)", 0)
        self.host.signals.clear()
        self.mock.RemovePeer("n0008CNTRL")
        self.host.turn(1)
        self.assertFalse([s for s in self.host.signals if s[0] == "LayoutUpdated"])
        self.host.menu("Event", "(isvu)", 0, "closed", GLib.Variant("i", 0), 0)
        self.eventually(lambda: [s for s in self.host.signals if s[0] == "LayoutUpdated"])

    def test_shapes_of_ids_stay_and_submenus_are_never_empty(self):
        shapes = {}
        for scenario in ("connected", "stopped", "needs-login", "waiting-browser", "exit-active",
                         "exit-unreachable", "in-use", "empty", "degraded", "connecting",
                         "problem:server-unreachable", "needs-approval", "key-expired"):
            self.mock.Scenario(scenario)
            if scenario == "degraded":
                self.mock.Peers(200)
            self.host.turn(0.4)
            for ident, (_, props, children) in self.host.items_by_id().items():
                shape = (props.get("type"), props.get("toggle-type"),
                         props.get("children-display"))
                self.assertEqual(shapes.setdefault(ident, shape), shape, ident)
                if props.get("children-display"):
                    self.assertTrue(children)
                    self.assertLessEqual(len(children), 25)
                    if ident:
                        self.assertFalse(any(c[2] for c in children))

    def test_low_line_is_no_mnemonic(self):
        self.assertTrue([i for i in self.host.items_by_id().values()
                         if "john\u02cddoe-laptop" in i[1].get("label", "")])

    def test_forbidden_items_are_absent(self):
        self.mock.Deny("['connect', 'exit-node', 'profile']")
        self.eventually(lambda: not self.host.visible(2))
        self.assertFalse(self.host.visible(20))
        self.assertFalse(self.host.visible(30))

    def test_in_use_shows_headline_window_and_quit(self):
        self.mock.Scenario("in-use")
        self.mock.Deny("['profile-other']")
        self.eventually(lambda: self.host.label(1) == "In Use by Another User")
        shown = [i for i in self.host.items_by_id() if self.host.visible(i)
                 and i in (1, 2, 10, 11, 20, 30, 42, 44)]
        self.assertEqual(shown, [1, 42, 44])

    def test_every_state_has_its_headline_and_icon(self):
        for scenario, headline, icon, status in (
                ("stopped", "Not Connected", "off", "Active"),
                ("connecting", "Connecting…", "connecting", "Active"),
                ("needs-login", "Sign In to Continue", "login", "NeedsAttention"),
                ("waiting-browser", "Waiting for Your Browser", "login", "Active"),
                ("needs-approval", "Waiting for Approval", "login", "NeedsAttention"),
                ("key-expired", "Sign-In Expired", "login", "NeedsAttention"),
                ("exit-active", "Connected via Zurich · example.com", "exit", "Active"),
                ("exit-unreachable", "Exit Node Offline · example.com", "exit-off",
                 "NeedsAttention"),
                ("degraded", "Connected With Problems · example.com", "warning", "Active"),
                ("no-network", "No Network", "no-network", "Active"),
                ("error:tun-unavailable", "No Network Device", "error", "NeedsAttention"),
                ("daemon-old", "Service Is Older Than This App", "error", "NeedsAttention"),
                ("empty", "Welcome to Warren", "off", "Active")):
            self.mock.Scenario("connected")
            self.mock.Scenario(scenario)
            self.eventually(lambda: self.host.label(1) == headline, scenario)
            self.eventually(lambda: self.host.property("IconName")
                            == "org.warrenvpn.Warren-%s-symbolic" % icon, scenario)
            self.assertEqual(self.host.property("Status"), status, scenario)

    def notice(self):
        return " ".join(self.host.label(i) for i in (4, 50, 51, 52, 53) if self.host.visible(i))

    def test_each_problem_says_what_to_do(self):
        xml = open(os.path.join(harness.SOURCE, "data/org.warrenvpn.Daemon1.xml"))
        with xml:
            codes = re.search(r"Codes: (.*?)-->", xml.read(), re.S).group(1).split()
        seen = set()
        for code in codes:
            self.mock.Scenario("error:" + code)
            self.eventually(lambda: self.host.visible(4) and self.notice() not in seen, code)
            self.assertFalse(self.notice().endswith("…"))
            seen.add(self.notice())
        self.assertEqual(len(seen), len(codes))

    def test_daemon_that_restarts_quickly_changes_nothing(self):
        self.mock.stop()
        self.host.turn(0.5)
        self.assertTrue(self.host.label(1).startswith("Connected"))
        self.mock.start("connected")
        self.host.turn(1)
        self.assertTrue(self.host.label(1).startswith("Connected"))
        self.assertEqual(self.host.property("IconName"), "org.warrenvpn.Warren-on-symbolic")

    def test_daemon_that_stops_is_shown_and_recovers(self):
        self.mock.stop()
        self.eventually(lambda: self.host.label(1) == "Warren Service Is Not Running")
        self.assertEqual(self.host.label(3), "Start Service")
        self.mock.start("connected")
        self.eventually(lambda: self.host.label(1).startswith("Connected"))
        self.eventually(lambda: self.host.label(2) == "Disconnect")

    def test_gap_in_revisions_is_repaired(self):
        self.mock.SkipRevision()
        self.mock.RemovePeer("n0007CNTRL")
        self.eventually(lambda: not [i for i in self.host.items_by_id().values()
                                     if i[1].get("label") == "Zurich, Switzerland"])

    def test_flips_are_few_signals(self):
        self.host.signals.clear()
        for i in range(5):
            self.mock.Scenario("stopped")
            self.mock.Scenario("connected")
        self.host.turn(1)
        icons = [s for s in self.host.signals if s[0] == "NewIcon"]
        self.assertLessEqual(len(icons), 12)

    def test_second_start_finds_the_first(self):
        second = self.desktop.run([TRAY])
        self.assertEqual(second.wait(5), 0)
        self.assertIsNone(self.tray.poll())

    def test_stays_small_with_ten_thousand_devices(self):
        self.assertLessEqual(self.resident(), 8 * 1024)
        self.mock.Peers(10000)
        self.host.turn(3)
        self.assertLessEqual(self.resident(), 25 * 1024)

    def resident(self):
        with open("/proc/%d/status" % self.tray.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def test_no_toolkit_and_no_blocking_calls(self):
        libraries = subprocess.run(["ldd", TRAY], stdout=subprocess.PIPE, text=True).stdout
        self.assertNotRegex(libraries, "gtk|gdk|rsvg|pango|cairo")
        for folder in ("client", "tray", "window"):
            for name in os.listdir(os.path.join(harness.SOURCE, "app", folder)):
                with open(os.path.join(harness.SOURCE, "app", folder, name)) as source:
                    self.assertNotRegex(source.read(), r"_sync \(", name)


class SignIn(TrayTest):
    scenario = "needs-login"

    def setUp(self):
        super().setUp()
        self.browsed = os.path.join(self.directory, "browsed")
        folder = os.path.join(self.directory, "data", "applications")
        os.makedirs(folder, exist_ok=True)
        browser = os.path.join(self.directory, "browser")
        with open(browser, "w") as out:
            out.write('#!/bin/sh\necho "$1" >> %s\n' % self.browsed)
        os.chmod(browser, 0o755)
        with open(os.path.join(folder, "browser.desktop"), "w") as out:
            out.write("[Desktop Entry]\nType=Application\nName=Browser\nExec=%s %%u\n"
                      "MimeType=x-scheme-handler/https;x-scheme-handler/http;\n" % browser)
        with open(os.path.join(folder, "mimeapps.list"), "w") as out:
            out.write("[Default Applications]\nx-scheme-handler/https=browser.desktop\n")
        self.host = Host(self.desktop.session.address)
        self.start()
        self.assertTrue(self.host.turn(30, lambda: self.host.items))
        self.host.turn(0.3)

    def test_click_opens_the_page_once(self):
        self.assertEqual(self.host.label(3), "Sign In…")
        self.host.click(3)
        self.assertTrue(self.host.turn(30, lambda: os.path.exists(self.browsed)
                                       and os.path.getsize(self.browsed)))
        with open(self.browsed) as lines:
            self.assertEqual(lines.read().strip(), "https://vpn.example.com/register/"
                             "hskey-authreq-64bcfd297684878119152f56")
        self.assertTrue(self.host.turn(30, lambda: self.host.label(3) == "Open Page Again"))
        self.assertEqual(self.host.label(7), "Cancel Sign-In")
        self.mock.Approve()
        self.assertTrue(self.host.turn(30, lambda: self.host.label(1).startswith("Connected")))

    def test_nothing_opens_by_itself(self):
        self.mock.Scenario("waiting-browser")
        self.host.turn(1)
        self.assertFalse(os.path.exists(self.browsed))


class RealHost(TrayTest):
    """xfce4-panel: icon, menu, click, panel and daemon stopped and started again."""

    def icon_position(self):
        # The only item is at the right end of a panel that is 32 pixels high.
        return 1008, 16

    def open_menu(self, name):
        """Opens the menu and waits until it looks like the picture of this name; again when the
        icon was not there yet, or the menu shows what was."""
        for _ in range(6):
            self.desktop.xdotool("mousemove", *self.icon_position(), "click", 3)
            settle(0.3)
            if self.desktop.looks_like(name, "480x280+544+0", 5):
                return
            self.close_menu()
        self.fail(name)

    def close_menu(self):
        self.desktop.xdotool("key", "Escape")
        settle(0.5)

    def check_menu(self, name):
        self.open_menu(name)
        self.close_menu()

    def registered(self):
        return self.desktop.session.call("org.kde.StatusNotifierWatcher", "/StatusNotifierWatcher",
                                         "org.freedesktop.DBus.Properties", "Get",
                                         "org.kde.StatusNotifierWatcher",
                                         "RegisteredStatusNotifierItems")

    def in_panel(self):
        return wait_for(lambda: "/StatusNotifierItem" in self.registered(), interval=0.1)

    def test_menu_in_light_and_in_every_kind_of_state(self):
        self.desktop.panel()
        self.start()
        self.assertTrue(self.in_panel())
        for name, scenario in (("tray-connected", "connected"), ("tray-stopped", "stopped"),
                               ("tray-exit-offline", "exit-unreachable"),
                               ("tray-problem", "problem:server-unreachable")):
            self.mock.Scenario(scenario)
            self.check_menu(name)

    def test_menu_on_a_dark_panel(self):
        self.desktop.panel(dark=True)
        self.start()
        self.assertTrue(self.in_panel())
        self.check_menu("tray-dark")

    def test_click_in_the_menu_connects(self):
        self.mock.Scenario("stopped")
        self.desktop.panel()
        self.start()
        self.assertTrue(self.in_panel())
        self.open_menu("tray-stopped")
        self.desktop.xdotool("key", "Down", "Return")
        self.assertTrue(wait_for(lambda: "Session.Connect" in self.mock.calls()))

    def test_middle_click_toggles(self):
        self.desktop.panel()
        self.start()
        self.assertTrue(self.in_panel())
        self.check_menu("tray-connected")
        self.desktop.xdotool("mousemove", *self.icon_position(), "click", 2)
        self.assertTrue(wait_for(lambda: "Session.Disconnect" in self.mock.calls()))

    def test_panel_restarted_has_the_icon_again(self):
        panel = self.desktop.panel()
        self.start()
        self.assertTrue(self.in_panel())
        self.processes.end(panel)
        self.assertTrue(wait_for(
            lambda: not self.desktop.owns("org.kde.StatusNotifierWatcher"), interval=0.1))
        self.desktop.panel()
        self.assertTrue(self.in_panel())

    def test_click_on_a_device_copies_its_address(self):
        if subprocess.run(["which", "xclip"], stdout=subprocess.DEVNULL).returncode:
            self.skipTest("needs xclip")
        host = Host(self.desktop.session.address)
        self.start()
        self.assertTrue(host.turn(30, lambda: host.items))
        host.turn(0.5)
        atlas = [n[0] for n in host.layout(11)[1][2] if "atlas" in n[1].get("label", "")][0]
        for first, expected in ((None, "100.64.0.2"), (18, "atlas.example.ts.net")):
            if first:
                host.click(first)
            host.click(atlas)
            settle(0.3)
            text = subprocess.run(["xclip", "-selection", "clipboard", "-o"], env=self.desktop.env,
                                  stdout=subprocess.PIPE, text=True, timeout=5).stdout
            self.assertEqual(text, expected)


if __name__ == "__main__":
    harness.main()
