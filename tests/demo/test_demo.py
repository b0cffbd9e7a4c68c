#!/usr/bin/python3
"""What ./quickstart shows: that it connects at once, that what it says to try works, and that nothing of it
stays."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "natlab")]

from lab import Tap, skip_all, wait_for  # noqa: E402
from nodes import find_program  # noqa: E402
from pace import Pace  # noqa: E402

CONNECTED_S = 3.0


def traces(pid):
    """What a demonstration with this process id leaves in the system."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    found = [name for name in names if name.startswith(f"wr{pid}-")]
    found += [name for name in os.listdir("/etc/netns")] if os.path.isdir("/etc/netns") else []
    return [name for name in found if name.startswith(f"wr{pid}-")]


def processes(folder):
    """Those that a demonstration with this folder started."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if f"WARREN_DEMO_DIR={folder}\0".encode() in file.read() and int(pid) != os.getpid():
                    found.append(pid)
        except OSError:
            pass  # it ended
    return found


class Demo:
    def __init__(self):
        self.folder = os.path.join(tempfile.mkdtemp(prefix="warren-demo-"), "run")
        self.environment = {**os.environ, "WARREN_DEMO_DIR": self.folder}
        self.environment.pop("DISPLAY", None)
        self.environment.pop("WAYLAND_DISPLAY", None)
        self.text = ""

    def call(self, word, timeout=180):
        done = subprocess.run([sys.executable, os.path.join(HERE, "demo.py"), word], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout + done.stderr

    def pid(self):
        with open(os.path.join(self.folder, "pid"), encoding="ascii") as file:
            return int(file.read())

    def tries(self):
        """The lines that it says to try."""
        return [line.strip() for line in self.text.split("Try:\n")[1].splitlines() if line.startswith("  ")]

    def run_line(self, n):
        """Line n as a person would enter it; the test is root already."""
        line = self.tries()[n].replace("sudo ", "")
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, (line, done)
        return done.stdout


def shown(tap, demo):
    with tap.test(f"it starts, and is connected within {CONNECTED_S:.0f} s"):
        with Pace() as pace:
            code, demo.text = demo.call("start")
            assert code == 0, demo.text
            seconds, limit = float(re.search(r"Connected in ([\d.]+) s", demo.text)[1]), pace.allowance(CONNECTED_S)
        tap.note(f"connected in {seconds} s; the machine took {pace.slowness:.1f} times as long as a calm one")
        assert seconds <= limit
    with tap.test("it says five things to try, and the window can be looked at"):
        assert len(demo.tries()) == 5, demo.text
        picture = re.search(r"^  (/\S+\.png)$", demo.text, re.MULTILINE)[1]
        assert os.path.getsize(picture) > 5000
    with tap.test("status names the three devices, of which one offers an exit node"):
        status = demo.run_line(0)
        assert re.search(r"gateway .*offers exit node", status), status
        assert {"nas", "phone"} <= set(status.split()), status
    with tap.test("a ping comes back"):
        assert "pong from phone" in demo.run_line(1)
    with tap.test("the web server in the subnet behind nas answers"):
        assert "behind nas" in wait_for(lambda: demo.run_line(2), 10, "an answer")
    with tap.test("through the exit node the internet sees another address than the desktop's"):
        desktop = re.search(r"netns exec (\S+) ", demo.text)[1]
        address = demo.run_line(3)
        own = subprocess.run(["ip", "-n", desktop, "-o", "address", "show", "eth0"], capture_output=True, text=True,
                             check=True).stdout
        assert "Hello from the internet" in address
        assert re.search(r"You come from ([\d.]+)\.<", address)[1] not in own, (address, own)
    with tap.test("the coordinator lists the four"):
        assert demo.run_line(4).count(" online") == 4
    with tap.test("a second one is refused"):
        code, text = demo.call("start")
        assert code != 0 and "--stop" in text, text


def interrupted(tap, demo):
    with tap.test("interrupted while it starts, nothing of it is left"):
        for seconds in (0.2, 1.0):
            starting = subprocess.Popen([sys.executable, os.path.join(HERE, "demo.py"), "start"], env=demo.environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: os.path.exists(os.path.join(demo.folder, "pid")), 10, "it begins")
            pid = demo.pid()
            time.sleep(seconds)
            starting.send_signal(signal.SIGINT)
            assert starting.wait(60) != 0
            wait_for(lambda: not processes(demo.folder), 5, "no process is left")
            assert not traces(pid) and not os.path.exists(demo.folder), (traces(pid), demo.folder)


def killed(tap, demo):
    with tap.test("killed, --stop takes away what it left"):
        code, demo.text = demo.call("start")
        assert code == 0, demo.text
        pid, folder = demo.pid(), re.search(r"--data-dir (\S+)/data", demo.text)[1]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: processes(demo.folder) == [], 10, "its programs end with it")
        assert demo.call("stop")[0] == 0
        left = traces(pid) + [path for path in (folder, demo.folder) if os.path.exists(path)]
        assert not left, left


def main():
    if os.geteuid() != 0:
        skip_all("needs root")
    if not all(find_program(name) for name in ("warren-coordinator", "warrend", "warren", "warren-app")):
        skip_all("needs the programs in $WARREN_BUILD")
    tap = Tap("the demonstration", timeout=150)
    demo = Demo()
    try:
        interrupted(tap, demo)
        shown(tap, demo)
        with tap.test("stopped, nothing of it is left"):
            pid = demo.pid()
            assert processes(demo.folder) and traces(pid)
            folder = re.search(r"--data-dir (\S+)/data", demo.text)[1]
            code, text = demo.call("stop")
            assert code == 0, text
            wait_for(lambda: not processes(demo.folder), 5, "no process is left")
            left = traces(pid)
            left += [path for path in (folder, demo.folder) if os.path.exists(path)]
            assert not left, left
        killed(tap, demo)
    finally:
        demo.call("stop")
        os.rmdir(os.path.dirname(demo.folder))
    tap.finish()


if __name__ == "__main__":
    main()
