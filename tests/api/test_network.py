#!/usr/bin/python3
"""A private network of this computer over the bus, with the real coordinator as the daemon's child."""
import ast
import json
import os
import signal
import sqlite3
import stat
import subprocess
import time

import harness
from harness import MANAGER, NETWORK, Stage, Tap, create_network, error_name, wait_for

harness.isolate()

WARREN = os.path.join(harness.BUILD, "app", "cli", "warren")


def child_of(stage):
    """The process id of the coordinator, or None."""
    with open(f"/proc/{stage.daemon.pid}/task/{stage.daemon.pid}/children", encoding="ascii") as file:
        children = file.read().split()
    for pid in children:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            if file.read().startswith("warren-coordina"):
                return int(pid)
    return None


def run(caller, *words, given=""):
    text = json.dumps(list(words)), json.dumps(given)
    answer = caller.call(NETWORK, "Network", "RunCommand", f"({text[0]}, {text[1]})")
    assert "value" in answer, answer
    return ast.literal_eval(answer["value"])


def creating(tap, stage, root):
    with tap.test("without a network there is no object, but a daemon that can make one"):
        assert root.value(MANAGER, "Manager", "Network") in ("'/'", "objectpath '/'")
        assert "network" in root.value(MANAGER, "Manager", "Features")
        assert "value" not in root.call(NETWORK, "Network", "ListNodes")
    with tap.test("options that are unknown, of a wrong type or impossible are refused, and leave nothing"):
        for options in ("{'Nonsense': <'x'>}", "{'Name': <1>}", "{'Prefix4': <'10.0.0.0/8'>}", "{'Listen': <'here'>}",
                        "{'Domain': <'a b'>}", "{'PublicUrl': <'ftp://x'>}"):
            answer = root.call(MANAGER, "Manager", "CreateNetwork", f"({options},)")
            assert error_name(answer) == "InvalidArgument", (options, answer)
        assert root.value(MANAGER, "Manager", "Network") in ("'/'", "objectpath '/'")
    with tap.test("a network is made, shown and serves when the call returns"):
        before = time.monotonic()
        create_network(root, "burrow")
        tap.note(f"{(time.monotonic() - before) * 1000:.0f} ms")
        assert NETWORK in root.value(MANAGER, "Manager", "Network")
        assert root.value(NETWORK, "Network", "Name") == "'burrow'"
        assert root.value(NETWORK, "Network", "Url") == "'http://127.0.0.1:8080'"
        assert root.value(NETWORK, "Network", "Listen") == "['127.0.0.1:8080']"
        assert root.value(NETWORK, "Network", "Prefix4") == "'100.64.0.0/10'"
        assert root.value(NETWORK, "Network", "Running") == "true"
    with tap.test("a second one is a conflict"):
        answer = root.call(MANAGER, "Manager", "CreateNetwork", "(@a{sv} {},)")
        assert error_name(answer) == "Conflict", answer
    with tap.test("its coordinator has no capability and cannot gain one"):
        with open(f"/proc/{child_of(stage)}/status", encoding="utf-8") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(status[name], 16) == 0, (name, status[name])
        assert status["NoNewPrivs"].strip() == "1"


