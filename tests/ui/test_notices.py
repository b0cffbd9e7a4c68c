#!/usr/bin/python3
"""Notifications of the tray, as a server of the desktop gets them (spec/desktop.md §5.4)."""
import time

import harness
from test_tray import Host, TrayTest

import gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

NAME = "org.freedesktop.Notifications"
XML = """<node>
<interface name='org.freedesktop.Notifications'>
  <method name='GetCapabilities'><arg type='as' direction='out'/></method>
  <method name='Notify'><arg type='s' direction='in'/><arg type='u' direction='in'/>
    <arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='s' direction='in'/>
    <arg type='as' direction='in'/><arg type='a{sv}' direction='in'/><arg type='i' direction='in'/>
    <arg type='u' direction='out'/></method>
  <method name='CloseNotification'><arg type='u' direction='in'/></method>
</interface>
<interface name='org.freedesktop.Application'>
  <method name='Activate'><arg type='a{sv}' direction='in'/></method>
  <method name='ActivateAction'><arg type='s' direction='in'/><arg type='av' direction='in'/>
    <arg type='a{sv}' direction='in'/></method>
</interface></node>"""


class Server(Host):
    """A host for the icon that is a notification server, too, and the window's name."""

    def __init__(self, address, capabilities):
        super().__init__(address)
        self.capabilities, self.notices, self.closed, self.opened = capabilities, [], [], []
        info = Gio.DBusNodeInfo.new_for_xml(XML)
        self.bus.register_object("/org/freedesktop/Notifications", info.interfaces[0],
                                 self.on_notice, None, None)
        self.bus.register_object("/org/warrenvpn/Warren", info.interfaces[1], self.on_window, None,
                                 None)
        for name in (NAME, "org.warrenvpn.Warren"):
            self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                      "RequestName", GLib.Variant("(su)", (name, 0)))

    def on_notice(self, bus, sender, path, interface, method, args, invocation):
        if method == "GetCapabilities":
            invocation.return_value(GLib.Variant("(as)", (self.capabilities,)))
        elif method == "CloseNotification":
            self.closed.append(args.unpack()[0])
            invocation.return_value(None)
        else:
            words = args.unpack()
            ident = words[1] or len(self.notices) + 1
            self.notices.append({"id": ident, "title": words[3], "body": words[4],
                                 "actions": words[5], "hints": words[6]})
            invocation.return_value(GLib.Variant("(u)", (ident,)))

    def on_window(self, bus, sender, path, interface, method, args, invocation):
        self.opened.append(args.unpack()[0] if method == "ActivateAction" else "")
        invocation.return_value(None)

    def press(self, ident, key):
        self.bus.emit_signal(None, "/org/freedesktop/Notifications", NAME, "ActionInvoked",
                             GLib.Variant("(us)", (ident, key)))


class Notices(TrayTest):
    capabilities = ["actions", "body", "body-markup"]

    def setUp(self):
        super().setUp()
        self.host = Server(self.desktop.session.address, self.capabilities)
        self.start()
        self.assertTrue(self.host.turn(30, lambda: self.host.items))
        self.host.turn(0.5)

    def notice(self, title, seconds=20):
        self.assertTrue(self.host.turn(seconds, lambda: [n for n in self.host.notices
                                                         if n["title"] == title]),
                        "%s not in %s" % (title, self.host.notices))
        return [n for n in self.host.notices if n["title"] == title][-1]

    def gone(self, notice):
        self.assertTrue(self.host.turn(30, lambda: notice["id"] in self.host.closed))

    def test_sign_in_is_asked_for_and_the_button_does_it(self):
        self.assertEqual(self.host.notices, [])
        self.mock.Scenario("needs-login")
        notice = self.notice("Sign In to Warren")
        self.assertEqual(notice["body"], "example.com asks you to sign in.")
        self.assertIn("sign-in", notice["actions"])
        self.assertEqual(notice["hints"]["desktop-entry"], "org.warrenvpn.Warren")
        self.host.press(notice["id"], "sign-in")
        self.assertTrue(self.host.turn(30, lambda: [c for c in self.mock.calls()
                                                    if "Session.Login" in c]))
        self.mock.Approve()
        self.gone(notice)

    def test_expired_sign_in_is_critical(self):
        self.mock.Scenario("key-expired")
        notice = self.notice("Disconnected: Sign-In Expired")
        self.assertEqual(notice["hints"]["urgency"], 2)
        self.mock.Scenario("connected")
        self.gone(notice)

    def test_lost_exit_node_is_told_after_a_while_and_taken_back(self):
        began = time.monotonic()
        self.mock.Scenario("exit-unreachable")
        notice = self.notice("Exit Node Offline", 40)
        self.assertGreaterEqual(time.monotonic() - began, 14)
        self.assertEqual(notice["body"], "Traffic is blocked until Zurich is back.")
        self.assertEqual(notice["hints"]["urgency"], 2)
        self.host.press(notice["id"], "choose")
        self.assertTrue(self.host.turn(30, lambda: "exit-node" in self.host.opened))
        self.mock.Scenario("connected")
        self.gone(notice)

    def test_own_doing_is_no_news(self):
        self.host.click(2)
        self.host.turn(30, lambda: self.host.label(2) == "Connect")
        self.mock.Scenario("needs-login")
        self.host.turn(1.5)
        self.assertEqual(self.host.notices, [])

    def test_device_that_waits_is_told_and_leads_to_the_network(self):
        self.mock.Network("running")
        self.host.turn(1)
        self.assertEqual(self.host.notices, [])
        self.mock.Waiting("Pixel")
        notice = self.notice("Device Waits for Approval")
        self.assertEqual(notice["body"], "1 device wants to join the network “home”.")
        self.assertTrue(self.host.turn(30, lambda: self.host.visible(5)))
        self.assertEqual(self.host.label(5), "1 Device Waits for Approval…")
        self.host.press(notice["id"], "default")
        self.assertTrue(self.host.turn(30, lambda: "network" in self.host.opened))
        self.host.opened.clear()
        self.host.click(5)
        self.assertTrue(self.host.turn(30, lambda: "network" in self.host.opened))
        self.mock.Network("running")  # nobody waits any more
        self.gone(notice)


class PlainNotices(Notices):
    """A server without buttons: a click on the text is all there is."""
    capabilities = ["body"]

    def test_sign_in_is_asked_for_and_the_button_does_it(self):
        self.mock.Scenario("needs-login")
        notice = self.notice("Sign In to Warren")
        self.assertEqual(notice["actions"], ["default", ""])
        self.host.press(notice["id"], "default")
        self.assertTrue(self.host.turn(30, lambda: "" in self.host.opened))

    test_expired_sign_in_is_critical = None
    test_lost_exit_node_is_told_after_a_while_and_taken_back = None
    test_own_doing_is_no_news = None
    test_device_that_waits_is_told_and_leads_to_the_network = None


if __name__ == "__main__":
    harness.main()
