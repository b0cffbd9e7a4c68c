#!/usr/bin/python3
"""Manual pages and --help of the daemon's side name the same options."""
import re
import subprocess
import sys

OPTION = re.compile(r"--[a-z][a-z-]+")


def manual_options(path):
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")
    section = text.split(".SH OPTIONS", 1)[1].split(".SH", 1)[0]
    return {option for line in re.findall(r"\.TP\n(.*)", section) for option in OPTION.findall(line)}


def help_options(program):
    result = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=20, check=True)
    return set(OPTION.findall(result.stdout)) - {"--help-all"}


def main():
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2]))
    print(f"1..{len(pairs)}")
    failed = False
    for number, (program, manual) in enumerate(pairs, 1):
        said, written = help_options(program), manual_options(manual)
        bad = said != written
        failed |= bad
        print(f"{'not ok' if bad else 'ok'} {number} - {manual.rsplit('/', 1)[-1]} agrees with --help")
        if bad:
            print(f"# only in --help: {sorted(said - written)}; only in the manual: {sorted(written - said)}")
    sys.exit(failed)


main()
