#!/usr/bin/python3
"""Counts the results of one Meson test run, subtest by subtest.

Prints "PASS N" once, and a line "FAIL name" or "SKIP name: reason" for each test that did not pass."""
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


def main():
    total = 0
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            passed, failed, skipped = tally(json.loads(line))
            total += passed
            for title in failed:
                print("FAIL", title)
            for title in skipped:
                print("SKIP", title)
    print("PASS", total)


main()
