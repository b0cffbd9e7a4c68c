"""A private network that is only made up: the .Network object of the mock daemon, with devices, keys,
users, name service and a policy that the commands of warren-coordinator(1) list and change."""
import json
import os
import re
import time

import gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio  # noqa: E402

from mock_network import v  # noqa: E402

SIGNATURES = {"Name": "s", "Domain": "s", "Prefix4": "s", "Prefix6": "s", "Url": "s",
              "Listen": "as", "Running": "b", "Pending": "u", "Devices": "u", "Online": "u",
              "Revision": "t"}

POLICY = """// Who may reach whom.
{
  "groups": {
    "group:family": ["owner", "anna"],
  },
  "tagOwners": {
    "tag:server": ["group:family"],
  },
  "acls": [
    // Everybody reaches the servers,
    {"action": "accept", "src": ["group:family"], "dst": ["tag:server:22,443"]},
    // and their own devices.
    {"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"]},
  ],
}
"""


def rfc3339(when):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def node(ident, name, user="owner", os_name="linux", online=True, **more):
    made = {"id": ident, "name": name, "hostname": name, "os": os_name, "user": user, "tags": [],
            "addresses": ["100.64.0.%d" % ident, "fd7a:115c:a1e0::%x" % ident],
            "advertisedRoutes": [], "approvedRoutes": [], "online": online, "approved": True,
            "expired": False, "keyExpiry": "2027-05-20T10:00:00Z",
            "nodeKey": "nodekey:" + ("%02x" % (ident * 37 % 256)) * 32}
    if not online:
        made["lastSeen"] = rfc3339(time.time() - 3 * 3600)
    made.update(more)
    return made


def waiting(name, os_name="android"):
    return {"pending": "4f1e5a%02x9c" % (len(name) * 7), "name": name.lower(), "hostname": name,
            "os": os_name, "approved": False, "since": rfc3339(time.time() - 90),
            "nodeKey": "nodekey:5f3a91c07d2eb864" + "0" * 48}


