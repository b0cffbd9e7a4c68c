#!/usr/bin/python3
"""The command line against the mock daemon: words, exit codes, JSON (spec/local-services.md §4)."""
import json
import os
import re
import subprocess

import harness
from harness import SOURCE

harness.need("dbus-daemon", "gdbus", modules=["import gi"])
WARREN = harness.program("cli/warren")


class CliTest(harness.UserTest):
    def run_cli(self, *args, **env):
        result = subprocess.run([WARREN] + list(args), env=self.environment(**env), timeout=30,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        return result.returncode, result.stdout, result.stderr


class Words(CliTest):
    def test_no_session_says_how_to_sign_in(self):
        code, out, err = self.run_cli("status")
        self.assertEqual(code, 5)
        self.assertIn("warren up", err)

    def test_unknown_words(self):
        self.assertEqual(self.run_cli("frobnicate")[0], 1)
        self.assertEqual(self.run_cli("up", "--frobnicate")[0], 2)
        self.assertEqual(self.run_cli("up", "surplus")[0], 2)
        self.assertEqual(self.run_cli("status", "--json=perhaps")[0], 2)
        self.assertEqual(self.run_cli("set", "--hostname=a", "--hostname=b")[0], 2)

    def test_up_with_key_makes_a_session(self):
        code, out, err = self.run_cli("up", "--login-server=http://vpn.example.com:8080",
                                      "--authkey", "secret", "--hostname", "loom",
                                      "--accept-routes")
        self.assertEqual((code, out, err), (0, "", ""))
        call = self.mock.calls()[0]
        self.assertIn('Manager.CreateSession "http://vpn.example.com:8080"', call)
        self.assertIn('"Hostname": "loom"', call)
        self.assertIn('"AcceptRoutes": true', call)

    def test_key_from_a_file(self):
        path = os.path.join(self.directory, "key")
        with open(path, "w") as out:
            out.write("secret\n")
        self.assertEqual(self.run_cli("up", "--auth-key=file:" + path)[0], 0)
        self.assertIn('"AuthKey": "secret"', self.mock.calls()[0])

    def test_wrong_key_says_what_to_do(self):
        code, out, err = self.run_cli("up", "--auth-key=wrong")
        self.assertEqual(code, 5)
        self.assertIn("API key does not exist", err)
        self.assertIn("Create a new key", err)

    def test_interactive_up_prints_the_link(self):
        process = self.processes.start([WARREN, "up", "--login-server=https://vpn.example.com"],
                                       env=self.environment(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertTrue(harness.wait_for(lambda: "Session.GetLoginUrl" in self.mock.calls()))
        self.mock.Approve()
        out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(out, "")
        self.assertEqual(err, "\nTo authenticate, visit:\n\n\thttps://vpn.example.com/register/"
                         "hskey-authreq-64bcfd297684878119152f56\n\nSuccess.\n")

    def test_interactive_up_in_json(self):
        process = self.processes.start([WARREN, "up", "--json"], env=self.environment(),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        self.assertTrue(harness.wait_for(lambda: "Session.GetLoginUrl" in self.mock.calls()))
        self.mock.Approve()
        out, err = process.communicate(timeout=10)
        decoder = json.JSONDecoder()
        first, end = decoder.raw_decode(out)
        second, _ = decoder.raw_decode(out[end:].strip())
        self.assertEqual(first["BackendState"], "NeedsLogin")
        self.assertTrue(first["AuthURL"].startswith("https://"))
        self.assertEqual(second, {"BackendState": "Running"})

    def test_timeout_ends_the_wait(self):
        code, out, err = self.run_cli("up", "--timeout=300ms")
        self.assertEqual(code, 1)
        self.assertIn("not connected in time", err)

    def test_another_server_is_another_session(self):
        self.assertEqual(self.run_cli("up", "--login-server=https://a.example", "--auth-key=k")[0],
                         0)
        self.assertEqual(self.run_cli("up", "--login-server=https://b.example", "--auth-key=k")[0],
                         0)
        self.assertEqual(self.run_cli("up", "--login-server=https://a.example/")[0], 0)
        calls = self.mock.calls()
        self.assertEqual(len([c for c in calls if "CreateSession" in c]), 2)
        self.assertEqual(len([c for c in calls if "ActivateSession" in c]), 1)

    def test_help_and_version(self):
        code, out, err = self.run_cli("help")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("netcheck", out)
        self.assertEqual(self.run_cli("ping", "--help")[0], 0)
        self.assertRegex(self.run_cli("version")[1], r"^\d+\.\d+\.\d+\n$")
        self.assertEqual(json.loads(self.run_cli("version", "--json")[1])["cap"], 131)
        self.assertIn("Daemon:", self.run_cli("version", "--daemon")[1])


class NoDaemon(CliTest):
    def test_absent_daemon_has_its_own_exit_code(self):
        self.mock.stop()
        code, out, err = self.run_cli("status")
        self.assertEqual(code, 3)
        self.assertIn("sudo systemctl start warrend", err)

    def test_daemon_is_started_through_the_bus(self):
        self.mock.stop()
        with open(os.path.join(self.bus.services, "org.warrenvpn.Daemon1.service"), "w") as out:
            out.write("[D-BUS Service]\nName=org.warrenvpn.Daemon1\nExec=%s %s --bus %s "
                      "--scenario connected\n" % (harness.PYTHON, os.path.join(
                          SOURCE, "tests/ui/mock_daemon.py"), self.bus.address))
        self.bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                      "ReloadConfig")
        self.assertEqual(self.run_cli("status")[0], 0)
        pid = self.bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                            "GetConnectionUnixProcessID", "org.warrenvpn.Daemon1")
        os.kill(int(re.search(r"(\d+),?\)$", pid).group(1)), 15)

    def test_bus_option_wins(self):
        code, out, err = self.run_cli("--bus", "unix:path=/nonexistent", "status")
        self.assertEqual(code, 3)
        self.assertEqual(self.run_cli("status", "--bus=" + self.bus.address,
                                      WARREN_BUS="unix:path=/nonexistent")[0], 5)


class Connected(CliTest):
    scenario = "connected"

    def test_status_table(self):
        code, out, err = self.run_cli("status")
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertRegex(lines[0], r"^100\.64\.0\.1 +laptop +alice@ +linux +-$")
        self.assertRegex(out, r"(?m)^100\.64\.0\.2 +atlas +alice@ +linux +active; "
                              r"direct 192\.168\.1\.9:41641, tx 4096 rx 5120$")
        self.assertRegex(out, r"(?m)^100\.64\.0\.3 +birch .* active; relay \"fra\"")
        self.assertRegex(out, r"(?m)^100\.64\.0\.5 +phone .* offline, last seen 2h ago$")
        self.assertRegex(out, r"(?m)^100\.64\.0\.8 +zurich .* idle; offers exit node$")
        names = [line.split()[1] for line in lines[1:]]
        self.assertEqual(names, sorted(names))

    def test_status_json_is_the_document_of_the_daemon(self):
        code, out, err = self.run_cli("status", "--json")
        document = json.loads(out)
        self.assertEqual(document["BackendState"], "Running")
        self.assertEqual(len(document["Peer"]), 9)
        self.assertIsNone(json.loads(self.run_cli("status", "--json", "--peers=false")[1])["Peer"])

    def test_status_when_stopped(self):
        self.mock.Scenario("stopped")
        self.assertEqual(self.run_cli("status")[:2], (1, "Warren is stopped.\n"))

    def test_down_twice(self):
        self.assertEqual(self.run_cli("down"), (0, "", ""))
        code, out, err = self.run_cli("down")
        self.assertEqual((code, err), (0, "Warren was already stopped.\n"))
        self.assertEqual(self.run_cli("up")[0], 0)

    def test_ip(self):
        self.assertEqual(self.run_cli("ip")[1], "100.64.0.1\nfd7a:115c:a1e0::1\n")
        self.assertEqual(self.run_cli("ip", "-4")[1], "100.64.0.1\n")
        self.assertEqual(self.run_cli("ip", "-6", "atlas")[1], "fd7a:115c:a1e0::2\n")
        self.assertEqual(self.run_cli("ip", "-1", "birch.example.ts.net")[1], "100.64.0.3\n")
        self.assertEqual(self.run_cli("ip", "--assert=100.64.0.1")[0], 0)
        self.assertEqual(self.run_cli("ip", "--assert=100.64.0.9")[0], 1)
        self.assertEqual(self.run_cli("ip", "nobody")[0], 1)
        self.assertEqual(self.run_cli("ip", "-4", "-6")[0], 2)

    def test_ping(self):
        self.assertEqual(self.run_cli("ping", "atlas")[:2],
                         (0, "pong from atlas (100.64.0.2) via 192.168.1.9:41641 in 3ms\n"))
        code, out, err = self.run_cli("ping", "-c", "2", "100.64.0.3")
        self.assertEqual(code, 1)
        self.assertEqual(out, "pong from birch (100.64.0.3) via DERP(fra) in 21ms\n" * 2)
        self.assertEqual(err, "direct connection not established\n")
        self.assertEqual(self.run_cli("ping", "-c=1", "--until-direct=false", "birch")[0], 0)
        self.assertIn("via TSMP in", self.run_cli("ping", "--tsmp", "-c=1", "atlas")[1])
        self.assertEqual(self.run_cli("ping", "laptop")[1], "laptop is local Tailscale IP\n")
        self.assertEqual(self.run_cli("ping", "nobody")[0], 1)

    def test_ping_that_times_out(self):
        self.mock.FailNext("Ping", "Timeout", "no answer")
        self.assertEqual(self.run_cli("ping", "-c=1", "atlas"),
                         (1, 'ping "100.64.0.2" timed out\n', "no reply\n"))

    def test_exit_node(self):
        out = self.run_cli("exit-node", "list")[1]
        self.assertRegex(out, r"(?m)^ 100\.64\.0\.8 +zurich\.example\.ts\.net +Switzerland +Zurich")
        self.assertEqual(self.run_cli("exit-node", "suggest")[1],
                         "Suggested exit node: zurich.example.ts.net\n"
                         "To accept this suggestion, use `warren set --exit-node=zurich.example.ts.net`.\n")
        self.mock.FailNext("SuggestExitNode", "NotFound", "none")
        self.assertEqual(self.run_cli("exit-node", "suggest"),
                         (0, "No exit node suggestion is available.\n", ""))
        self.assertEqual(self.run_cli("exit-node", "use", "zurich")[0], 0)
        self.assertIn('"ExitNode": "n0007CNTRL"', self.mock.calls()[-1])
        self.assertRegex(self.run_cli("exit-node", "list")[1], r"(?m)zurich.* selected$")
        self.assertEqual(self.run_cli("set", "--exit-node=")[0], 0)
        self.assertIn('"ExitNode": ""', self.mock.calls()[-1])
        self.assertEqual(self.run_cli("set", "--exit-node=atlas")[0], 1)
        self.assertEqual(self.run_cli("exit-node", "use", "auto")[0], 0)
        self.assertIn('"auto:any"', self.mock.calls()[-1])
        self.assertEqual(self.run_cli("exit-node", "list", "--filter=Atlantis")[0], 1)

    def test_settings(self):
        self.assertEqual(self.run_cli("set")[0], 2)
        self.assertEqual(self.run_cli("set", "--accept-routes", "--hostname=loom"), (0, "", ""))
        self.assertEqual(self.mock.calls()[-1],
                         'Session.SetPreferences {"AcceptRoutes": true, "Hostname": "loom"}')
        self.assertEqual(self.run_cli("get", "accept-routes")[1], "true\n")
        settings = json.loads(self.run_cli("get", "--json")[1])
        self.assertEqual((settings["accept-dns"], settings["hostname"]), (True, "loom"))
        flags = self.run_cli("get", "--set-flags")[1].split()
        self.assertEqual(self.run_cli("set", *[f.replace("'", "") for f in flags])[0], 0)
        self.assertEqual(self.run_cli("get", "nonsense")[0], 1)

    def test_up_changes_only_what_is_named(self):
        self.run_cli("set", "--accept-routes")
        self.assertEqual(self.run_cli("up", "--shields-up"), (0, "", ""))
        self.assertIn('Session.SetPreferences {"ShieldsUp": true}', self.mock.calls())
        self.assertEqual(self.run_cli("get", "accept-routes")[1], "true\n")
        self.assertEqual(self.run_cli("up", "--reset")[0], 0)
        self.assertEqual(self.run_cli("get", "accept-routes")[1], "false\n")

    def test_renewal_waits_for_the_new_key(self):
        process = self.processes.start([WARREN, "up", "--force-reauth"], env=self.environment(),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        self.assertTrue(harness.wait_for(lambda: "Session.GetLoginUrl" in self.mock.calls()))
        self.assertIsNone(process.poll())
        self.mock.Approve()
        out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0)
        self.assertIn("https://vpn.example.com/register/", err)
        self.assertTrue(err.endswith("Success.\n"))

    def test_problem_of_a_running_session_is_told(self):
        self.mock.Set("Problem", "<('server-unreachable', '', @a{ss} {}, int64 1)>")
        code, out, err = self.run_cli("status")
        self.assertEqual(code, 0)
        self.assertIn("# Check the Internet connection", out)

    def test_netcheck(self):
        out = self.run_cli("netcheck")[1]
        self.assertIn("\t* UDP: true\n\t* IPv4: yes, 203.0.113.7:41641\n", out)
        self.assertIn("\t* Nearest DERP: Frankfurt\n", out)
        self.assertIn("\t\t- fra: 9.2ms   (Frankfurt)\n", out)
        report = json.loads(self.run_cli("netcheck", "--format=json")[1])
        self.assertEqual(report["RegionLatency"], {"4": 9200000, "8": 14900000})
        self.assertEqual(len(self.run_cli("netcheck", "--format=json-line")[1].splitlines()), 1)
        self.assertEqual(self.run_cli("netcheck", "--format=yaml")[0], 2)

    def test_whois(self):
        out = self.run_cli("whois", "100.64.0.6:22")[1]
        self.assertIn("john_doe-laptop.example.ts.net", out)
        self.assertIn("bob@example.com", out)
        self.assertIn("  - example.com/cap/x:", out)
        document = json.loads(self.run_cli("whois", "--json", "100.64.0.6")[1])
        self.assertEqual(document["Node"]["Name"], "john_doe-laptop.example.ts.net.")
        self.assertEqual(self.run_cli("whois", "100.64.9.9")[0], 1)
        self.assertEqual(self.run_cli("whois")[0], 2)

    def test_logout(self):
        self.assertEqual(self.run_cli("logout")[0], 0)
        self.assertEqual(self.run_cli("status")[:2], (1, "Logged out.\n"))

    def test_denied_names_action_group_and_sudo(self):
        self.mock.Deny("['connect', 'settings', 'exit-node', 'profile']")
        code, out, err = self.run_cli("down")
        self.assertEqual(code, 7)
        self.assertIn("org.warrenvpn.Daemon1.connect", err)
        self.assertIn("“warren”", err)
        self.assertIn("sudo warren down", err)
        self.assertIn("sudo warren set --hostname 'a b'",
                      self.run_cli("set", "--hostname", "a b")[2])
        err = self.run_cli("up", "--login-server=https://x.example", "--auth-key=secret")[2]
        self.assertNotIn("secret", err)


class Problems(CliTest):
    scenario = "connected"

    def test_each_problem_has_an_exit_code_and_advice(self):
        with open(os.path.join(SOURCE, "data/org.warrenvpn.Daemon1.xml")) as xml:
            text = re.search(r"Codes: (.*?)-->", xml.read(), re.S).group(1)
        codes = text.split()
        self.assertGreaterEqual(len(codes), 17)
        seen = {}
        for problem in codes:
            self.mock.Scenario("error:" + problem)
            code, out, err = self.run_cli("status")
            self.assertEqual(code, 1, problem)
            self.assertGreater(len(out.strip().splitlines()), 2, problem)
            seen[problem] = out
        self.assertEqual(len(set(seen.values())), len(seen))

    def test_up_ends_on_a_problem_that_waits_for_the_user(self):
        self.mock.Scenario("stopped")
        self.mock.Delay(60000)
        process = self.processes.start([WARREN, "up"], env=self.environment(),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
        self.assertTrue(harness.wait_for(lambda: "Session.Connect" in self.mock.calls()))
        self.mock.Scenario("error:tun-unavailable")
        out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 6)
        self.assertIn("modprobe tun", err)


class Documentation(CliTest):
    """--help, man page and completion name the same commands and flags as the code."""

    def flags_in_help(self, *command):
        out = self.run_cli(*command, "--help")[1]
        return set(re.findall(r"(?m)^  (--[a-z0-9-]+)", out))

    def commands(self):
        out = self.run_cli("help")[1]
        section = out.split("COMMANDS\n")[1].split("\n\n")[0]
        return [line.split()[0] for line in section.splitlines()]

    def test_man_page_agrees(self):
        with open(os.path.join(SOURCE, "data/man/warren.1")) as page:
            text = page.read().replace("\\-", "-")
        sections = dict(re.findall(r"(?ms)^\.SS (\S+)[^\n]*\n(.*?)(?=^\.S[SH] |\Z)", text))
        commands = self.commands()
        self.assertEqual(sorted(sections), sorted(c for c in commands if c != "help"))
        common = self.flags_in_help()
        for command, body in sections.items():
            described = set(re.findall(r"(?m)^\.BR? (--[a-z0-9-]+)", body))
            self.assertEqual(described, self.flags_in_help(command) - common, command)
        options = re.search(r"(?ms)^\.SH OPTIONS\n(.*?)^\.SH", text).group(1)
        self.assertEqual(set(re.findall(r"(?m)^\.BR? (--[a-z0-9-]+)", options)), common)

    def test_completion_agrees(self):
        script = os.path.join(SOURCE, "data/completion/warren.bash")

        def complete(*words):
            line = " ".join(words)
            shell = ('source "%s"; COMP_WORDS=(%s); COMP_CWORD=%d; COMP_LINE="%s"; '
                     'COMP_POINT=${#COMP_LINE}; _warren; printf "%%s\\n" "${COMPREPLY[@]}"'
                     % (script, " ".join('"%s"' % w for w in words), len(words) - 1, line))
            result = subprocess.run(["bash", "-c", shell], stdout=subprocess.PIPE, text=True,
                                    env=self.environment())
            return set(result.stdout.split())

        commands = set(self.commands())
        self.assertEqual(complete("warren", ""), commands)
        for command in commands - {"help"}:
            wanted = self.flags_in_help(command) | {"--help"}
            self.assertEqual({w.rstrip("=") for w in complete("warren", command, "--")}, wanted,
                             command)


if __name__ == "__main__":
    harness.main()