def managing(tap, root):
    with tap.test("keys are made as asked for"):
        key = root.call(NETWORK, "Network", "CreateKey", "({'Reusable': <true>, 'Ephemeral': <true>},)")["value"]
        assert "wkey-auth-" in key, key
        listed = json.loads(run(root, "keys", "list", "--json")[1])
        assert listed[0]["reusable"] and listed[0]["ephemeral"], listed
        seconds = time.mktime(time.strptime(listed[0]["expires"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()
        assert abs(seconds - 86400) < 4 * 3600, listed  # a day, whatever the time zone
        for options in ("{'Expires': <int64 5>}", "{'Nonsense': <true>}", "{'Reusable': <'yes'>}"):
            answer = root.call(NETWORK, "Network", "CreateKey", f"({options},)")
            assert error_name(answer) == "InvalidArgument", (options, answer)
    with tap.test("unknown devices are not found"):
        for method, arguments in (("Approve", "('loom',)"), ("Remove", "('loom',)"), ("Rename", "('loom', 'x')")):
            answer = root.call(NETWORK, "Network", method, arguments)
            assert error_name(answer) == "NotFound", (method, answer)
        answer = root.call(NETWORK, "Network", "Remove", "('--all',)")
        assert error_name(answer) == "InvalidArgument", answer
        assert root.call(NETWORK, "Network", "ListNodes")["value"] == "([],)"
    with tap.test("every command of the table is within reach, with its exit code and its input"):
        code, output = run(root, "commands", "--json")
        names = [row["name"] for row in json.loads(output)]
        assert code == 0 and {"nodes list", "policy set", "dns split", "users list"} <= set(names), names
        assert run(root, "nonsense")[0] == 2
        code, output = run(root, "policy", "check", "--json", given='{"acls": 5}')
        assert code == 1 and not json.loads(output)["ok"], output
        assert run(root, "policy", "set", given="{}")[0] == 0
        answer = root.call(NETWORK, "Network", "RunCommand", "(['delete', '--yes'], '')")
        assert error_name(answer) == "Unsupported", answer
    with tap.test("a change is told by the revision"):
        before = root.value(NETWORK, "Network", "Revision")
        assert run(root, "dns", "domain", "warren.example")[0] == 0
        wait_for(lambda: root.value(NETWORK, "Network", "Revision") != before, 5, "another revision")
        assert root.value(NETWORK, "Network", "Domain") == "'warren.example'"


def living(tap, stage, root):
    with tap.test("a coordinator that is killed runs again by itself"):
        pid = child_of(stage)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: child_of(stage) not in (None, pid), 10, "another process")
        wait_for(lambda: root.value(NETWORK, "Network", "Running") == "true", 10, "it runs")
        assert root.value(NETWORK, "Network", "Domain") == "'warren.example'"
    with tap.test("it stops and starts, and stays stopped over a restart of the daemon"):
        assert "value" in root.call(NETWORK, "Network", "Stop")
        assert root.value(NETWORK, "Network", "Running") == "false"
        wait_for(lambda: child_of(stage) is None, 5, "its end")
        assert error_name(root.call(NETWORK, "Network", "ListNodes")) == "WrongState"
        assert stage.stop_daemon() == 0
        stage.start_daemon()
        time.sleep(0.5)
        assert root.value(NETWORK, "Network", "Running") == "false" and child_of(stage) is None
        assert root.value(NETWORK, "Network", "Name") == "'burrow'"
        assert "value" in root.call(NETWORK, "Network", "Start")
        assert root.value(NETWORK, "Network", "Running") == "true"
    with tap.test("a running one runs again after a restart of the daemon"):
        pid = child_of(stage)
        assert stage.stop_daemon() == 0
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "its end")
        stage.start_daemon()
        wait_for(lambda: root.value(NETWORK, "Network", "Running") == "true", 10, "it runs")
    with tap.test("deleted, nothing is left of it, and another one can be made"):
        assert "value" in root.call(NETWORK, "Network", "Delete")
        assert root.value(MANAGER, "Manager", "Network") in ("'/'", "objectpath '/'")
        wait_for(lambda: child_of(stage) is None, 5, "its end")
        left = os.listdir(os.path.join(stage.state_dir, "network"))
        assert set(left) <= {"control.sock"}, left
        create_network(root, "another")
        assert run(root, "keys", "list") == (0, "")
    with tap.test("the daemon stops cleanly and takes it along"):
        pid = child_of(stage)
        assert stage.stop_daemon() == 0, stage.log("daemon")
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "its end")
        log = stage.log("daemon")
        assert "Sanitizer" not in log and "CRITICAL" not in log, log[-3000:]