class Home:
    """The state of the network and its commands. CHANGED is called after every change."""

    def __init__(self, changed, options=None):
        options = options or {}
        self.changed = changed
        url = options.get("PublicUrl", "http://192.168.1.5:8080")
        self.props = {"Name": options.get("Name", "home"),
                      "Domain": options.get("Name", "home") + ".internal",
                      "Prefix4": options.get("Prefix4", "100.64.0.0/16"),
                      "Prefix6": "fd7a:115c:a1e0::/48", "Url": url,
                      "Listen": [options.get("Listen", "192.168.1.5:8080")], "Running": True,
                      "Pending": 0, "Devices": 0, "Online": 0, "Revision": 1}
        self.nodes, self.waiting, self.keys = [], [], []
        self.users = [{"id": 1, "login": "owner", "role": "owner"}]
        self.dns = {"domain": self.props["Domain"], "magicDns": True, "nameservers": []}
        self.policy = "{}\n"
        self.count()

    def fill(self):
        self.nodes = [
            node(1, "desk"), node(2, "laptop"),
            node(3, "nas", "", tags=["tag:server"], advertisedRoutes=["192.168.7.0/24"]),
            node(4, "anna-phone", "anna", "android", online=False),
            node(5, "router", advertisedRoutes=["0.0.0.0/0", "::/0", "192.168.1.0/24"],
                 approvedRoutes=["0.0.0.0/0", "::/0"]),
            node(6, "old-tablet", "anna", "iOS", online=False, expired=True)]
        self.users.append({"id": 2, "login": "anna", "role": "member"})
        self.keys = [{"id": "k7Qd2", "reusable": True, "ephemeral": False, "state": "valid",
                      "tags": ["tag:server"], "expires": "2030-01-31T10:00:00Z"},
                     {"id": "k1Zz9", "reusable": False, "ephemeral": False, "state": "used",
                      "tags": []}]
        self.dns["nameservers"] = ["9.9.9.9"]
        self.policy = POLICY
        self.count()

    def count(self):
        self.props = dict(self.props, Pending=len(self.waiting), Devices=len(self.nodes),
                          Online=sum(n["online"] for n in self.nodes),
                          Revision=self.props["Revision"] + 1)
        self.changed()

    def find(self, name):
        for made in self.nodes:
            if name in (str(made["id"]), made["name"]):
                return made
        raise LookupError('There is no device "%s".' % name)

    # -- commands

    def run(self, words, text):
        """(exit code, output) as the program would have it."""
        flags = [w for w in words if w.startswith("--")]
        plain = [w for w in words if not w.startswith("--")]
        command = getattr(self, "_".join(plain[:2]), None)
        if not self.props["Running"] or command is None:
            return 2, "Not known: %s\n" % " ".join(words)
        try:
            return command(plain[2:], flags, text)
        except LookupError as error:
            return 1, "%s\n" % error

    def said(self, text):
        self.count()
        return 0, text + "\n"

    def nodes_list(self, words, flags, text):
        return 0, json.dumps(self.nodes + self.waiting)

    def nodes_approve(self, words, flags, text):
        found = [w for w in self.waiting if words[0] in (w["pending"], w["name"])]
        if not found:
            raise LookupError('There is no device "%s".' % words[0])
        self.waiting.remove(found[0])
        self.nodes.append(node(10 + len(self.nodes), found[0]["name"], os_name=found[0]["os"]))
        return self.said("Approved.")

    def nodes_deny(self, words, flags, text):
        self.waiting = [w for w in self.waiting if words[0] not in (w["pending"], w["name"])]
        return self.said("Denied.")

    def nodes_rename(self, words, flags, text):
        made = self.find(words[0])
        if any(n["name"] == words[1] for n in self.nodes):
            raise LookupError('There is a device "%s" already.' % words[1])
        made["name"] = words[1]
        return self.said("Renamed.")

    def nodes_tag(self, words, flags, text):
        made = self.find(words[0])
        tags = [t for t in words[1].split(",") if t]
        for tag in tags:
            if tag != "tag:server":
                raise LookupError('"%s" is not defined under "tagOwners" of the policy.' % tag)
        made.update(tags=tags, user="" if tags else "owner")
        return self.said("Tagged.")

    def nodes_expire(self, words, flags, text):
        self.find(words[0]).update(expired=True, online=False)
        return self.said("Expired.")

    def nodes_remove(self, words, flags, text):
        self.nodes.remove(self.find(words[0]))
        return self.said("Removed.")

    def routes_approve(self, words, flags, text):
        self.find(words[0])["approvedRoutes"] = words[1:]
        return self.said("Approved.")

    def keys_list(self, words, flags, text):
        return 0, json.dumps(self.keys)

    def keys_create(self, words, flags, text):
        options = dict(f[2:].split("=") for f in flags if "=" in f)
        ident = "k%dNew" % len(self.keys)
        self.keys.append({"id": ident, "reusable": "--reusable" in flags,
                          "ephemeral": "--ephemeral" in flags, "state": "valid",
                          "tags": [t for t in options.get("tags", "").split(",") if t]})
        self.count()
        return 0, json.dumps({"id": ident, "key": "hskey-auth-%s-%s" % (ident, "7c" * 16)})

    def keys_revoke(self, words, flags, text):
        for key in self.keys:
            if key["id"] == words[0]:
                key["state"] = "revoked"
        return self.said("Revoked.")

    def users_list(self, words, flags, text):
        return 0, json.dumps(self.users)

    def users_create(self, words, flags, text):
        self.users.append({"id": len(self.users) + 1, "login": words[0], "role": "member"})
        return self.said("Created.")

    def dns_get(self, words, flags, text):
        return 0, json.dumps(self.dns)

    def dns_set(self, words, flags, text):
        self.dns["nameservers"] = words
        return self.said("Set.")

    def dns_magic(self, words, flags, text):
        self.dns["magicDns"] = words[0] == "on"
        return self.said("Set.")

    def dns_domain(self, words, flags, text):
        self.dns["domain"] = words[0]
        return self.said("Set.")

    def policy_get(self, words, flags, text):
        return 0, self.policy

    @staticmethod
    def faults(text):
        """A very small policy language: "accept" is right, every other action wrong."""
        found = []
        for number, line in enumerate(text.split("\n"), 1):
            action = re.search(r'"action": *"([^"]*)"', line)
            if action and action.group(1) != "accept":
                found.append({"line": number, "column": action.start(1) + 1, "warning": False,
                              "path": "acls[0].action",
                              "text": '"%s" is not an action; only "accept" is.' % action.group(1)})
        if text.count("{") != text.count("}"):
            found.append({"line": text.count("\n") + 1, "column": 1, "warning": False, "path": "",
                          "text": 'a "}" is missing'})
        return found

    def policy_check(self, words, flags, text):
        issues = self.faults(text)
        return (1 if issues else 0), json.dumps({"ok": not issues, "issues": issues})

    def policy_set(self, words, flags, text):
        if self.faults(text):
            raise LookupError("%d:1: wrong" % self.faults(text)[0]["line"])
        self.policy = text
        return self.said("The policy is in force.")


