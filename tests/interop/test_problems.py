#!/usr/bin/python3
"""Each problem that can occur is made to occur, and the command line says what to do about it."""

import http.server
import os
import shutil
import socket
import threading

from lab import Lab, LabError, Tailnet, Tap, run, wait_for
from nodes import NOBODY, Warren, chosen_pairs


class Scene:
    """A fresh daemon for one problem."""

    def __init__(self, lab, tailnet, name):
        self.lab, self.tailnet, self.control = lab, tailnet, tailnet.control
        self.node = Warren(tailnet, lab.host(name.replace("-", "")[:12]), name)

    def up(self, **options):
        return self.node.up(timeout=5, check=False, **options)


def server_unreachable(s):
    s.node.start()
    s.up(login_server=f"http://{s.tailnet.control_host.ip4}:81")


def not_a_control_server(s):
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello\n")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    web = s.lab.server("web", "10.77.80")
    server = http.server.HTTPServer(("", 80), Hello, bind_and_activate=False)
    server.socket = web.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.server_bind()
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s.node.start()
    s.up(login_server=f"http://{web.ip4}")


def server_key_changed(s):
    s.node.start()
    s.up()
    s.node.wait_running()
    s.node.stop()
    s.control.stop()
    state = os.path.join(s.tailnet.dir, "control-state.json")
    os.rename(state, state + ".old")
    s.control.start()
    s.control("mode", open=True)
    s.node.start()


def version_refused(s):
    s.control("fail", What="register", Node=s.node.name, Status=400, Count=50,
              Body="unsupported client version: warren (131)")
    s.node.start()
    s.up()


def login_expired(s):
    s.control("fail", What="register", Node=s.node.name, Error="registration timed out", Count=50)
    s.node.start()
    s.up()


def login_denied(s):
    s.control("mode", open=False)
    s.node.start()
    s.control("deny", URL=s.node.begin_login(), Error="you may not")
    s.control("mode", open=True)


def key_expired(s):
    s.node.start()
    s.up()
    s.node.wait_running()
    s.control("expire", Node=s.node.name)


def node_removed(s):
    s.node.start()
    s.up()
    s.node.wait_running()
    s.control("mode", open=False)  # else the first question makes it a member again
    s.control("remove", Node=s.node.name)
    wait_for(lambda: s.node.problem() == "node-removed", 15, "node-removed")
    s.control("mode", open=True)


def auth_key_invalid(s):
    s.node.start()
    s.up(auth_key="nonsense")


def auth_key_used(s):
    s.control("authkey", Key="spent", Used=True)
    s.node.start()
    s.up(auth_key="spent")


def lock_unsupported(s):
    s.node.start()
    s.up()
    s.node.wait_running()
    own = s.control.node(s.node.name)
    own = {k: v for k, v in own.items() if k not in ("Streams", "Ephemeral")}
    own["CapMap"] = {"https://tailscale.com/cap/tailnet-lock": None}
    s.control("raw", Node=s.node.name, Response={
        "Node": own, "TKAInfo": {"Head": "4CYQ53ADVJCLPU5QAEEYAVKOQKEAYMPBMQPBZXT7UOGUVKCIFWKQ"}})


def tun_unavailable(s):
    s.node.tun_device = os.path.join(s.node.dir, "no-tun")
    with open(s.node.tun_device, "w"):
        os.chmod(s.node.tun_device, 0o666)
    s.node.start()
    s.up()


def not_permitted(s):
    s.node.capabilities = "-all"
    s.node.start()
    s.up()


def state_unreadable(s):
    s.node.start()
    s.up()
    s.node.wait_running()
    s.node.stop()
    profiles = os.path.join(s.node.state_dir, "profiles")
    for profile in os.listdir(profiles):
        with open(os.path.join(profiles, profile, "identity"), "wb") as file:
            file.write(b"warren from the future\n")
    s.node.start()


def disk_full(s):
    run(["mount", "-t", "tmpfs", "-o", f"size=256k,mode=700,uid={NOBODY},gid={NOBODY}", "none", s.node.state_dir])
    s.node.start()
    s.up()
    s.node.wait_running()
    filler = os.path.join(s.node.state_dir, "filler")
    with open(filler, "wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(1024))
        except OSError:
            pass
    s.node.cli("set", "--hostname=other", check=False)


# code: (what makes it, a word of what the command line advises)
PROBLEMS = {
    "server-unreachable": (server_unreachable, "check the internet connection"),
    "not-a-control-server": (not_a_control_server, "check the server address"),
    "version-refused": (version_refused, "update warren"),
    "login-expired": (login_expired, "sign in again"),
    "login-denied": (login_denied, "administrator"),
    "key-expired": (key_expired, "sign in again"),
    "node-removed": (node_removed, "sign in again"),
    "auth-key-invalid": (auth_key_invalid, "create a new key"),
    "auth-key-used": (auth_key_used, "create a new key"),
    "lock-unsupported": (lock_unsupported, "tailnet lock"),
    "tun-unavailable": (tun_unavailable, "modprobe tun"),
    "not-permitted": (not_permitted, "systemctl"),
    "state-unreadable": (state_unreadable, "update warren"),
    "disk-full": (disk_full, "space"),
    "server-key-changed": (server_key_changed, "sign in again"),
}


def main():
    chosen_pairs(("warren/official",))
    tap = Tap("problems and what is said about them", timeout=30 * len(PROBLEMS))
    with Lab() as lab, Tailnet(lab, server="labregister") as tailnet:
        tap.evidence.append(tailnet.evidence)
        tailnet.control("mode", open=True)
        for code, (make, advice) in PROBLEMS.items():
            scene = Scene(lab, tailnet, code)
            try:
                with tap.test(f"{code} is named, and the command line says what to do"):
                    make(scene)
                    wait_for(lambda: scene.node.problem() == code, 15, f"the problem (it is {scene.node.problem()!r})")
                    said = scene.node.cli("status", check=False)
                    assert advice in (said.stdout + said.stderr).lower(), said.stdout + said.stderr
                if code == "disk-full":
                    with tap.test("the disk free again, disk-full goes by itself and the connection went on"):
                        os.unlink(os.path.join(scene.node.state_dir, "filler"))
                        scene.node.cli("set", "--hostname=another", check=False)
                        wait_for(lambda: scene.node.problem() == "", 15, "the problem goes")
                        assert scene.node.state() == "Running"
            finally:
                scene.node.abandon()
                scene.node.process.wait(30)
                tailnet.nodes.remove(scene.node)
                if os.path.ismount(scene.node.state_dir):
                    run(["umount", scene.node.state_dir])
                shutil.rmtree(scene.node.dir, ignore_errors=True)
    tap.finish()


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        raise SystemExit(f"Bail out! {error}")