def by_hand(tap, stage, root):
    """The same by the program for terminals."""
    environment = dict(os.environ, PATH=os.path.dirname(harness.COORDINATOR) + ":" + os.environ["PATH"])

    def warren(*words, code=0, given=None):
        done = subprocess.run([WARREN, f"--bus={stage.address}", *words], capture_output=True, text=True, timeout=60,
                              input=given, env=environment)
        assert done.returncode == code, (words, done)
        return done

    with tap.test("without a network the program says how to make one"):
        assert "warren network create" in warren("network", "nodes", code=1).stderr
        assert json.loads(warren("network", "status", "--json").stdout) == {"exists": False}
        assert "unknown flag" in warren("network", "create", "--nonsense=1", code=2).stderr
    tun = os.path.join(stage.folder, "tun")
    os.mknod(tun, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    os.chmod(tun, 0o666)
    for command in (f"mount --bind {tun} /dev/net/tun", "ip link add wrapi1 type veth peer name wrapi2",
                    "ip link set wrapi1 up", "ip link set wrapi2 up", "ip addr add 10.99.9.1/24 dev wrapi1",
                    "ip route add default via 10.99.9.2"):
        subprocess.run(command.split(), check=True)
    with tap.test("one command makes a network, joins this computer and says how others do"):
        done = warren("network", "create", "--name=burrow", "--url=http://10.99.9.1:8080", "--listen=10.99.9.1:8080",
                      "--relay-url=https://10.99.9.1:8443", "--relay-listen=10.99.9.1:8443")
        assert "This computer has joined it." in done.stdout, done
        assert "warren://join?server=http%3A%2F%2F10.99.9.1%3A8080&key=wkey-auth-" in done.stdout, done
        nodes = json.loads(warren("network", "nodes", "--json").stdout)
        assert len(nodes) == 1 and nodes[0]["online"] and nodes[0]["approved"], nodes
    with tap.test("its words are the coordinator's, with their exit codes"):
        assert "burrow" in warren("network", "status", "--json").stdout
        warren("network", "nonsense", code=2)
        warren("network", "rename", "nobody", "x", code=1)
        warren("network", "policy", "set", "-", given='{"acls": 5}', code=1)
        warren("network", "policy", "set", "-", given="{/* mine */}")
        assert "mine" in warren("network", "policy", "get").stdout
        invite = json.loads(warren("network", "invite", "--reusable", "--json").stdout)
        assert invite["url"] == "http://10.99.9.1:8080" and invite["key"] in invite["link"], invite
    with tap.test("a copy of the network comes through the bus into the user's own file"):
        path = os.path.join(stage.folder, "copy")
        warren("network", "backup", path)
        assert os.stat(path).st_mode & 0o777 == 0o600
        kinds = [kind for (kind,) in sqlite3.connect(path).execute("SELECT DISTINCT kind FROM record ORDER BY kind")]
        assert kinds == ["file", "key", "node", "setting", "user"], kinds
        warren("network", "backup", path, code=1)
    with tap.test("it stops, starts and is deleted only when that is meant"):
        warren("network", "stop")
        warren("network", "nodes", code=1)
        warren("network", "start")
        warren("network", "delete", code=2)
        warren("network", "delete", "--yes")
        assert root.value(MANAGER, "Manager", "Network") in ("'/'", "objectpath '/'")
    with tap.test("a server without a desktop is managed by its data directory"):
        place = f"--data-dir={stage.folder}/server"
        warren("network", place, "create", "--url=http://127.0.0.1:8081", "--listen=127.0.0.1:8081")
        warren("network", place, "start")
        wait_for(lambda: subprocess.run([WARREN, "network", place, "status"], capture_output=True,
                                        env=environment).returncode == 0, 5, "the server")
        assert "wkey-auth-" in warren("network", place, "keys", "create").stdout
        warren("network", place, "stop")
        warren("network", place, "status", code=1)


def main():
    tap = Tap("the private network on the bus", timeout=120)
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("daemon")[-4000:])
        stage.start_daemon()
        root = stage.caller(0)
        creating(tap, stage, root)
        managing(tap, root)
        living(tap, stage, root)
        if os.path.exists(WARREN):
            stage.start_daemon()
            assert "value" in root.call(NETWORK, "Network", "Delete")
            by_hand(tap, stage, root)
    tap.finish()


main()
