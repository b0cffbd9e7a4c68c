#!/usr/bin/python3
"""`warren` on a terminal asks for the password: a real polkitd, its agent pkttyagent and its helper with PAM, on a
pseudo-terminal, for a user who may do nothing by himself.

The helper finds the bus where every computer has it, so this program's own mounts put the test's bus there, and a
password of root that the test knows.
"""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time

import harness
from harness import PREFIX, Stage, Tap, create_session, skip_all, start_polkitd

harness.isolate()

WARREN = os.path.join(harness.BUILD, "app", "cli", "warren")
STRANGER = 5  # "games", whom every system has
PASSWORD = "burrow"
NOT_AUTHORIZED = 7
PROMPT = "Password: "


def prepare(stage):
    for program in ("pkttyagent", "openssl"):
        if not shutil.which(program):
            skip_all(f"needs {program}")
    for path in ("/usr/lib/polkit-1/polkitd", "/usr/lib/polkit-1/polkit-agent-helper-1", WARREN):
        if not os.path.exists(path):
            skip_all(f"needs {path}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    os.mkdir("/run/dbus")
    os.symlink(f"{stage.folder}/bus", "/run/dbus/system_bus_socket")
    hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True, stdout=subprocess.PIPE,
                            text=True).stdout.strip()
    shadow = os.path.join(stage.folder, "shadow")
    with open(shadow, "w", encoding="utf-8") as file:
        file.write(f"root:{hashed}:20000:0:99999:7:::\ngames:*:20000:0:99999:7:::\n")
    os.chmod(shadow, 0o600)
    subprocess.run(["mount", "--bind", shadow, "/etc/shadow"], check=True)


def command(stage, *words):
    return [WARREN, "--bus", stage.address, *words]


def become_stranger():
    os.setgroups([])
    os.setresgid(STRANGER, STRANGER, STRANGER)
    os.setresuid(STRANGER, STRANGER, STRANGER)


def on_terminal(stage, *words, answer=None):
    """Runs `warren WORDS` on a terminal of its own: (exit code, everything it showed)."""
    pid, terminal = pty.fork()
    if pid == 0:
        become_stranger()
        os.execve(WARREN, command(stage, *words), {"LC_ALL": "C.UTF-8", "TERM": "dumb", "PATH": os.environ["PATH"]})
    shown, end = "", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the last program on it has ended
            part = ""
        if not part:
            break
        shown += part
        if answer is not None and PROMPT in shown:
            while termios.tcgetattr(terminal)[3] & termios.ECHO:  # what is typed before that is thrown away
                time.sleep(0.01)
            os.write(terminal, answer.encode() + b"\n")
            answer = None
    else:
        os.kill(pid, signal.SIGKILL)
        shown += "\n(does not end)"
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.replace("\r\n", "\n")


def off_terminal(stage, *words):
    done = subprocess.run(command(stage, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          preexec_fn=become_stranger, env=dict(os.environ, LC_ALL="C.UTF-8"))
    return done.returncode, done.stdout + done.stderr


def says_what_to_do(shown, words):
    """The error names the action, the group and the command that would do."""
    assert f"not authorized for {PREFIX}.connect" in shown, shown
    assert "group “warren”" in shown, shown
    assert re.search(rf"sudo warren --bus \S+ .*{words}", shown), shown


def main():
    tap = Tap("the password on a terminal", timeout=120)
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("daemon")[-2000:] + stage.log("polkitd")[-2000:])
        prepare(stage)
        stage.start_daemon()
        create_session(stage.caller(0))
        start_polkitd(stage)
        with tap.test("a wrong password is a refusal that says what to do"):
            code, shown = on_terminal(stage, "down", answer="mole")
            assert code == NOT_AUTHORIZED and "AUTHENTICATION FAILED" in shown, (code, shown)
            says_what_to_do(shown, "down")
        with tap.test("with --no-ask-password nobody is asked"):
            code, shown = on_terminal(stage, "--no-ask-password", "down")
            assert code == NOT_AUTHORIZED and PROMPT not in shown, (code, shown)
            says_what_to_do(shown, "down")
        with tap.test("without a terminal nobody is asked"):
            code, shown = off_terminal(stage, "down")
            assert code == NOT_AUTHORIZED and PROMPT not in shown, (code, shown)
            says_what_to_do(shown, "down")
        with tap.test("the password of an administrator lets the command through"):
            code, shown = on_terminal(stage, "down", answer=PASSWORD)
            assert "Authentication is required to connect or disconnect" in shown, shown
            assert code == 0 and "AUTHENTICATION COMPLETE" in shown, (code, shown)
        with tap.test("what needs no authorisation starts no agent"):
            code, shown = on_terminal(stage, "status")
            assert PROMPT not in shown and "not authorized" not in shown, (code, shown)
    tap.finish()


if __name__ == "__main__":
    sys.exit(main())
