"""A window under test: its pictures, and a walk through it by the accessibility bus and the keyboard."""
import os
import re
import subprocess

import harness
from desktop import Desktop, settle
from harness import wait_for

harness.need("Xvfb", "openbox", "xdotool", "xprop", "import", "compare", "convert", "identify",
             "dbus-daemon", "gdbus",
             modules=["import gi; gi.require_version('Atspi', '2.0'); "
                      "from gi.repository import Atspi"])
APP = harness.program("window/warren-app")

WIDE, NARROW = "880x640", "368x640"
FRAME = 5  # the pixels that the frame takes on each side

CLICKABLE = ("page tab", "push button", "button", "toggle button", "check box", "switch", "list item")


# Widgets that are surely not shown before and after the first run: walking them takes its time.
AT_FIRST = ("WarrenMainPage", "WarrenNetworkPage", "WarrenCreateNetworkPage")
LATER = ("WarrenWelcomePage", "WarrenLoginPage", "WarrenNetworkPage", "WarrenCreateNetworkPage")


class WindowTest(harness.UserTest):
    size = WIDE
    accessible = False

    def setUp(self):
        super().setUp()
        self.desktop = Desktop(self, self.size)
        self.desktop.window_manager()
        if self.accessible:
            self.desktop.accessibility()

    def start(self, **more):
        self.app = self.desktop.run([APP], **more)
        return self.app

    def show(self, scenario, **more):
        self.mock.Scenario(scenario)
        self.start(**more)

    def german(self):
        """What a program needs to speak German: a locale of its own and the catalogue as built."""
        catalogue = os.path.join(harness.BUILD, "po", "de", "LC_MESSAGES", "warren.mo")
        folder = os.path.join(self.directory, "locale")
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(catalogue) or not os.path.exists("/usr/share/i18n/locales/de_DE"):
            self.skipTest("needs the built translation and the package locales")
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8",
                        os.path.join(folder, "de_DE.UTF-8")], check=True)
        return dict(LOCPATH=folder, LC_ALL="de_DE.UTF-8", LANGUAGE="de",
                    WARREN_LOCALE_DIR=os.path.join(harness.BUILD, "po"))

    def check(self, name):
        """Waits until the screen is like the picture of this name."""
        same = self.desktop.looks_like(name)
        self.assertIsNone(self.app.poll(), "the window is gone")
        self.assertTrue(same, name)


