#!/usr/bin/python3
"""A daemon that does nothing but speak: org.warrenvpn.Daemon1 with scripted states.

Serves the shipped interface XML, so that a change of the contract breaks the tests of its clients.
Tests drive it through org.warrenvpn.MockDaemon at /org/warrenvpn/Mock (see MOCK_XML), or start it
with --scenario. It checks nothing that polkit would check, except for the actions named by Deny.
"""
import argparse
import json
import os
import random
import sys
import time

import gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

from mock_home import SIGNATURES as NETWORK_SIGNATURES, HomeCalls  # noqa: E402
from mock_network import (DIRECT, EXIT, EXIT_NOW, ONLINE, RELAYED, many_peers,  # noqa: E402
                          small_tailnet, status_document, v)

NAME = "org.warrenvpn.Daemon1"
ROOT = "/org/warrenvpn/Daemon1"
ERROR = NAME + ".Error."

MOCK_XML = """
<node><interface name='org.warrenvpn.MockDaemon'>
  <method name='Scenario'><arg type='s' direction='in'/></method>
  <method name='Set'><arg type='s' direction='in'/><arg type='v' direction='in'/></method>
  <method name='SetManager'><arg type='s' direction='in'/><arg type='v' direction='in'/></method>
  <method name='Peers'><arg type='u' direction='in'/></method>
  <method name='ChangePeer'><arg type='s' direction='in'/><arg type='u' direction='in'/></method>
  <method name='RemovePeer'><arg type='s' direction='in'/></method>
  <method name='SkipRevision'/>
  <method name='Deny'><arg type='as' direction='in'/></method>
  <method name='FailNext'><arg type='s' direction='in'/><arg type='s' direction='in'/>
    <arg type='s' direction='in'/></method>
  <method name='Calls'><arg type='as' direction='out'/></method>
  <method name='Subscribers'><arg type='u' direction='out'/></method>
  <method name='Approve'/>
  <method name='Network'><arg type='s' direction='in'/></method>
  <method name='Waiting'><arg type='s' direction='in'/></method>
  <method name='Delay'><arg type='u' direction='in'/></method>
</interface></node>
"""

SIGNATURES = {
    "Manager": {"Version": "s", "ApiVersion": "u", "Features": "as", "Sessions": "ao",
                "ActiveSession": "o", "NetworkUp": "b", "Network": "o"},
    "Network": NETWORK_SIGNATURES,
    "Session": {"Id": "s", "Label": "s", "ServerUrl": "s", "Tailnet": "s", "DnsSuffix": "s",
                "OwnerUid": "u", "User": "(tsss)", "State": "s", "Wanted": "b", "Online": "b",
                "Waiting": "s", "LoginPending": "b", "LoginExpires": "x", "ApprovalUrl": "s",
                "AdminUrl": "s", "Self": "a{sv}", "Problem": "(ssa{ss}x)", "ExitNode": "a{sv}",
                "Preferences": "a{sv}", "Locked": "as", "Warnings": "aa{sv}"},
}


