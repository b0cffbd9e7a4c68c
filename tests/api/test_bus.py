#!/usr/bin/python3
"""The daemon's objects on a private bus: what they show, what they keep, what they refuse."""
import json
import os
import subprocess

import harness
from harness import MANAGER, PATH, SERVER, Stage, Tap, create_session, error_name, wait_for

harness.isolate()


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(base, name), folder)
                  for base, _, names in os.walk(folder) for name in names)


def main():
    tap = Tap("the daemon's objects on a private bus", timeout=120)
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("daemon")[-4000:])
        root = stage.caller(0)
        with tap.test("a fresh daemon has no session and says its version"):
            stage.start_daemon()
            assert root.value(MANAGER, "Manager", "ActiveSession") in ("'/'", "objectpath '/'")
            assert root.value(MANAGER, "Manager", "ApiVersion") == "uint32 2"
            assert "warren" in root.value(MANAGER, "Manager", "Version")
        with tap.test("a second daemon in the namespace is refused and touches nothing"):
            second = subprocess.run([*harness.daemon_command(stage.folder + "/second", stage.address)],
                                    capture_output=True, text=True, timeout=10)
            assert second.returncode == 1, second
            words = f"another Warren daemon manages this network namespace (pid {stage.daemon.pid})"
            assert words in second.stderr, second.stderr
            assert not os.path.exists(stage.folder + "/second")
        with tap.test("it runs with exactly two capabilities and cannot gain others"):
            with open(f"/proc/{stage.daemon.pid}/status", encoding="utf-8") as file:
                status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
            for name in ("CapPrm", "CapEff", "CapBnd"):
                assert int(status[name], 16) == (1 << 12) | (1 << 13), (name, status[name])
            assert int(status["CapAmb"], 16) == int(status["CapInh"], 16) & 0
            assert status["NoNewPrivs"].strip() == "1"
        with tap.test("its state directory is its own"):
            assert os.stat(stage.state_dir).st_mode & 0o777 == 0o700
            assert os.stat(stage.state_dir + "/machine-key").st_mode & 0o777 == 0o600
        session = None
        with tap.test("a new session is active, wanted, and says what keeps it from connecting"):
            session = create_session(root)
            assert root.value(MANAGER, "Manager", "ActiveSession").strip("objectpath '") or True
            assert session in root.value(MANAGER, "Manager", "ActiveSession")
            assert root.value(session, "Session", "Wanted") == "true"
            assert root.value(session, "Session", "ServerUrl") == f"'{SERVER}'"
            wait_for(lambda: "server-unreachable" in root.value(session, "Session", "Problem"), 15, "the problem")
            assert "'retrying': 'yes'" in root.value(session, "Session", "Problem")
        with tap.test("addresses that are no server are refused"):
            for bad in ("file:///etc/passwd", "ftp://x", "http://a b", "https://user@x"):
                answer = root.call(MANAGER, "Manager", "CreateSession", f"('{bad}', @a{{sv}} {{}})")
                assert error_name(answer) == "InvalidArgument", (bad, answer)
        with tap.test("preferences change all or not at all, and survive a kill"):
            before = root.value(session, "Session", "Preferences")
            answer = root.call(session, "Session", "SetPreferences", "({'ShieldsUp': <true>, 'Nonsense': <1>},)")
            assert error_name(answer) == "InvalidArgument", answer
            assert root.value(session, "Session", "Preferences") == before
            answer = root.call(session, "Session", "SetPreferences",
                               "({'ShieldsUp': <true>, 'Hostname': <'loom'>, 'ExitNode': <'100.64.0.9'>},)")
            assert "value" in answer, answer
            after = root.value(session, "Session", "Preferences")
            assert "'ShieldsUp': <true>" in after and "'Hostname': <'loom'>" in after, after
            stage.daemon.kill()
            stage.daemon.wait(5)
            stage.start_daemon()
            assert root.value(session, "Session", "Preferences") == after
        with tap.test("the Status document is there although nobody is signed in"):
            answer = root.call(session, "Diagnostics", "GetStatus", "(@a{sv} {},)", read=True)
            document = json.loads(answer["text"])
            assert document["Self"]["PublicKey"].startswith("nodekey:"), document
            assert document["BackendState"] in ("NeedsLogin", "Starting"), document
        with tap.test("what is not there is not found"):
            assert error_name(root.call(session, "Peers", "GetPeer", "('nX',)")) == "NotFound"
            assert error_name(root.call(session, "Diagnostics", "WhoIs", "('100.64.0.1', '')")) == "NotFound"
            assert error_name(root.call(session, "Peers", "Ping", "('nX', 'disco', uint32 1000)")) == "NotFound"
            gone = PATH + "/Session/00000000"
            assert error_name(root.call(MANAGER, "Manager", "RemoveSession", f"(objectpath '{gone}',)")) == "NotFound"
            assert error_name(root.call(session, "Session", "GetLoginUrl")) == "WrongState"
            assert error_name(root.call(session, "Session", "SuggestExitNode")) == "NotFound"
        with tap.test("the device list is empty and has a revision"):
            answer = root.call(session, "Peers", "Subscribe", "(uint64 0,)")
            assert answer["value"].endswith("true, [], [])"), answer
            assert "value" in root.call(session, "Peers", "Unsubscribe")
        with tap.test("a second session puts the first away without rewriting it"):
            identity = os.path.join(stage.state_dir, "profiles", session.rsplit("/", 1)[1], "identity")
            with open(identity, encoding="utf-8") as file:
                first = [line for line in file if not line.startswith("wanted ")]
            other = create_session(root, "http://127.0.0.1:10")
            assert other in root.value(MANAGER, "Manager", "ActiveSession")
            with open(identity, encoding="utf-8") as file:
                assert [line for line in file if not line.startswith("wanted ")] == first
            assert error_name(root.call(session, "Session", "Connect")) == "WrongState"
            assert "value" in root.call(MANAGER, "Manager", "ActivateSession", f"(objectpath '{session}',)")
            assert session in root.value(MANAGER, "Manager", "ActiveSession")
            assert "value" in root.call(MANAGER, "Manager", "RemoveSession", f"(objectpath '{other}',)")
            wait_for(lambda: other not in root.value(MANAGER, "Manager", "Sessions"), 5, "its removal")
            assert not os.path.exists(os.path.join(stage.state_dir, "profiles", other.rsplit("/", 1)[1]))
        with tap.test("a file of another version is kept, named and refused"):
            assert stage.stop_daemon() == 0
            with open(identity, "r+", encoding="utf-8") as file:
                text = file.read().replace("format 1", "format 7", 1)
                file.seek(0)
                file.write(text)
            stage.start_daemon()
            problem = root.value(session, "Session", "Problem")
            assert "state-unreadable" in problem and identity in problem, problem
            assert root.value(session, "Session", "State") == "'error'"
            with open(identity, encoding="utf-8") as file:
                assert file.read() == text
        with tap.test("it stops cleanly and leaves no device"):
            assert stage.stop_daemon() == 0, stage.log("daemon")
            assert not os.path.exists("/sys/class/net/wrapi0")
            assert "identity.new" not in "".join(files_below(stage.state_dir))
    tap.finish()


main()
