#!/usr/bin/python3
"""The demonstration behind ./quickstart: a private network on this computer.

    demo.py start   coordinator, relay and three devices in network namespaces, and the desktop's daemon in one
                    of its own, so that a Warren that runs on this computer already is left alone; opens the
                    window, or without a screen leaves a picture of it
    demo.py stop    takes everything away again

$WARREN_DEMO_DIR is where it keeps its process id and its web page, /run/warren-demo if not set.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

BEGIN = time.monotonic()
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", folder) for folder in ("interop", "natlab", "ui")]

from desktop import install_icons, install_schema  # noqa: E402
from home import Home  # noqa: E402
from lab import wait_for  # noqa: E402
from natlab import Lab, LabError, lives, remove_stale  # noqa: E402
from nodes import Warren, find_program  # noqa: E402

FOLDER = os.environ.get("WARREN_DEMO_DIR") or "/run/warren-demo"
PID_FILE = os.path.join(FOLDER, "pid")
HOME_FILE = os.path.join(FOLDER, "home")  # says where the network's files are, for when we are killed
LIFE_S = 4 * 3600
OFFICE = "192.168.50"  # the subnet behind the device "nas"
PICTURE = "warren-window.png"


def running_pid():
    """The demonstration that runs on this computer, None when there is none."""
    try:
        with open(PID_FILE, encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return pid if "demo.py" in file.read() else None
    except (OSError, ValueError):
        return None


def user():
    """Who sits at the computer: not root, if root was reached by sudo."""
    return os.environ.get("SUDO_UID") or str(os.getuid())


def serve_page(host, title):
    """A small web server, to have something to look at; it tells visitors where they come from."""
    host.popen([sys.executable, os.path.join(HERE, "page.py"), host.ip4, title],
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def as_user(lab, command, environment):
    """Starts a desktop program as the person, not as root; it ends with the laboratory."""
    uid = int(user())
    if uid != os.getuid():
        group = str(pwd.getpwuid(uid).pw_gid)
        command = ["setpriv", "--reuid", str(uid), "--regid", group, "--init-groups", "--pdeathsig", "KILL", *command]
    lab.popen(command, env={**os.environ, **environment, "HOME": pwd.getpwuid(uid).pw_dir},
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def open_window(lab, bus, folder):
    """Shows the window; without a screen draws it on one in memory and leaves a picture. What to say."""
    app = find_program("warren-app")
    install_icons(os.path.join(folder, "share", "icons"))
    install_schema(os.path.join(folder, "share"))
    environment = {"WARREN_BUS": bus, "GSETTINGS_BACKEND": "memory",
                   "GSETTINGS_SCHEMA_DIR": os.path.join(folder, "share", "schemas"),
                   "XDG_DATA_DIRS": os.path.join(folder, "share") + ":/usr/local/share:/usr/share"}
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        as_user(lab, [find_program("warren-tray")], environment)
        as_user(lab, [app], environment)
        return "The window is open."
    picture = os.path.join(folder, PICTURE)
    # An empty screen makes a small picture. What the window shows at once is not yet all of it.
    script = """"$0" & app=$!
        for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
          sleep 4; import -window root "$1"; [ "$(stat -c %s "$1")" -gt 5000 ] && break
        done
        kill $app"""
    subprocess.run(["xvfb-run", "-a", "-s", "-screen 0 880x640x24", "dbus-run-session", "--", "sh", "-c", script, app,
                    picture], env={**os.environ, **environment, "GDK_BACKEND": "x11"}, timeout=120, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return f"There is no screen here; a picture of the window:\n\n  {picture}" if os.path.exists(picture) \
        else "There is no screen here, and no picture could be made."


def wait_for_end():
    """Until a signal, or for some hours."""
    deadline = time.monotonic() + LIFE_S
    while time.monotonic() < deadline:
        time.sleep(1)


def join(node, key, *options):
    """Starts to connect a device whose daemon was launched; wait for what is returned."""
    wait_for(node.answers, 10, f"{node.name} answers")
    command = ["up", f"--login-server={node.tailnet.url}", f"--auth-key={key}", f"--hostname={node.name}", *options]
    return node.host.popen(node.cli_command() + command, env=node.environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


def connect(lab, home):
    """The desktop, connected, and when that was."""
    desktop = Warren(home, lab.host("desktop"), "desktop", uid=user())
    desktop.launch()
    if join(desktop, new_key(home), "--accept-routes").wait(60) != 0:
        raise LabError("the desktop does not connect: " + desktop.log()[-500:])
    return desktop, time.monotonic() - BEGIN


def new_key(home):
    return home.run("keys", "create", "--reusable").strip()


def add_devices(lab, home):
    """Three devices, connected, with what they offer approved; the host behind one of them."""
    nas, gateway, phone = [Warren(home, lab.host(name, nat=nat), name)
                           for name, nat in (("nas", "easy"), ("gateway", None), ("phone", "easy"))]
    office = lab.behind(nas.host, "office", OFFICE)
    offers = {nas: [f"--advertise-routes={OFFICE}.0/24"], gateway: ["--advertise-exit-node"], phone: []}
    for node in offers:
        node.launch()
    key = new_key(home)
    for waiting in [join(node, key, *options) for node, options in offers.items()]:
        if waiting.wait(60) != 0:
            raise LabError("a device does not connect")
    home.run("routes", "approve", "nas", f"{OFFICE}.0/24")
    home.run("routes", "approve", "gateway", "0.0.0.0/0", "::/0")
    return office, gateway


def serve(say):
    """The demonstration itself; SAY tells the person at the terminal."""
    with Lab() as lab, Home(lab, official=False) as home:
        with open(HOME_FILE, "w", encoding="utf-8") as file:
            file.write(home.dir)
        internet = lab.server("internet", "20.99.0")
        desktop, connected = connect(lab, home)
        office, gateway = add_devices(lab, home)
        desktop.wait_peer(gateway, lambda peer: peer and peer.get("ExitNodeOption"))
        serve_page(office, "Hello from a web server behind nas")
        serve_page(internet, "Hello from the internet")
        window = open_window(lab, desktop.bus, home.dir)
        warren = f"WARREN_BUS={desktop.bus} {find_program('warren')}"
        inside = f"sudo ip netns exec {desktop.host.name}"
        say(f"""