class Mock(HomeCalls):
    def __init__(self, connection, xml_path):
        self.bus = connection
        self.info = Gio.DBusNodeInfo.new_for_xml(open(xml_path).read())
        self.registered = {}
        self.sessions = {}  # path → {"props", "peers", "revision", "subscribers"}
        self.calls = []
        self.denied = []
        self.failures = {}
        self.watches = {}
        self.script = 0
        self.keys = 0  # node keys handed out
        self.delay = 300  # ms from Connect to running
        self.epoch = random.getrandbits(32) | 1
        self.manager = {"Version": "0.1.0", "ApiVersion": 1, "Features": [], "Sessions": [],
                        "ActiveSession": "/", "NetworkUp": True, "Network": "/"}
        self.register(ROOT + "/Manager", ["Manager"])
        mock = Gio.DBusNodeInfo.new_for_xml(MOCK_XML).interfaces[0]
        self.bus.register_object("/org/warrenvpn/Mock", mock, self.on_mock_call, None, None)

    # -- objects

    def register(self, path, names):
        ids = []
        for name in names:
            interface = self.info.lookup_interface(NAME + "." + name)
            ids.append(self.bus.register_object(path, interface, self.on_call, self.on_get, None))
        self.registered[path] = ids

    def unregister(self, path):
        for ident in self.registered.pop(path):
            self.bus.unregister_object(ident)

    def properties(self, path, interface):
        if interface == "Manager":
            return self.manager
        if interface == "Network":
            return self.home.props
        return self.sessions[path]["props"] if interface == "Session" else {}

    def on_get(self, connection, sender, path, interface, prop):
        interface = interface[len(NAME) + 1:]
        return v(SIGNATURES[interface][prop], self.properties(path, interface)[prop])

    def change(self, path, interface, changes):
        values = self.properties(path, interface)
        signature = SIGNATURES[interface]
        changed = {k: v(signature[k], w) for k, w in changes.items() if values.get(k) != w}
        values.update(changes)
        if changed:
            self.bus.emit_signal(None, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                 v("(sa{sv}as)", (NAME + "." + interface, changed, [])))

    def new_session(self, url, options):
        number = len(self.sessions) + 1
        while ROOT + "/Session/p%d" % number in self.sessions:
            number += 1
        path = ROOT + "/Session/p%d" % number
        host = url.split("://")[-1].rstrip("/") or "controlplane.tailscale.com"
        self.sessions[path] = {
            "peers": {}, "revision": 1, "subscribers": set(),
            "props": {
                "Id": "p%d" % number, "Label": host,
                "ServerUrl": url or "https://controlplane.tailscale.com", "Tailnet": "",
                "DnsSuffix": "", "OwnerUid": 0, "User": (0, "", "", ""), "State": "needs-login",
                "Wanted": True, "Online": False, "Waiting": "", "LoginPending": False,
                "LoginExpires": 0, "ApprovalUrl": "", "AdminUrl": "https://%s/admin" % host,
                "Self": {"Name": v("s", options.get("Hostname", "laptop"))},
                "Problem": ("", "", {}, 0), "ExitNode": {"Mode": v("s", "none")},
                "Preferences": {
                    "AcceptDns": v("b", True), "AcceptRoutes": v("b", False),
                    "AdvertiseExitNode": v("b", False), "AdvertiseRoutes": v("as", []),
                    "SnatRoutes": v("b", True), "Proxy": v("s", ""),
                    "ShieldsUp": v("b", False), "ExitNode": v("s", ""),
                    "ExitNodeAllowLan": v("b", False),
                    "Hostname": v("s", options.get("Hostname", "")), "AutoConnect": v("b", True),
                    "Tags": v("as", options.get("Tags", [])), "Port": v("q", 0),
                    "Mtu": v("u", 1280)},
                "Locked": [], "Warnings": []}}
        self.register(path, ["Session", "Peers", "Diagnostics"])
        self.change(ROOT + "/Manager", "Manager",
                    {"Sessions": sorted(self.sessions), "ActiveSession": path})
        return path

    def active(self):
        return self.manager["ActiveSession"]

    # -- scripts

    def sign_in(self, path):
        """The server has accepted the device."""
        session = self.sessions[path]
        name = session["props"]["Self"]["Name"].get_string()
        self.keys += 1
        self.change(path, "Session", {
            "State": "starting", "Waiting": "netmap", "LoginPending": False, "LoginExpires": 0,
            "Label": "alice@example.com", "Tailnet": "example.com", "DnsSuffix": "example.ts.net",
            "User": (7, "alice@example.com", "Alice", ""), "Problem": ("", "", {}, 0),
            "Self": {"Id": v("s", "n0000CNTRL"), "Name": v("s", name),
                     "Fqdn": v("s", name + ".example.ts.net"), "HostName": v("s", name),
                     "Addresses": v("as", ["100.64.0.1", "fd7a:115c:a1e0::1"]),
                     "Os": v("s", "linux"), "UserName": v("s", "alice"), "HomeRelay": v("s", "fra"),
                     "NodeKey": v("s", "nodekey:%064x" % self.keys),
                     "KeyExpiry": v("x", int(time.time()) + 90 * 86400)}})
        if not session["peers"]:
            self.set_peers(path, small_tailnet(int(time.time())))
        self.later(150, lambda: self.run(path))

    def run(self, path):
        if self.sessions[path]["props"]["Wanted"]:
            self.change(path, "Session", {"State": "running", "Online": True, "Waiting": ""})

    def later(self, ms, what):
        """WHAT happens then, unless a scenario is set first."""
        script = self.script
        GLib.timeout_add(ms, lambda: self.script == script and what() and False)

    def connected_session(self):
        path = self.active()
        if path == "/":
            path = self.new_session("https://vpn.example.com", {})
        self.sign_in(path)
        self.script += 1
        self.change(path, "Session", {"Wanted": True})
        self.run(path)
        return path

    def set_exit(self, path, node):
        session = self.sessions[path]
        exit_node = {"Mode": v("s", "none")}
        if node == "auto:any":
            row = next((r for r in session["peers"].values() if r[7] & EXIT), None)
        else:
            row = session["peers"].get(node)
        if node:
            exit_node = {"Mode": v("s", "auto" if node == "auto:any" else "manual"),
                         "Id": v("s", row[0] if row else ""),
                         "Name": v("s", row[1] if row else node),
                         "Online": v("b", bool(row and row[7] & ONLINE)),
                         "Place": row[9].get("City", v("s", "")) if row else v("s", ""),
                         "Country": row[9].get("CountryCode", v("s", "")) if row else v("s", "")}
        prefs = dict(session["props"]["Preferences"], ExitNode=v("s", node))
        self.change(path, "Session", {"ExitNode": exit_node, "Preferences": prefs})
        changed = []
        for r in session["peers"].values():
            flags = r[7] & ~EXIT_NOW
            if row is not None and r is row and node:
                flags |= EXIT_NOW
            if flags != r[7]:
                r[7] = flags
                changed.append(r[0])
        self.send_peers(path, changed, [])

    def scenario(self, name):
        self.script += 1
        if name == "empty":
            for path in list(self.sessions):
                self.unregister(path)
                del self.sessions[path]
            self.change(ROOT + "/Manager", "Manager", {"Sessions": [], "ActiveSession": "/"})
            return
        # A problem befalls the session as it is; everything else starts from a connection.
        keep = ":" in name and self.active() != "/"
        path = self.active() if keep else self.connected_session()
        now = int(time.time())
        self.change(path, "Session", {"Problem": ("", "", {}, 0), "Warnings": [], "OwnerUid": 0,
                                      "LoginPending": False, "ApprovalUrl": ""})
        self.change(ROOT + "/Manager", "Manager", {"NetworkUp": True, "ApiVersion": 1})
        if name == "connected":
            self.set_exit(path, "")
        elif name == "stopped":
            self.change(path, "Session", {"Wanted": False, "State": "stopped", "Online": False})
        elif name == "connecting":
            self.change(path, "Session", {"State": "starting", "Waiting": "server"})
        elif name == "needs-login":
            self.change(path, "Session", {"State": "needs-login", "Online": False})
        elif name == "waiting-browser":
            self.change(path, "Session", {"State": "needs-login", "LoginPending": True})
        elif name == "needs-approval":
            self.change(path, "Session", {"State": "needs-approval",
                                          "ApprovalUrl": "https://vpn.example.com/admin"})
        elif name == "key-expired":
            own = dict(self.sessions[path]["props"]["Self"], KeyExpiry=v("x", now - 60))
            self.change(path, "Session", {"State": "needs-login", "Self": own,
                                          "Problem": ("key-expired", "", {}, now)})
        elif name == "exit-active":
            self.set_exit(path, "n0007CNTRL")
        elif name == "exit-unreachable":
            self.set_exit(path, "n0007CNTRL")
            node = dict(self.sessions[path]["props"]["ExitNode"], Online=v("b", False))
            self.change(path, "Session", {"ExitNode": node})
        elif name == "degraded":
            self.change(path, "Session", {"Warnings": [{
                "Code": v("s", "no-derp-home"), "Severity": v("s", "medium"),
                "Title": v("s", "No home relay server"),
                "Text": v("s", "Devices behind hard firewalls cannot be reached."),
                "ImpactsConnectivity": v("b", True)}]})
        elif name == "no-network":
            self.change(ROOT + "/Manager", "Manager", {"NetworkUp": False})
            self.change(path, "Session", {"State": "starting"})
        elif name == "in-use":
            self.denied = ["profile-other"]
            self.change(path, "Session", {"OwnerUid": 4242})
        elif name == "daemon-old":
            self.change(ROOT + "/Manager", "Manager", {"ApiVersion": 0})
        elif name.startswith("problem:"):
            self.change(path, "Session", {"State": "starting", "Online": False,
                                          "Problem": (name[8:], "", {"retrying": "true"}, now)})
        elif name.startswith("refused:"):
            code, _, text = name[8:].partition(":")
            self.change(path, "Session", {"State": "needs-login", "Online": False,
                                          "Problem": (code, text, {}, now)})
        elif name.startswith("error:"):
            self.change(path, "Session", {"State": "error", "Online": False,
                                          "Problem": (name[6:], "", {}, now)})
        else:
            raise ValueError("unknown scenario " + name)

    # -- peers

    @staticmethod
    def row(peer_row):
        return v("(sssassstuxa{sv})", tuple(peer_row))

    def set_peers(self, path, rows):
        session = self.sessions[path]
        removed = [i for i in session["peers"] if i not in {r[0] for r in rows}]
        session["peers"] = {r[0]: r for r in rows}
        self.send_peers(path, list(session["peers"]), removed)

    def send_peers(self, path, ids, removed):
        session = self.sessions[path]
        if not ids and not removed:
            return
        for start in range(0, max(len(ids), 1), 500):
            session["revision"] += 1
            rows = [tuple(session["peers"][i]) for i in ids[start:start + 500]]
            body = v("(ta(sssassstuxa{sv})as)", (self.revision(session), rows, removed))
            removed = []
            for name in session["subscribers"]:
                self.bus.emit_signal(name, path, NAME + ".Peers", "Changed", body)

    def revision(self, session):
        return self.epoch << 32 | session["revision"]

    # -- calls

    def on_mock_call(self, connection, sender, path, interface, method, args, invocation):
        try:
            reply = getattr(self, "mock_" + method)(*args.unpack())
        except Exception as error:  # noqa: BLE001
            invocation.return_dbus_error(NAME + ".Mock.Error", repr(error))
            return
        invocation.return_value(reply)

    def mock_Scenario(self, name):
        self.scenario(name)

    def mock_Set(self, prop, value):
        self.change(self.active(), "Session", {prop: value})

    def mock_SetManager(self, prop, value):
        self.change(ROOT + "/Manager", "Manager", {prop: value})

    def mock_Peers(self, count):
        now = int(time.time())
        self.set_peers(self.active(), many_peers(count, now) if count > 9 else small_tailnet(now))

    def mock_ChangePeer(self, ident, flags):
        session = self.sessions[self.active()]
        session["peers"][ident][7] = flags
        self.send_peers(self.active(), [ident], [])

    def mock_RemovePeer(self, ident):
        del self.sessions[self.active()]["peers"][ident]
        self.send_peers(self.active(), [], [ident])

    def mock_SkipRevision(self):
        self.sessions[self.active()]["revision"] += 1

    def mock_Deny(self, actions):
        self.denied = actions
        self.bus.emit_signal(None, ROOT + "/Manager", NAME + ".Manager", "PermissionsChanged", None)

    def mock_FailNext(self, method, error, text):
        self.failures[method] = (error, text)

    def mock_Calls(self):
        return v("(as)", (self.calls,))

    def mock_Subscribers(self):
        path = self.active()
        return v("(u)", (len(self.sessions[path]["subscribers"]) if path != "/" else 0,))

    def mock_Delay(self, ms):
        self.delay = ms

    def mock_Approve(self):
        self.sign_in(self.active())

    def on_call(self, connection, sender, path, interface, method, args, invocation):
        interface = interface[len(NAME) + 1:]
        shown = [a for a in args.unpack() if not isinstance(a, dict)] if args else []
        options = [a for a in args.unpack() if isinstance(a, dict)] if args else []
        self.calls.append(" ".join([interface + "." + method] + [json.dumps(a) for a in shown]
                                   + [json.dumps(o, sort_keys=True) for o in options]))
        if method in self.failures:
            name, text = self.failures.pop(method)
            invocation.return_dbus_error(ERROR + name, text)
            return
        action = self.action_of(interface, method, options)
        if action in self.denied:
            invocation.return_dbus_error(ERROR + "NotAuthorized", "not authorized: " + NAME + "."
                                         + action)
            return
        handler = getattr(self, "do_" + method)
        try:
            reply = handler(path, sender, *(args.unpack() if args else ()))
        except KeyError as error:
            invocation.return_dbus_error(ERROR + "NotFound", "no such node: %s" % error)
            return
        except LookupError as error:
            invocation.return_dbus_error(ERROR + "WrongState", str(error))
            return
        if isinstance(reply, tuple) and isinstance(reply[1], Gio.UnixFDList):
            invocation.return_value_with_unix_fd_list(*reply)
        else:
            invocation.return_value(reply)

    def action_of(self, interface, method, options):
        info = self.info.lookup_interface(NAME + "." + interface).lookup_method(method)
        action = Gio.dbus_annotation_info_lookup(info.annotations, NAME + ".Action")
        if method == "SetPreferences" and set(options[0]) <= {"ExitNode", "ExitNodeAllowLan"}:
            return "exit-node"
        return action

    def do_GetPermissions(self, path, sender):
        actions = ["status", "connect", "exit-node", "profile", "profile-other", "settings",
                   "serve", "debug"]
        return v("(a{ss})", ({a: "no" if a in self.denied else "yes" for a in actions},))

    def do_CreateSession(self, path, sender, url, options):
        created = self.new_session(url, options)
        self.start_login(created, options.get("AuthKey"))
        return v("(o)", (created,))

    def do_ActivateSession(self, path, sender, session):
        self.change(ROOT + "/Manager", "Manager", {"ActiveSession": session})

    def do_RemoveSession(self, path, sender, session):
        self.unregister(session)
        del self.sessions[session]
        left = sorted(self.sessions)
        self.change(ROOT + "/Manager", "Manager",
                    {"Sessions": left, "ActiveSession": left[0] if left else "/"})

    def start_login(self, path, key):
        if key == "wrong":
            self.later(50, lambda: self.change(path, "Session", {
                "State": "needs-login",
                "Problem": ("auth-key-invalid", "invalid key: API key does not exist", {},
                            int(time.time()))}))
        elif key:
            self.later(50, lambda: self.sign_in(path))
        else:
            self.later(50, lambda: self.change(path, "Session", {
                "LoginPending": True, "LoginExpires": int(time.time()) + 600,
                "Problem": ("", "", {}, 0)}))

    def do_Connect(self, path, sender):
        props = self.sessions[path]["props"]
        self.change(path, "Session", {"Wanted": True})
        if props["State"] == "stopped":
            self.change(path, "Session", {"State": "starting", "Waiting": "server"})
            self.later(self.delay, lambda: self.run(path))

    def do_Disconnect(self, path, sender):
        self.change(path, "Session", {"Wanted": False, "State": "stopped", "Online": False,
                                      "Waiting": ""})

    def do_Login(self, path, sender, options):
        self.change(path, "Session", {"Wanted": True})
        self.start_login(path, options.get("AuthKey"))

    def do_GetLoginUrl(self, path, sender):
        if not self.sessions[path]["props"]["LoginPending"]:
            raise LookupError("no sign-in is pending")
        host = self.sessions[path]["props"]["ServerUrl"]
        return v("(s)", (host + "/register/hskey-authreq-64bcfd297684878119152f56",))

    def do_CancelLogin(self, path, sender):
        self.change(path, "Session", {"LoginPending": False})

    def do_Logout(self, path, sender):
        self.change(path, "Session", {"State": "needs-login", "Wanted": False, "Online": False,
                                      "User": (0, "", "", "")})

    def do_SetPreferences(self, path, sender, changes):
        session = self.sessions[path]["props"]
        known = session["Preferences"]
        if any(k not in known for k in changes):
            raise LookupError("unknown preference")
        prefs = {k: v(known[k].get_type_string(), changes[k]) if k in changes else known[k]
                 for k in known}
        self.change(path, "Session", {"Preferences": prefs})
        if "ExitNode" in changes:
            self.set_exit(path, changes["ExitNode"])

    def do_SuggestExitNode(self, path, sender):
        for row in self.sessions[path]["peers"].values():
            if row[7] & 8 and row[7] & 1:
                return v("(ssa{sv})", (row[0], row[1], {"Fqdn": v("s", row[2])}))
        raise KeyError("exit node")

    def do_Subscribe(self, path, sender, known):
        session = self.sessions[path]
        session["subscribers"].add(sender)
        revision = self.revision(session)
        if known == revision:
            return v("(tba(sssassstuxa{sv})as)", (revision, False, [], []))
        rows = [tuple(r) for r in session["peers"].values()]
        return v("(tba(sssassstuxa{sv})as)", (revision, True, rows, []))

    def do_Unsubscribe(self, path, sender):
        self.sessions[path]["subscribers"].discard(sender)

    def do_GetPeer(self, path, sender, ident):
        r = self.sessions[path]["peers"][ident]
        direct = bool(r[7] & DIRECT)
        return v("(a{sv})", ({
            "Id": v("s", r[0]), "Name": v("s", r[1]), "Fqdn": v("s", r[2]),
            "Addresses": v("as", r[3]), "Os": v("s", r[4]), "UserName": v("s", r[5]),
            "UserLogin": v("s", r[5] + "@example.com"), "Version": v("s", "1.102.5"),
            "NodeKey": v("s", "nodekey:" + "2" * 64), "Flags": v("u", r[7]),
            "Created": v("x", 1790000000), "LastSeen": v("x", r[8]),
            "KeyExpiry": v("x", 1803988800), "Tags": r[9].get("Tags", v("as", [])),
            "Routes": r[9].get("Routes", v("as", [])),
            "Endpoints": v("as", ["192.168.1.9:41641"]),
            "Path": v("s", "direct" if direct else "relay" if r[7] & RELAYED else ""),
            "Endpoint": v("s", "192.168.1.9:41641" if direct else ""),
            "Relay": v("s", "fra" if r[7] & RELAYED else ""), "HomeRelay": v("s", "fra"),
            "RxBytes": v("t", 1234567), "TxBytes": v("t", 40960),
            "LastHandshake": v("x", int(time.time()) - 20)},))

    def do_Watch(self, path, sender, ident, interval):
        self.sessions[path]["peers"][ident]
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        fds = Gio.UnixFDList.new()
        index = fds.append(read_end)
        os.close(read_end)
        key = (sender, ident, write_end)
        GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, write_end, GLib.IOCondition.ERR,
                              lambda fd, condition: self.end_watch(key))
        self.watches[key] = 0
        self.tick(path, key)
        GLib.timeout_add(max(interval, 100), lambda: self.tick(path, key))
        return v("(h)", (index,)), fds

    def end_watch(self, key):
        self.watches.pop(key, None)
        os.close(key[2])
        return False

    def tick(self, path, key):
        if key not in self.watches or path not in self.sessions:
            return False
        self.watches[key] += 1
        r = self.sessions[path]["peers"].get(key[1])
        if r is None:
            return False
        direct = bool(r[7] & DIRECT)
        online = bool(r[7] & ONLINE)
        self.bus.emit_signal(key[0], path, NAME + ".Peers", "Detail", v("(sa{sv})", (key[1], {
            "RxBytes": v("t", 1234567 + 1000 * self.watches[key]), "TxBytes": v("t", 40960),
            "LastHandshake": v("x", int(time.time()) - 20 if online else 0),
            "Path": v("s", "direct" if direct else "relay" if online else ""),
            "Endpoint": v("s", "192.168.1.9:41641" if direct else ""),
            "Relay": v("s", "fra" if online and not direct else ""),
            "LatencyUs": v("u", (3400 if direct else 21000) if online else 0)})))
        return True

    def do_Ping(self, path, sender, ident, kind, timeout):
        r = self.sessions[path]["peers"][ident]
        if not r[7] & ONLINE:
            raise LookupError("offline")
        direct = bool(r[7] & DIRECT)
        return v("(a{sv})", ({"LatencyUs": v("u", 3400 if direct else 21000),
                              "Path": v("s", "direct" if direct else "relay"),
                              "Endpoint": v("s", "192.168.1.9:41641" if direct else ""),
                              "Relay": v("s", "" if direct else "fra"),
                              "RelayName": v("s", "" if direct else "Frankfurt")},))

    def do_NetCheck(self, path, sender, options):
        return v("(a{sv})", ({
            "UDP": v("b", True), "IPv4": v("b", True), "IPv6": v("b", False),
            "GlobalV4": v("s", "203.0.113.7:41641"), "GlobalV6": v("s", ""),
            "NatVaries": v("b", False), "NatVariesKnown": v("b", True),
            "PortMapping": v("as", ["PCP"]), "Home": v("u", 4),
            "Regions": v("a(ussuu)", [(4, "fra", "Frankfurt", 9200, 0xffffffff),
                                      (8, "lhr", "London", 14900, 0xffffffff),
                                      (1, "nyc", "New York City", 0xffffffff, 0xffffffff)])},))

    def do_GetStatus(self, path, sender, options):
        fd = os.memfd_create("status", os.MFD_ALLOW_SEALING)
        os.write(fd, json.dumps(status_document(self.sessions[path], options.get("Peers", True))).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        fds = Gio.UnixFDList.new()
        index = fds.append(fd)
        os.close(fd)
        return v("(h)", (index,)), fds

    def do_WhoIs(self, path, sender, address, proto):
        for r in self.sessions[path]["peers"].values():
            if address.split(":")[0] in r[3] or address in r[3]:
                return v("(a{sv})", ({
                    "Id": v("s", r[0]), "Name": v("s", r[1]), "Fqdn": v("s", r[2]),
                    "Addresses": v("as", r[3]), "AllowedIPs": v("as", [r[3][0] + "/32"]),
                    "Tags": v("as", []), "UserId": v("t", r[6]),
                    "UserLogin": v("s", r[5] + "@example.com"), "UserName": v("s", r[5]),
                    "UserPicture": v("s", ""),
                    "Capabilities": v("a{sas}", {"example.com/cap/x": ['{"a":1}']}),
                    "Json": v("s", json.dumps({"Node": {"Name": r[2] + "."}}))},))
        raise KeyError(address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bus", default=os.environ.get("WARREN_BUS"), help="bus address")
    parser.add_argument("--xml", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../../data/org.warrenvpn.Daemon1.xml"))
    parser.add_argument("--scenario", default="empty")
    parser.add_argument("--peers", type=int, default=0)
    options = parser.parse_args()
    connection = Gio.DBusConnection.new_for_address_sync(
        options.bus, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
        | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    loop = GLib.MainLoop()
    mock = Mock(connection, options.xml)
    mock.scenario(options.scenario)
    if options.peers:
        mock.mock_Peers(options.peers)

    def forget(bus, sender, path, interface, signal, args):
        name, _, owner = args.unpack()
        if not owner:
            for session in mock.sessions.values():
                session["subscribers"].discard(name)

    connection.signal_subscribe("org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                                None, None, Gio.DBusSignalFlags.NONE, forget)
    connection.set_exit_on_close(True)

    def lost(bus, name):
        print("mock daemon: lost the name", file=sys.stderr)
        loop.quit()

    Gio.bus_own_name_on_connection(connection, NAME, Gio.BusNameOwnerFlags.DO_NOT_QUEUE,
                                   None, lost)
    loop.run()


if __name__ == "__main__":
    main()
