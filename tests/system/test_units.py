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


def staged_root(folder):
    """A root with the unit and a program where the unit expects it."""
    unit = os.path.join(BUILD, "data", "system", "warrend.service")
    with open(unit, encoding="utf-8") as file:
        program = re.search(r"^ExecStart=(\S+)", file.read(), re.MULTILINE).group(1)
    os.makedirs(folder + os.path.dirname(program))
    shutil.copy("/bin/true", folder + program)
    os.makedirs(folder + "/usr/lib/systemd/system")
    shutil.copy(unit, folder + "/usr/lib/systemd/system/warrend.service")
    with open(folder + "/usr/lib/systemd/system/dbus.socket", "w", encoding="utf-8") as file:
        file.write("[Socket]\nListenStream=/run/dbus/system_bus_socket\n")
    with open(folder + "/usr/lib/systemd/system/dbus.service", "w", encoding="utf-8") as file:
        file.write("[Service]\nExecStart=" + program + "\n")
    for name in ("basic", "multi-user", "network-pre", "shutdown", "sockets", "sysinit"):
        with open(folder + f"/usr/lib/systemd/system/{name}.target", "w", encoding="utf-8") as file:
            file.write(f"[Unit]\nDescription={name}\n")
    return folder


def unit_is_valid(folder):
    result = run("systemd-analyze", "verify", f"--root={folder}", "--man=no", "warrend.service")
    complaints = [line for line in result.stderr.split("\n") if "warrend.service" in line]
    assert not complaints, "\n".join(complaints)


def unit_is_sandboxed(folder):
    result = run("systemd-analyze", "security", "--offline=true", f"--root={folder}", "warrend.service")
    exposure = re.search(r"exposure level for warrend.service: ([0-9.]+)", result.stdout)
    assert exposure, result.stdout + result.stderr
    assert float(exposure.group(1)) <= MAX_EXPOSURE, f"exposure {exposure.group(1)} > {MAX_EXPOSURE}"


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


CHECKS = [unit_is_valid, unit_is_sandboxed, unit_has_two_capabilities, actions_are_as_designed,
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
