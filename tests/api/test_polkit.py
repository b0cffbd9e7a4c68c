#!/usr/bin/python3
"""Who may call what: every method of the interface against a real polkitd, and against one whose answers are set.

Real: root, the daemon's own user, a user that no rule names, and one that a rule allows one action at a time. Set by
python-dbusmock: what an active and an inactive user gets by the shipped defaults, dialogs, their dismissal, and the
flag that allows them.
"""
import os
import subprocess
import xml.etree.ElementTree as ElementTree

import harness
from harness import (AUTHORITY, MANAGER, POLICY, PREFIX, SERVER, Caller, Stage, Tap, create_session, error_name, owns,
                     skip_all, start_polkitd, wait_for)

harness.isolate()

ROOT_CALLER = []
DENIED, ALLOWED = 5, 9  # "games" and "news": users that every system has

# What to call each method with; the session's path goes in for {session}. Nothing here changes much when allowed.
ARGUMENTS = {
    "Manager.CreateSession": "('ftp://nowhere', @a{{sv}} {{}})",
    "Manager.ActivateSession": "(objectpath '{session}',)",
    "Manager.RemoveSession": "(objectpath '/org/warrenvpn/Daemon1/Session/00000000',)",
    "Session.Login": "({{'Nonsense': <1>}},)",
    "Session.SetPreferences": "({{'Nonsense': <1>}},)",
    "Peers.Subscribe": "(uint64 0,)",
    "Peers.GetPeer": "('nX',)",
    "Peers.Watch": "('nX', uint32 1000)",
    "Peers.Ping": "('nX', 'disco', uint32 1000)",
    "Diagnostics.NetCheck": "(@a{{sv}} {{}},)",
    "Diagnostics.GetStatus": "(@a{{sv}} {{}},)",
    "Diagnostics.WhoIs": "('100.64.0.1', '')",
    "Manager.CreateNetwork": "({{'Nonsense': <1>}},)",
    "Network.CreateKey": "({{'Nonsense': <1>}},)",
    "Network.Approve": "('nobody',)",
    "Network.Remove": "('nobody',)",
    "Network.Rename": "('nobody', 'x')",
    "Network.RunCommand": "(['status'], '')",
}


def methods():
    """(interface, method, action or "") of the whole contract."""
    found = []
    for interface in ElementTree.parse(harness.XML).getroot().iter("interface"):
        for method in interface.iter("method"):
            actions = [a.get("value") for a in method.iter("annotation") if a.get("name") == f"{PREFIX}.Action"]
            found.append((interface.get("name").removeprefix(PREFIX + "."), method.get("name"), "".join(actions)))
    return found


def defaults():
    """action -> (any, inactive, active) as shipped."""
    return {action.get("id").removeprefix(PREFIX + "."):
            tuple(action.find("defaults").find(f"allow_{who}").text for who in ("any", "inactive", "active"))
            for action in ElementTree.parse(POLICY).getroot().iter("action")}


def is_refused(caller, session, interface, method, **options):
    path = harness.path_of(interface, session)
    arguments = ARGUMENTS.get(f"{interface}.{method}", "()").format(session=session)
    answer = caller.call(path, interface, method, arguments, **options)
    refused = error_name(answer) == "NotAuthorized"
    if interface == "Network" and method in ("Stop", "Delete") and not refused:
        assert "value" in answer, answer
        revive(method)
    return refused


def revive(method):
    """The network that one call has ended is there for the next."""
    if method == "Stop":
        assert "value" in ROOT_CALLER[0].call(harness.NETWORK, "Network", "Start")
    else:
        harness.create_network(ROOT_CALLER[0])


def refused_methods(caller, session, **options):
    return {(i, m) for i, m, _ in methods() if is_refused(caller, session, i, m, **options)}


def with_actions(*actions):
    return {(i, m) for i, m, action in methods() if action in actions}


ASKING = with_actions("connect", "exit-node", "profile", "settings", "serve")


# --- a real polkitd ---


def allow_by_rule(action):
    """A rule for one user and one action ("" for none), in force when this returns."""
    path = "/etc/polkit-1/rules.d/10-test.rules"
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(f"""polkit.addRule(function (action, subject) {{
  if (action.id == "{PREFIX}.{action}" && subject.user == "news") return polkit.Result.YES;
  return polkit.Result.NOT_HANDLED;
}});
""")
    os.rename(path + ".new", path)


def permissions(caller):
    text = caller.call(MANAGER, "Manager", "GetPermissions")["value"]
    return dict(pair.split(": ") for pair in text.strip("({},)").replace("'", "").split(", "))