Connected in {connected:.1f} s. {window}

Try:

  {warren} status
  {warren} ping phone
  {inside} curl -s http://{office.ip4}/     # a web server in the subnet behind nas
  {warren} set --exit-node gateway; {inside} curl -s http://{internet.ip4}/
  sudo {find_program('warren-coordinator')} --data-dir {home.data_dir} nodes list

./quickstart --stop ends it and leaves nothing behind.
""")
        wait_for_end()


def start():
    if running_pid():
        sys.exit("The demonstration runs already. End it with ./quickstart --stop")
    clear()
    reader, writer = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until somebody can act on it
    child = os.fork()
    if child > 0:
        os.close(writer)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            with os.fdopen(reader) as pipe:
                text = pipe.read()
        except KeyboardInterrupt:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            sys.exit("Everything is taken away.")
        print(text, end="")
        sys.exit(0 if "Connected" in text else 1)
    os.close(reader)
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    os.makedirs(FOLDER, exist_ok=True)
    with open(PID_FILE + ".new", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    os.rename(PID_FILE + ".new", PID_FILE)
    pipe = os.fdopen(writer, "w")

    def say(text):
        pipe.write(text)
        pipe.close()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)

    try:
        serve(say)
    except Exception as error:  # told to the person, if still possible
        if not pipe.closed:
            say(f"The demonstration could not start: {error}\n")
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def clear():
    """Takes away what a demonstration left that was killed."""
    try:
        with open(HOME_FILE, encoding="utf-8") as file:
            shutil.rmtree(file.read(), ignore_errors=True)
    except OSError:
        pass
    remove_stale()
    shutil.rmtree(FOLDER, ignore_errors=True)


def stop():
    pid = running_pid()
    if not pid:
        clear()
        print("No demonstration runs here.")
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(600):
        if not lives(pid):
            print("Everything is taken away.")
            return
        time.sleep(0.1)
    sys.exit("The demonstration does not end; its process is " + str(pid))


if __name__ == "__main__":
    if sys.argv[1:] == ["start"]:
        start()
    elif sys.argv[1:] == ["stop"]:
        stop()
    else:
        sys.exit(__doc__)