class Walker(WindowTest):
    """One accessibility bus for one process: all steps in one test."""
    accessible = True
    hidden = ()  # widgets that are not walked into: pages that are surely not shown

    def find(self, role=None, name=None, root=None):
        """The first object with role name and name (a regular expression), or None."""
        stack = [root or self.frame()]
        while stack:
            node = stack.pop()
            try:
                if node is None or (self.hidden and node.get_name() in self.hidden):
                    continue
                if ((role is None or node.get_role_name() == role)
                        and (name is None or re.fullmatch(name, node.get_name() or ""))):
                    return node
                stack.extend(node.get_child_at_index(i)
                             for i in reversed(range(node.get_child_count())))
            except self.errors:
                continue
        return None

    def frame(self):
        root = self.atspi.get_desktop(0)
        for i in range(root.get_child_count()):
            try:
                child = root.get_child_at_index(i)
                if child is not None and child.get_name() in ("warren-app", "Warren"):
                    return child
            except self.errors:
                continue
        return None

    def eventually(self, role, name):
        found = wait_for(lambda: self.find(role, name), interval=0.1)
        self.assertIsNotNone(found, "no %s named %s; there is: %s" % (role, name, self.names()))
        return found

    def names(self):
        found = set()
        for node in self.all():
            try:
                found.add("%s:%s" % (node.get_role_name(), node.get_name()))
            except self.errors:
                continue
        return sorted(n for n in found if not n.endswith(":"))

    def all(self):
        stack, found = [self.frame()], []
        while stack:
            node = stack.pop()
            if node is None:
                continue
            try:
                if self.hidden and node.get_name() in self.hidden:
                    continue
                found.append(node)
                stack.extend(node.get_child_at_index(i) for i in range(node.get_child_count()))
            except self.errors:
                continue
        return found

    def assert_names(self, page):
        """No control that takes the focus is without a name."""
        for node in self.all():
            try:
                states = node.get_state_set()
                role = node.get_role_name()
                if (states.contains(self.states.FOCUSABLE) and states.contains(self.states.VISIBLE)
                        and role in CLICKABLE[:-1] + ("entry", "text", "password text")):
                    # GTK names by type what has no name; the pencil of an entry row is one of its own
                    named = not re.match("(Gtk|Adw|Warren)", node.get_name() or "Gtk")
                    self.assertTrue(named or node.get_name() == "GtkImage" or self.labelled(node),
                                    "%s: %s without a name" % (page, role))
            except self.errors:
                continue

    @staticmethod
    def labelled(node):
        return any(r.get_relation_type().value_nick == "labelled-by"
                   for r in node.get_relation_set())

    def called(self, text):
        self.assertTrue(wait_for(lambda: [c for c in self.mock.calls() if text in c]),
                        "%s not in %s" % (text, self.mock.calls()))

    def name_of(self, node):
        """"" for what has gone away meanwhile."""
        try:
            return node.get_name() or ""
        except self.errors:
            return ""

    def shown(self, text):
        return [n for n in self.all() if text in self.name_of(n)]

    def says(self, text, seconds=30):
        """Waits until something on the screen contains TEXT."""
        self.assertTrue(wait_for(lambda: self.shown(text), seconds, 0.1),
                        "%s not in %s" % (text, self.names()))

    def listen(self):
        """Connects to the accessibility bus of the desktop."""
        os.environ.update(DISPLAY=self.desktop.display,
                          DBUS_SESSION_BUS_ADDRESS=self.desktop.session.address)
        import gi
        gi.require_version("Atspi", "2.0")
        from gi.repository import Atspi, GLib
        self.atspi, self.errors, self.states = Atspi, (GLib.Error, TypeError), Atspi.StateType
        Atspi.init()

    def press(self, name):
        """Clicks the button, check button or switch with this name."""
        names = (name, "_%s %s" % (name, name))  # a mnemonic is said, too
        found = wait_for(lambda: [n for n in self.all() if self.name_of(n) in names
                                  and n.get_role_name() in CLICKABLE
                                  and n.get_action_iface().get_n_actions()
                                  and n.get_state_set().contains(self.states.SENSITIVE)])
        self.assertTrue(found, "nothing to click: %s in %s" % (name, self.names()))
        # View switchers and dialogs have a set for each width; the hidden one does nothing.
        twice = found[0].get_role_name() == "page tab" or found[0].get_name().startswith("_")
        for node in found if twice else found[:1]:
            try:
                self.assertTrue(node.get_action_iface().do_action(0), name)
            except self.errors:  # the first one has closed the dialog
                continue
        settle(0.4)

    def press_and_read(self, name, text):
        """Presses until something says TEXT: what is said in passing may have gone before it was read."""
        for _ in range(4):
            self.press(name)
            if wait_for(lambda: self.shown(text), 10, 0.1):
                return
        self.fail("%s not in %s" % (text, self.names()))

    def click(self, x, y):
        self.desktop.xdotool("mousemove", x, y, "click", 1)
        settle(0.5)

    def click_on(self, role, name):
        """Clicks into the middle of what has this role and name and is on the screen: check
        buttons have no action in this version of GTK, and only what is typed can be applied."""
        def place():
            for node in self.all():
                try:
                    if node.get_role_name() == role and re.fullmatch(name, node.get_name() or ""):
                        box = node.get_component_iface().get_extents(self.atspi.CoordType.WINDOW)
                        if box.width > 0 and box.height > 0:
                            return box.x + box.width // 2 + FRAME, box.y + box.height // 2 + FRAME
                except self.errors:
                    continue
            return None
        last, now = None, wait_for(place, interval=0.2)
        self.assertIsNotNone(now, "no %s %s in %s" % (role, name, self.names()))
        while now != last:  # it may still be on its way
            settle(0.3)
            last, now = now, place() or now
        self.click(*now)

    def focus(self):
        found = self.desktop.xdotool("search", "--onlyvisible", "--class", "warren").split()
        self.desktop.xdotool("windowactivate", "--sync", found[-1])
