#!/usr/bin/python3
"""The files that tie the daemon into the system: unit, bus policy, polkit actions."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

BUILD = os.environ["WARREN_BUILD"]
SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "data", "system")
PREFIX = "org.warrenvpn.Daemon1."
MAX_EXPOSURE = 2.5

# Action: (any, inactive, active), the table that the interface is written from.
ACTIONS = {
    "status": ("yes", "yes", "yes"),
    "connect": ("auth_admin_keep", "auth_admin_keep", "yes"),
    "exit-node": ("auth_admin_keep", "auth_admin_keep", "yes"),
    "profile": ("auth_admin_keep", "auth_admin_keep", "yes"),
    "profile-other": ("auth_admin", "auth_admin", "auth_admin_keep"),
    "files": ("auth_admin_keep", "no", "yes"),
    "settings": ("auth_admin_keep", "auth_admin_keep", "auth_admin_keep"),
    "serve": ("auth_admin", "auth_admin", "auth_admin_keep"),
    "dns-query": ("auth_admin_keep", "auth_admin_keep", "auth_admin_keep"),
    "debug": ("auth_admin_keep", "auth_admin_keep", "auth_admin_keep"),
}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


UNITS = ("warrend.service", "warren-coordinator.service")


def staged_root(folder):
    """A root with the units and a program where they expect it."""
    os.makedirs(folder + "/usr/lib/systemd/system")
    for name in UNITS:
        unit = os.path.join(BUILD, "data", "system", name)
        with open(unit, encoding="utf-8") as file:
            program = re.search(r"^ExecStart=(\S+)", file.read(), re.MULTILINE).group(1)
        os.makedirs(folder + os.path.dirname(program), exist_ok=True)
        shutil.copy("/bin/true", folder + program)
        shutil.copy(unit, folder + "/usr/lib/systemd/system/" + name)
    with open(folder + "/usr/lib/systemd/system/dbus.socket", "w", encoding="utf-8") as file:
        file.write("[Socket]\nListenStream=/run/dbus/system_bus_socket\n")
    with open(folder + "/usr/lib/systemd/system/dbus.service", "w", encoding="utf-8") as file:
        file.write("[Service]\nExecStart=" + program + "\n")
    for name in ("basic", "multi-user", "network-online", "network-pre", "shutdown", "sockets", "sysinit"):
        with open(folder + f"/usr/lib/systemd/system/{name}.target", "w", encoding="utf-8") as file:
            file.write(f"[Unit]\nDescription={name}\n")
    return folder


def units_are_valid(folder):
    for name in UNITS:
        result = run("systemd-analyze", "verify", f"--root={folder}", "--man=no", name)
        complaints = [line for line in result.stderr.split("\n") if name in line]
        assert not complaints, "\n".join(complaints)


def units_are_sandboxed(folder):
    for name in UNITS:
        result = run("systemd-analyze", "security", "--offline=true", f"--root={folder}", name)
        exposure = re.search(rf"exposure level for {name}: ([0-9.]+)", result.stdout)
        assert exposure, result.stdout + result.stderr
        assert float(exposure.group(1)) <= MAX_EXPOSURE, f"{name}: exposure {exposure.group(1)} > {MAX_EXPOSURE}"


def unit_has_two_capabilities(folder):
    with open(folder + "/usr/lib/systemd/system/warrend.service", encoding="utf-8") as file:
        text = file.read()
    for name in ("AmbientCapabilities", "CapabilityBoundingSet"):
        found = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
        assert found == ["CAP_NET_ADMIN CAP_NET_RAW"], found


def actions_are_as_designed(_folder):
    tree = ElementTree.parse(os.path.join(SOURCE, PREFIX + "policy"))
    found = {}
    for action in tree.getroot().iter("action"):
        defaults = action.find("defaults")
        found[action.get("id")] = tuple(defaults.find(f"allow_{who}").text for who in ("any", "inactive", "active"))
        assert action.find("message").text, action.get("id")
    assert found == {PREFIX + name: value for name, value in ACTIONS.items()}, found


def bus_policy_lets_only_us_own_the_name(_folder):
    tree = ElementTree.parse(os.path.join(SOURCE, PREFIX + "conf"))
    owners = {policy.get("user") for policy in tree.getroot().iter("policy")
              for allow in policy.iter("allow") if allow.get("own")}
    assert owners == {"warren", "root"}, owners


CHECKS = [units_are_valid, units_are_sandboxed, unit_has_two_capabilities, actions_are_as_designed,
          bus_policy_lets_only_us_own_the_name]


def main():
    if not shutil.which("systemd-analyze"):
        print("1..0 # SKIP needs systemd-analyze")
        sys.exit(77)
    print(f"1..{len(CHECKS)}")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        root = staged_root(folder)
        for number, check in enumerate(CHECKS, 1):
            name = check.__name__.replace("_", "-")
            try:
                check(root)
                print(f"ok {number} - {name}")
            except AssertionError as error:
                failed = True
                print(f"not ok {number} - {name}\n# " + str(error).replace("\n", "\n# "))
    sys.exit(1 if failed else 0)


main()
