#!/usr/bin/python3
"""targets.py BUILD SUITE…: the files that must be built before the tests of these suites can run, one a line."""
import json
import os
import subprocess
import sys


def introspect(folder, what):
    done = subprocess.run(["meson", "introspect", what, folder], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    folder, suites = os.path.abspath(sys.argv[1]), set(sys.argv[2:])
    files = {target["id"]: target["filename"] for target in introspect(folder, "--targets")}
    wanted = {name for test in introspect(folder, "--tests")
              if suites & {suite.split(":")[-1] for suite in test["suite"]} for name in test["depends"]}
    print("\n".join(sorted({os.path.relpath(path, folder) for name in wanted for path in files[name]})))


main()
