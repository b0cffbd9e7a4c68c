#!/usr/bin/python3
"""The bus starts the daemon when somebody needs it: a service file whose Exec is the line that takes rights away."""
import os

import harness
from harness import MANAGER, Stage, Tap, create_session, daemon_command, drop_privileges, wait_for

harness.isolate()


def daemons(stage):
    """Process ids of daemons of this test."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"warrend") and stage.state_dir.encode() in words:
            found.append(int(pid))
    return found


def main():
    tap = Tap("activation by the bus", timeout=60)
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("bus")[-3000:])
        os.mkdir(stage.state_dir, 0o700)
        os.chown(stage.state_dir, harness.DAEMON_UID, harness.DAEMON_UID)
        command = " ".join([*drop_privileges(), *daemon_command(stage.state_dir, stage.address)])
        with open(f"{stage.folder}/services/org.warrenvpn.Daemon1.service", "w", encoding="utf-8") as file:
            file.write(f"[D-BUS Service]\nName=org.warrenvpn.Daemon1\nExec={command}\nUser=root\n")
        root = stage.caller(0)
        with tap.test("a call starts it"):
            assert not daemons(stage)
            assert "warren" in root.value(MANAGER, "Manager", "Version")
            assert len(daemons(stage)) == 1
        session = None
        with tap.test("it has its two capabilities and an unprivileged user"):
            with open(f"/proc/{daemons(stage)[0]}/status", encoding="utf-8") as file:
                text = file.read()
            assert f"Uid:\t{harness.DAEMON_UID}\t" in text
            assert "CapEff:\t0000000000003000" in text and "CapBnd:\t0000000000003000" in text, text
        with tap.test("after a kill the next call starts it again, and everything is still there"):
            session = create_session(root)
            os.kill(daemons(stage)[0], 9)
            wait_for(lambda: not daemons(stage), 5, "its end")
            assert session in wait_for(lambda: root.get(MANAGER, "Manager", "ActiveSession").get("value"), 5, "an answer")
        with tap.test("a clean stop leaves nothing, and the next call starts it again"):
            os.kill(daemons(stage)[0], 15)
            wait_for(lambda: not daemons(stage), 5, "its end")
            assert not os.path.exists("/sys/class/net/wrapi0")
            assert session in root.value(MANAGER, "Manager", "Sessions")
        for pid in daemons(stage):
            os.kill(pid, 15)
        wait_for(lambda: not daemons(stage), 5, "its end")
    tap.finish()


main()
