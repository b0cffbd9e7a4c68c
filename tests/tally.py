#!/usr/bin/python3
"""Counts the results of one Meson test run, subtest by subtest.

Prints "PASS N" once, and a line "FAIL name" or "SKIP name: reason" for each test that did not pass. What a failed test
said, of which Meson shows nothing when it is TAP, goes to standard error."""
import json
import re
import sys

TAP_LINE = re.compile(r"^\s*(not ok|ok)\b\s*\d*\s*-?\s*(.*?)(?:\s*#\s*(SKIP|TO-?DO)\b\s*(.*))?$", re.IGNORECASE)


def tally(test):
    """The (passed, failed names, skipped names) of one Meson test."""
    name = test["name"].split(" / ")[-1]
    passed, failed, skipped = 0, [], []
    for line in (test.get("stdout") or "").splitlines():
        match = TAP_LINE.match(line)
        if not match:
            continue
        verdict, title, directive, reason = match.groups()
        if directive:
            skipped.append(f"{name} {title}: {reason}".strip())
        elif verdict == "ok":
            passed += 1
        else:
            failed.append(f"{name} {title}".strip())
    if test["result"] in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS"):
        failed = failed or [f"{name}: {test['result'].lower()}"]
    elif test["result"] == "SKIP":
        found = re.search(r"skip\w*:? *(needs.*)", test.get("stdout") or "", re.IGNORECASE)
        skipped = skipped or [f"{name}: {found.group(1) if found else 'skipped'}"]
    elif passed == 0 and not skipped:
        passed = 1
    return passed, failed, skipped


def evidence(test):
    """The end of a failed test's output, from a little before the first statement that did not hold."""
    lines = (test.get("stdout") or "").splitlines()
    first = next((n for n, line in enumerate(lines) if line.lstrip().startswith(("not ok", "Bail out"))), len(lines))
    return [f"---- {test['name']}", *lines[max(0, first - 120):first + 20], "----"]


def main():
    total = 0
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            passed, failed, skipped = tally(test)
            if failed:
                print("\n".join(evidence(test)), file=sys.stderr)
            total += passed
            for title in failed:
                print("FAIL", title)
            for title in skipped:
                print("SKIP", title)
    print("PASS", total)


main()
