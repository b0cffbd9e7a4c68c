"""A desktop without a screen: Xvfb, a session bus, xfce4-panel, pictures and their comparison."""
import os
import shutil
import subprocess
import time

import harness
from harness import SOURCE, wait_for

PANEL = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="%s"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
        <value type="int" value="2"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray"/>
  </property>
</channel>
"""


class Desktop:
    """Xvfb with a session bus; programs started by run() see both."""

    def __init__(self, test, size="1024x768", **more):
        self.test = test
        self.processes = test.processes
        self.size = size
        read_end, write_end = os.pipe()
        # Without -noreset it starts anew, and refuses who comes meanwhile, when a probe was its last client.
        self.processes.start(["Xvfb", "-displayfd", str(write_end), "-screen", "0", size + "x24",
                              "-nolisten", "tcp", "-noreset"], pass_fds=[write_end],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write_end)
        number = b""
        while not number.endswith(b"\n"):
            part = os.read(read_end, 16)
            assert part, "no display"
            number += part
        os.close(read_end)
        self.display = ":" + number.decode().strip()
        self.session = harness.Bus(self.processes, test.directory, "session")
        self.icons = os.path.join(test.directory, "data", "icons")
        install_icons(self.icons)
        install_schema(test.directory)
        gtk = os.path.join(test.directory, "config", "gtk-4.0")
        os.makedirs(gtk, exist_ok=True)
        with open(os.path.join(gtk, "settings.ini"), "w") as out:
            out.write("[Settings]\ngtk-font-name=Cantarell 11\ngtk-enable-animations=0\n"
                      "gtk-cursor-blink=0\n")
        self.env = test.environment(
            DISPLAY=self.display, DBUS_SESSION_BUS_ADDRESS=self.session.address,
            XDG_SESSION_TYPE="x11", XDG_CURRENT_DESKTOP="XFCE", GDK_BACKEND="x11",
            GSK_RENDERER="cairo", GTK_A11Y="none", NO_AT_BRIDGE="1", GTK_THEME="",
            GSETTINGS_SCHEMA_DIR=os.path.join(test.directory, "schemas"), **more)
        del self.env["GTK_THEME"]

    def run(self, argv, **more):
        env = dict(self.env)
        quiet = {} if os.environ.get("WARREN_UI_VERBOSE") else {"stderr": subprocess.DEVNULL}
        env.update({k: v for k, v in more.items() if k.isupper()})
        return self.processes.start(argv, env=env, **quiet)

    def panel(self, dark=False):
        config = os.path.join(self.test.directory, "config", "xfce4", "xfconf",
                              "xfce-perchannel-xml")
        os.makedirs(config, exist_ok=True)
        with open(os.path.join(config, "xfce4-panel.xml"), "w") as out:
            out.write(PANEL % ("true" if dark else "false"))
        for path in ("/usr/lib/x86_64-linux-gnu/xfce4/xfconf/xfconfd",
                     "/usr/lib/xfce4/xfconf/xfconfd"):
            if os.path.exists(path):
                self.run([path])
        process = self.run(["xfce4-panel", "--disable-wm-check"])
        assert wait_for(lambda: self.owns("org.kde.StatusNotifierWatcher")), "no panel"
        return process

    def window_manager(self):
        """openbox, every window as large as the screen and without decoration."""
        path = os.path.join(self.test.directory, "openbox.xml")
        with open(path, "w") as out:
            out.write('<openbox_config xmlns="http://openbox.org/3.4/rc"><applications>'
                      '<application type="normal"><decor>no</decor><maximized>yes</maximized>'
                      "</application></applications></openbox_config>")
        self.run(["openbox", "--config-file", path])
        assert wait_for(lambda: "window id" in subprocess.run(
            ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"], env=self.env, stdout=subprocess.PIPE,
            text=True).stdout), "no window manager"

    def accessibility(self):
        """The accessibility bus, as a desktop session has it."""
        for path in ("/usr/libexec/at-spi-bus-launcher", "/usr/lib/at-spi2-core/at-spi-bus-launcher"):
            if os.path.exists(path):
                self.run([path, "--launch-immediately"])
        assert wait_for(lambda: self.owns("org.a11y.Bus")), "no accessibility bus"
        for name in ("GTK_A11Y", "NO_AT_BRIDGE"):
            self.env.pop(name, None)

    def stable_picture(self, name, timeout=30, colours=150):
        """A picture of the screen once it has stopped changing and shows more than a frame."""
        end = time.monotonic() + timeout
        seen = []
        while time.monotonic() < end:
            path = self.picture(name)
            seen.append(subprocess.run(["identify", "-format", "%# %k", path], check=True,
                                       stdout=subprocess.PIPE, text=True).stdout.split())
            if seen[-3:] == 3 * seen[-1:] and int(seen[-1][1]) > colours:
                break
            time.sleep(0.3)
        return path

    def looks_like(self, name, crop=None, timeout=30):
        """Waits until the screen is like the reference of this name; with WARREN_UI_ACCEPT it
        becomes the reference once it has stopped changing."""
        if os.environ.get("WARREN_UI_ACCEPT"):
            self.stable_picture(name, timeout, 16 if crop else 150)
            return same_picture(self.picture(name, crop), name)
        return wait_for(lambda: same_picture(self.picture(name, crop), name), timeout, 0.3)

    def owns(self, name):
        return "true" in self.session.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "NameHasOwner", name)

    def picture(self, name, crop=None):
        """A picture of the screen, or of WxH+X+Y of it, among the results."""
        path = os.path.join(results(), name + ".png")
        subprocess.run(["import", "-display", self.display, "-window", "root"]
                       + (["-crop", crop, "+repage"] if crop else []) + [path], check=True,
                       env=self.env)
        return path

    def xdotool(self, *words):
        return subprocess.run(["xdotool"] + [str(w) for w in words], env=self.env, check=True,
                              stdout=subprocess.PIPE, text=True).stdout


def results():
    path = os.environ.get("WARREN_UI_PICTURES", os.path.join(harness.BUILD, "ui-pictures"))
    os.makedirs(path, exist_ok=True)
    return path


def install_icons(directory):
    """The icons of the source tree as a theme would have them installed."""
    source = os.path.join(SOURCE, "data", "icons")
    for name in os.listdir(source):
        kind = "symbolic" if name.endswith("-symbolic.svg") else "scalable"
        if name.endswith(".svg"):
            folder = os.path.join(directory, "hicolor", kind, "apps")
            os.makedirs(folder, exist_ok=True)
            shutil.copy(os.path.join(source, name), folder)
    index = "/usr/share/icons/hicolor/index.theme"
    if os.path.exists(index):
        shutil.copy(index, os.path.join(directory, "hicolor"))


def install_schema(directory):
    target = os.path.join(directory, "schemas")
    os.makedirs(target, exist_ok=True)
    shutil.copy(os.path.join(SOURCE, "data", "desktop",
                             "org.warrenvpn.Warren.gschema.xml"), target)
    subprocess.run(["glib-compile-schemas", "--strict", target], check=True)


def same_picture(path, name, tolerance=0.01):
    """Whether the picture is like tests/ui/reference/NAME.png: at most TOLERANCE of the pixels
    differ by more than a tenth of the colour range. With WARREN_UI_ACCEPT it becomes that."""
    reference = os.path.join(SOURCE, "tests", "ui", "reference", name + ".png")
    if os.environ.get("WARREN_UI_ACCEPT"):
        os.makedirs(os.path.dirname(reference), exist_ok=True)
        subprocess.run(["convert", path, "-strip", "-define", "png:compression-level=9",
                        reference], check=True)
        return True
    if not os.path.exists(reference):
        return False
    result = subprocess.run(["compare", "-metric", "AE", "-fuzz", "10%", path, reference,
                             path[:-4] + "-difference.png"],
                            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if result.returncode > 1:
        return False
    size = subprocess.run(["identify", "-format", "%w %h", reference], stdout=subprocess.PIPE,
                          text=True, check=True).stdout.split()
    return float(result.stderr.split()[0]) <= tolerance * int(size[0]) * int(size[1])


def settle(seconds=0.4):
    """Time for a toolkit to draw what a message of the bus changed."""
    time.sleep(seconds)
