#!/usr/bin/python3
"""The private network in the window: its pictures, and a walk from the first run over every page of
it, against a network that is only made up (spec/desktop.md §7.1, §8.5, §10.4)."""
import harness
from desktop import settle
from harness import wait_for
from walker import NARROW, Walker, WindowTest

DARK = dict(ADW_DEBUG_COLOR_SCHEME="prefer-dark")


class NetworkTest(WindowTest):
    look = ""  # what the names of the pictures end with

    def open(self, kind="running", scenario="connected", **more):
        self.mock.Scenario(scenario)
        self.mock.Network(kind)
        if kind == "running":
            self.mock.Waiting("Pixel")
        self.start(**more)
        self.desktop.stable_picture("network-start")

    def manage(self, **more):
        self.open(**more)
        for _ in range(6):
            self.keys("ctrl+shift+n")
            if self.desktop.looks_like("network-devices" + self.look, timeout=5):
                return
        self.fail("network-devices" + self.look)

    def page(self, name):
        """By its tab: the names are those of every language, so places tell."""
        wide = {"devices": 290, "invite": 380, "policy": 500, "settings": 620}
        narrow = {"devices": 50, "invite": 140, "policy": 225, "settings": 320}
        self.click(*((wide[name], 26) if self.size == "880x640" else (narrow[name], 608)))
        self.desktop.stable_picture("network-page")

    def fault_in_policy(self):
        self.page("policy")
        self.click(self.desktop_width() // 2, 300)
        self.keys("ctrl+Home", *["Down"] * 9, "End", "Return")
        self.desktop.xdotool("type", '{"action": "drop"}')
        self.keys("ctrl+Home")
        self.check("network-policy" + self.look)

    def keys(self, *names):
        self.desktop.xdotool("key", *names)
        settle(0.6)

    def click(self, x, y):
        self.desktop.xdotool("mousemove", x, y, "click", 1)
        settle(0.6)

    def desktop_width(self):
        return int(self.size.split("x")[0])


class WideNetworkPictures(NetworkTest):
    def test_new_network_is_offered_and_says_what_is_wrong(self):
        self.open("supported", "empty")
        self.check("network-first-run")
        self.click(440, 405)
        self.click(440, 545)
        self.desktop.stable_picture("network-create")
        self.desktop.xdotool("type", "my home")
        self.check("network-create-wrong")

    def test_every_page(self):
        self.open()
        self.check("network-row")
        self.keys("ctrl+shift+n")
        self.check("network-devices")
        self.click(440, 590)
        self.check("network-device")
        self.keys("alt+Left")
        self.check("network-devices")
        self.page("invite")
        self.click(440, 380)
        self.check("network-invite")
        self.page("settings")
        self.check("network-settings")
        self.fault_in_policy()

    def test_dark(self):
        self.look = "-dark"
        self.manage(**DARK)
        self.fault_in_policy()

    def test_stopped(self):
        self.open("stopped")
        self.keys("ctrl+shift+n")
        self.check("network-stopped")

    def test_in_german(self):
        self.look = "-german"
        self.manage(**self.german())
        self.page("invite")
        self.check("network-invite-german")


class NarrowNetworkPictures(NetworkTest):
    size = NARROW
    look = "-narrow"

    def test_every_page(self):
        self.manage()
        self.page("invite")
        self.check("network-invite-narrow")
        self.page("settings")
        self.check("network-settings-narrow")
        self.fault_in_policy()


class NetworkWalk(Walker):
    def test_from_the_first_run_to_the_end(self):
        self.listen()
        self.mock.Network("supported")
        self.show("empty")
        self.create()
        self.approve()
        self.node()
        self.remove_and_undo()
        self.invite()
        self.policy()
        self.settings()
        self.stop_and_start()
        self.refused()
        self.delete()
        self.assertIsNone(self.app.poll())

    def text_of(self, row, text):
        """Types TEXT into the entry row named ROW, in place of what it holds, and applies it."""
        entry = wait_for(lambda: [n for n in self.all() if n.get_role_name() in ("text", "entry")
                                  and row in self.label_of(n)])
        self.assertTrue(entry, "no entry %s in %s" % (row, self.names()))
        entry[0].get_editable_text_iface().set_text_contents(text)
        settle(0.4)
        return entry[0]

    def type_into(self, row, text):
        """As a person would: only what is typed offers to be applied."""
        self.click_on("text", row)
        self.desktop.xdotool("key", "ctrl+a")
        self.desktop.xdotool("type", text)
        settle(0.3)
        self.desktop.xdotool("key", "Return")

    def label_of(self, node):
        """The name of an entry of a row: its own, or that of the row around it."""
        names = []
        for _ in range(4):
            try:
                names.append(node.get_name() or "")
                node = node.get_parent()
            except self.errors:
                break
            if node is None:
                break
        return " ".join(names)

    def create(self):
        self.hidden = ("WarrenMainPage", "WarrenLoginPage", "WarrenNetworkPage")
        self.eventually("label", "Welcome to Warren")
        self.assert_names("first run")
        self.focus()
        self.click_on("check box", "New Private Network")
        self.press("Continue")
        self.eventually("label", "New Private Network")
        self.assert_names("new network")
        self.text_of("Name of the Network", "two words")
        self.says("A name has only letters, digits and hyphens.")
        self.text_of("Name of the Network", "burrow")
        self.text_of("Name of This Device", "desk")
        self.press("Create Network")
        self.called("Manager.CreateNetwork")
        self.called('"Name": "burrow"')
        self.called("Network.CreateKey")
        self.called('CreateSession "http')
        self.hidden = ("WarrenWelcomePage", "WarrenLoginPage", "WarrenNetworkPage")
        self.eventually(None, "Connected")
        self.eventually(None, "My Private Network")

    def approve(self):
        self.mock.Network("running")
        self.mock.Waiting("Pixel")
        self.mock.Waiting("Stranger")
        self.says("2 devices wait for approval")
        self.desktop.xdotool("key", "ctrl+shift+n")
        self.hidden = ("WarrenMainPage", "WarrenWelcomePage", "WarrenLoginPage",
                       "WarrenCreateNetworkPage")
        self.says("5f3a 91c0 7d2e b864")
        self.assert_names("devices of the network")
        self.press("Approve Pixel")
        self.called('["nodes", "approve"')
        self.eventually(None, "pixel")
        self.press("Deny Stranger")
        self.called('["nodes", "deny"')
        self.assertTrue(wait_for(lambda: not self.find(None, "Stranger")), self.names())

    def search(self, text):
        self.desktop.xdotool("key", "ctrl+f", "ctrl+a", "BackSpace")
        settle(0.3)
        if text:
            self.desktop.xdotool("type", text)
            settle(0.8)
            self.desktop.xdotool("key", "Return")

    def node(self):
        self.search("router")
        self.eventually("label", "router")
        self.assert_names("device of the network")
        self.press("192.168.1.0/24")
        self.called('["routes", "approve", "5", "0.0.0.0/0", "::/0", "192.168.1.0/24"]')
        self.press("Exit Node")
        self.called('["routes", "approve", "5", "192.168.1.0/24"]')
        self.type_into("Name", "gateway")
        self.called('["nodes", "rename", "5", "gateway"]')
        self.eventually("label", "gateway")
        self.press("End Its Sign-In…")
        self.press("End Sign-In")
        self.called('["nodes", "expire", "5"]')
        self.says("Its sign-in has expired")

    def remove_and_undo(self):
        self.press("Remove Device")
        undo = wait_for(lambda: self.find("push button", "Undo( Undo)?"))
        self.assertTrue(undo.get_action_iface().do_action(0))
        self.search("")
        self.eventually(None, "gateway")
        self.assertFalse([c for c in self.mock.calls() if '["nodes", "remove"' in c])
        self.search("old-tablet")
        self.eventually("label", "old-tablet")
        self.press("Remove Device")
        self.says("old-tablet removed")
        self.assertTrue(wait_for(lambda: [c for c in self.mock.calls()
                                          if '["nodes", "remove", "6"]' in c]))

    def invite(self):
        self.press("Invite")
        self.assert_names("invite")
        self.press("For Several Devices")
        self.press("Create Invitation")
        self.called('["keys", "create", "--json", "--expires=1d", "--reusable"]')
        self.says("warren://join?server=http%3A%2F%2F192.168.1.5%3A8080&key=hskey-auth-")
        self.press("Revoke k7Qd2")
        self.called('["keys", "revoke", "k7Qd2"]')

    def policy(self):
        self.press("Policy")
        editor = wait_for(lambda: self.find(None, "Policy of the network"))
        self.assertIsNotNone(editor, self.names())
        self.says("In force")
        text = editor.get_text_iface()
        self.assertIn("group:family", text.get_text(0, text.get_character_count()))
        editor.get_editable_text_iface().set_text_contents('{"acls": [\n{"action": "drop"}\n]}\n')
        self.says('Line 2: "drop" is not an action')
        self.says("1 fault")
        apply_button = [n for n in self.all() if n.get_name() == "Apply"][0]
        self.assertFalse(apply_button.get_state_set().contains(self.states.SENSITIVE))
        editor.get_editable_text_iface().set_text_contents('{"acls": [\n{"action": "accept"}\n]}\n')
        self.says("No faults, not yet applied")
        self.press("Apply")
        self.called('["policy", "set"]')
        self.says("In force")

    def settings(self):
        self.press("Settings")
        self.assert_names("settings of the network")
        self.type_into("Add a User", "bert")
        self.called('["users", "create", "bert"]')
        self.eventually(None, "bert")
        self.press("Names for Devices")
        self.called('["dns", "magic", "off"]')

    def stop_and_start(self):
        self.press("Devices")
        self.press("Network Runs")
        self.called("Network.Stop")
        self.says("Network Is Stopped")
        self.press("Start Network")
        self.called("Network.Start")
        self.search("")
        self.eventually(None, "gateway|desk")

    def refused(self):
        self.mock.FailNext("RunCommand", "NotAuthorized", "not authorized")
        self.mock.Waiting("Late")
        self.says("You may not do that.")
        self.press("Try Again")
        self.eventually(None, "Approve Late")

    def delete(self):
        self.press("Settings")
        self.press("Delete Network…")
        self.press("Delete")
        self.called("Network.Delete")
        self.hidden = ()
        self.eventually(None, "Connected")


if __name__ == "__main__":
    harness.main()
