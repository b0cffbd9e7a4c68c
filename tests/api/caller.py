#!/usr/bin/python3
"""A client of the daemon in a process of its own, so that it can be any user.

    caller.py ADDRESS UID     one JSON request a line in, one JSON answer a line out

A request: {"path", "interface", "method", "args" (GVariant text of the tuple), "interactive", "timeout"}
or {"get": property, "path", "interface"}. An answer: {"value": text, "fds": n} or {"error": name, "message"}.
"""
import json
import os
import sys

import gi
from gi.repository import Gio, GLib

NAME = "org.warrenvpn.Daemon1"


def connect(address, uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    return Gio.DBusConnection.new_for_address_sync(
        address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
        None, None)


def answer(bus, request):
    flags = Gio.DBusCallFlags.NO_AUTO_START if request.get("no_start") else Gio.DBusCallFlags.NONE
    if request.get("interactive"):
        flags |= Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION
    if "get" in request:
        interface, method = "org.freedesktop.DBus.Properties", "Get"
        args = GLib.Variant("(ss)", (request["interface"], request["get"]))
    else:
        interface, method = request["interface"], request["method"]
        args = GLib.Variant.parse(None, request.get("args", "()"), None, None)
    try:
        value, fds = bus.call_with_unix_fd_list_sync(NAME, request["path"], interface, method, args, None, flags,
                                                     int(request.get("timeout", 20) * 1000), None, None)
    except GLib.Error as error:
        return {"error": Gio.DBusError.get_remote_error(error) or error.domain, "message": error.message}
    text = None
    if fds is not None and fds.get_length() > 0:
        taken = fds.steal_fds()
        if request.get("read"):
            with os.fdopen(os.dup(taken[0]), encoding="utf-8") as file:
                text = file.read()
        for fd in taken:
            os.close(fd)
    return {"value": value.print_(False), "text": text}


def main():
    bus = connect(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(answer(bus, json.loads(line))), flush=True)


main()