def real_polkit(tap):
    if not os.path.exists("/usr/lib/polkit-1/polkitd"):
        skip_all("needs polkitd")
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("daemon")[-3000:] + stage.log("polkitd")[-1000:])
        stage.start_daemon()
        ROOT_CALLER[:] = [stage.caller(0)]
        session = create_session(stage.caller(0))
        harness.create_network(stage.caller(0))
        denied, allowed = stage.caller(DENIED), stage.caller(ALLOWED)
        with tap.test("without polkit root and the daemon's user may do everything, others nothing"):
            assert refused_methods(stage.caller(0), session) == set()
            assert refused_methods(stage.caller(harness.DAEMON_UID), session) == set()
            assert refused_methods(denied, session) == {(i, m) for i, m, action in methods() if action}
            assert set(permissions(denied).values()) == {"no"}
            assert set(permissions(stage.caller(0)).values()) == {"yes"}
        start_polkitd(stage)
        with tap.test("with polkit a user that is not active may look, and is told what would ask"):
            assert refused_methods(denied, session) == ASKING
            assert refused_methods(stage.caller(0), session) == set()
            assert permissions(denied)["status"] == "yes"
            assert {permissions(denied)[a] for a in ("connect", "exit-node", "profile", "settings", "serve")} == {"auth"}
        with tap.test("without a password agent a dialog that may be shown is a refusal at once"):
            assert refused_methods(denied, session, interactive=True) == ASKING
        for action in ("connect", "profile", "settings"):
            with tap.test(f"a rule that allows {action} allows the methods of {action} and no others"):
                allow_by_rule(action)
                wait_for(lambda: permissions(allowed)[action] == "yes", 10, "the rule is in force")
                # settings imply connect and exit-node, as the shipped file says
                implied = ("connect", "exit-node") if action == "settings" else ()
                assert refused_methods(allowed, session) <= ASKING - with_actions(action)
                assert with_actions(action) & refused_methods(allowed, session) == set()
                others = ASKING - with_actions(action, *implied)
                assert others <= refused_methods(allowed, session), refused_methods(allowed, session)
                assert refused_methods(denied, session) == ASKING
        with tap.test("choosing an exit node asks for exit-node alone, sharing for serve"):
            for action, changes in (("exit-node", "{'ExitNode': <''>}"), ("serve", "{'Tags': <@as []>}")):
                allow_by_rule(action)
                wait_for(lambda: permissions(allowed)[action] == "yes", 10, "the rule is in force")
                answer = allowed.call(session, "Session", "SetPreferences", f"({changes},)")
                assert "value" in answer, (action, answer)
                answer = allowed.call(session, "Session", "SetPreferences", "({'ShieldsUp': <false>},)")
                assert error_name(answer) == "NotAuthorized", (action, answer)
        with tap.test("a session of another user needs profile-other for everything"):
            stage.stop_daemon()
            identity = os.path.join(stage.state_dir, "profiles", session.rsplit("/", 1)[1], "identity")
            with open(identity, "r+", encoding="utf-8") as file:
                text = file.read().replace("owner 0", f"owner {DENIED}")
                file.seek(0)
                file.write(text)
            stage.start_daemon()
            assert stage.caller(0).value(session, "Session", "OwnerUid") == f"uint32 {DENIED}"
            changing = {(i, m) for i, m in ASKING if i == "Session"}
            for action, refused in (("connect", changing), ("settings", changing), ("profile-other", set())):
                allow_by_rule(action)
                wait_for(lambda: permissions(allowed)[action] == "yes", 10, "the rule is in force")
                assert refused_methods(allowed, session) & changing == refused, action
            answer = allowed.call(MANAGER, "Manager", "CreateSession", f"('{SERVER}', @a{{sv}} {{}})")
            assert "value" in answer, answer  # it puts the other user's session away: profile-other, which is allowed
        with tap.test("nothing is left of the calls that were refused"):
            assert stage.stop_daemon() == 0


# --- one whose answers are set ---