class HomeCalls:
    """The part of the mock daemon that serves .Network; SELF is the daemon."""

    home = None

    def network_path(self):
        return "/org/warrenvpn/Daemon1/Network"

    def set_home(self, home):
        path = self.network_path()
        if home and not self.home:
            self.home = home
            self.register(path, ["Network"])
        elif self.home and not home:
            self.home = None
            self.unregister(path)
        self.change("/org/warrenvpn/Daemon1/Manager", "Manager",
                    {"Network": path if home else "/"})

    def home_changed(self):
        if not self.home:
            return
        self.bus.emit_signal(None, self.network_path(), "org.freedesktop.DBus.Properties",
                             "PropertiesChanged", v("(sa{sv}as)", (
                                 "org.warrenvpn.Daemon1.Network",
                                 {k: v(SIGNATURES[k], w) for k, w in self.home.props.items()}, [])))

    def mock_Network(self, kind):
        """"none", "supported", "empty", "running" or "stopped"."""
        self.set_home(None)
        self.change("/org/warrenvpn/Daemon1/Manager", "Manager",
                    {"Features": [] if kind == "none" else ["network"]})
        if kind in ("none", "supported"):
            return
        home = Home(self.home_changed)
        if kind != "empty":
            home.fill()
        home.props["Running"] = kind != "stopped"
        self.set_home(home)

    def mock_Waiting(self, name):
        self.home.waiting.append(waiting(name))
        self.home.count()

    def do_CreateNetwork(self, path, sender, options):
        self.set_home(Home(self.home_changed, options))
        return v("(o)", (self.network_path(),))

    def do_Start(self, path, sender):
        self.home.props["Running"] = True
        self.home.count()

    def do_Stop(self, path, sender):
        self.home.props["Running"] = False
        self.home.count()

    def do_Delete(self, path, sender):
        self.set_home(None)

    def do_CreateKey(self, path, sender, options):
        return v("(s)", ("hskey-auth-one-shot-" + "5d" * 16,))

    def do_ListNodes(self, path, sender):
        rows = [(str(n["id"]), n["name"], n["user"], True, 0) for n in self.home.nodes]
        rows += [(w["pending"], w["hostname"], "", False, 0) for w in self.home.waiting]
        return v("(a(sssbx))", (rows,))

    def do_Approve(self, path, sender, name):
        self.home.nodes_approve([name], [], "")

    def do_Remove(self, path, sender, name):
        self.home.nodes_remove([name], [], "")

    def do_Rename(self, path, sender, name, new):
        self.home.nodes_rename([name, new], [], "")

    def do_RunCommand(self, path, sender, words, text):
        return v("(is)", self.home.run(words, text))

    def do_Backup(self, path, sender):
        read_end, write_end = os.pipe()
        os.write(write_end, b"everything that this network is")
        os.close(write_end)
        fds = Gio.UnixFDList.new()
        index = fds.append(read_end)
        os.close(read_end)
        return v("(h)", (index,)), fds
