#!/usr/bin/python3
"""The tree keeps its own rules: arrows between modules, layout of the code, sizes, names."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What each folder may include besides itself: the arrows of the design, pointing down only.
LEVELS = {
    "base": [],
    "wire": ["base"],
    "netmap": ["wire", "base"],
    "derp": ["wire", "base"],
    "filter": ["netmap", "derp", "wire", "base"],
    "wireguard": ["netmap", "derp", "wire", "base"],
    "path": ["netmap", "derp", "wire", "base"],
    "control": ["path", "wireguard", "filter", "netmap", "derp", "wire", "base", "host"],
    "tunnel": ["path", "wireguard", "filter", "netmap", "derp", "wire", "base"],
    "host": ["wire", "base"],
    "dns": ["path", "wireguard", "filter", "netmap", "derp", "wire", "base"],
    "services": ["path", "wireguard", "filter", "netmap", "derp", "wire", "base"],
    "coordinator": ["path", "derp", "netmap", "filter", "wire", "base"],
}
LEVELS["session"] = [name for name in LEVELS if name != "coordinator"]
LEVELS["api"] = LEVELS["session"] + ["session"]
GLIB_FREE = ["base", "wire", "netmap", "derp", "filter", "wireguard", "path", "tunnel"]
TOP_LEVEL = {
    "app", "daemon", "data", "po", "tests", "meson.build", "meson_options.txt", "README.md", "LICENSE",
    "CONTRIBUTING.md", "quickstart", ".clang-format", ".gitignore", ".ci",
}
MAX_LINES = 650
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
INCLUDE = re.compile(r'^#include "([a-z-]+)/', re.MULTILINE)
GLIB_INCLUDE = re.compile(r"^#include <(glib|gio)", re.MULTILINE)


def tracked(*suffixes):
    """Paths git knows below the top, or all files where there is no git."""
    try:
        out = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard"],
                             check=True, capture_output=True, text=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        out = [os.path.relpath(os.path.join(root, name), TOP)
               for root, _, names in os.walk(TOP) for name in names]
    return sorted(path for path in out if path and path.endswith(suffixes)
                  and os.path.isfile(os.path.join(TOP, path)))


def text(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def arrows():
    """A module includes only what stands below it."""
    for path in tracked(".c", ".h"):
        parts = path.split("/")
        if parts[0] != "daemon" or len(parts) < 3:
            continue
        allowed = LEVELS.get(parts[1], []) + [parts[1]]
        for target in INCLUDE.findall(text(path)):
            if target not in allowed:
                yield f"{path} includes {target}/, which {parts[1]} may not know"


def glib_free():
    """What runs in the packet threads knows no GLib."""
    for path in tracked(".c", ".h"):
        parts = path.split("/")
        if parts[0] == "daemon" and parts[1] in GLIB_FREE and GLIB_INCLUDE.search(text(path)):
            yield f"{path} includes GLib"


def layout():
    """Every C file is laid out by clang-format."""
    files = tracked(".c", ".h")
    if not shutil.which("clang-format"):
        return
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *files],
                         cwd=TOP, capture_output=True, text=True, check=False)
    for line in run.stderr.split("\n"):
        if ": error:" in line:
            yield line


def sizes():
    """Files stay short enough to be read at once."""
    for path in tracked(".c", ".h", ".py"):
        lines = text(path).count("\n")
        if lines > MAX_LINES:
            yield f"{path} has {lines} lines"


def finished():
    """No marks of unfinished work."""
    for path in tracked(".c", ".h", ".py", ".sh", ".ui", ".build", ".go"):
        if path == "tests/style/test_tree.py":
            continue
        for number, line in enumerate(text(path).split("\n"), 1):
            if UNFINISHED.search(line):
                yield f"{path}:{number}: {line.strip()}"


def top_level():
    """Nothing else grows at the top."""
    for name in sorted({path.split("/")[0] for path in tracked("")} - TOP_LEVEL):
        yield f"{name} does not belong at the top"


CHECKS = [arrows, glib_free, layout, sizes, finished, top_level]


def main():
    print(f"1..{len(CHECKS)}")
    failed = False
    for number, check in enumerate(CHECKS, 1):
        complaints = list(check())
        failed |= bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - {check.__name__}")
        for complaint in complaints[:40]:
            print(f"# {complaint}")
    sys.exit(1 if failed else 0)


main()