class MockPolkit:
    def __init__(self, stage):
        self.stage = stage
        self.process = stage.start(["/usr/bin/python3", "-m", "dbusmock", AUTHORITY,
                                    "/org/freedesktop/PolicyKit1/Authority", f"{AUTHORITY}.Authority"], "polkit-mock",
                                   env=dict(os.environ, DBUS_SESSION_BUS_ADDRESS=stage.address))
        wait_for(lambda: owns(stage, AUTHORITY), 10, "the mock")
        self.answer("ret = (False, False, {})")

    def mock(self, method, *arguments):
        done = subprocess.run(["gdbus", "call", "--address", self.stage.address, "-d", AUTHORITY,
                               "-o", "/org/freedesktop/PolicyKit1/Authority",
                               "-m", f"org.freedesktop.DBus.Mock.{method}", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(self, code):
        """How CheckAuthorization answers from now on; args are (subject, action, details, flags, id)."""
        self.mock("AddMethod", f"{AUTHORITY}.Authority", "CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", code)

    def calls(self):
        """(action, flags) of the calls since the last time."""
        text = self.mock("GetMethodCalls", "CheckAuthorization")
        self.mock("ClearCalls")
        return text


def column(table, who):
    """Code that answers as polkit does for a user of that column, who gives the right password when asked."""
    index = {"inactive": 1, "active": 2}[who]
    kinds = {f"{PREFIX}.{action}": row[index] for action, row in table.items()}
    return (f"kind = {kinds!r}[args[1]]\n"
            "ret = (kind == 'yes' or (kind != 'no' and bool(args[3] & 1)), kind.startswith('auth'), {})")


def mocked_polkit(tap):
    if subprocess.run(["/usr/bin/python3", "-c", "import dbusmock"], capture_output=True).returncode != 0:
        skip_all("needs python3-dbusmock")
    table = defaults()
    with Stage() as stage:
        tap.evidence.append(lambda: stage.log("daemon")[-3000:] + stage.log("polkit-mock")[-1000:])
        polkit = MockPolkit(stage)
        stage.start_daemon()
        ROOT_CALLER[:] = [stage.caller(0)]
        session = create_session(stage.caller(0))
        harness.create_network(stage.caller(0))
        user = stage.caller(DENIED)
        for who, index in (("inactive", 1), ("active", 2)):
            with tap.test(f"an {who} user gets what the shipped defaults say, method by method"):
                polkit.answer(column(table, who))
                expected = {(i, m) for i, m, action in methods() if action and table[action][index] != "yes"}
                assert refused_methods(user, session) == expected, refused_methods(user, session)
                words = {action: "yes" if row[index] == "yes" else "auth" for action, row in table.items()}
                given = permissions(user)
                assert given == {action: words[action] for action in given}, given
        with tap.test("a dialog is allowed only where the caller's message allows it"):
            polkit.answer(column(table, "inactive"))
            polkit.calls()
            assert is_refused(user, session, "Session", "Connect")
            assert "uint32 0" in polkit.calls()
            assert not is_refused(user, session, "Session", "Connect", interactive=True)
            assert "uint32 1" in polkit.calls()
        with tap.test("a dismissed dialog is told apart from a refusal"):
            polkit.answer("ret = (False, False, {'polkit.dismissed': 'true'})")
            answer = user.call(session, "Session", "Connect", interactive=True)
            assert error_name(answer) == "AuthDismissed", answer
        with tap.test("root and the daemon's user pass without a question"):
            polkit.calls()
            assert refused_methods(stage.caller(0), session) == set()
            assert refused_methods(stage.caller(harness.DAEMON_UID), session) == set()
            assert f"{PREFIX}." not in polkit.calls()
        with tap.test("while one dialog is open the daemon serves others, and too many calls are refused"):
            polkit.process.terminate()
            polkit.process.wait(5)
            hang = stage.start(["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", "polkitd"], "polkit-hang",
                               env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=stage.address))
            wait_for(lambda: owns(stage, AUTHORITY), 10, "the mock")
            polkit.mock("SimulateHang", "true")
            waiting = Caller(stage.address, DENIED)
            waiting.process.stdin.write('{"path": "%s", "interface": "%s.Session", "method": "Connect", '
                                        '"interactive": true}\n' % (session, PREFIX))
            waiting.process.stdin.flush()
            wait_for(lambda: "true" in polkit.mock("HaveHangingCalls"), 5, "the dialog is open")
            assert "value" in stage.caller(0).call(session, "Session", "Disconnect")
            polkit.mock("ReleaseHangingCalls")
            assert "NotAuthorized" in waiting.process.stdout.readline()
            waiting.end()
            hang.terminate()
            hang.wait(5)
        with tap.test("the daemon goes on after polkit went away"):
            assert is_refused(user, session, "Session", "Connect")
            assert stage.stop_daemon() == 0


def main():
    tap = Tap("who may call what", timeout=170)
    real_polkit(tap)
    mocked_polkit(tap)
    tap.finish()


main()
