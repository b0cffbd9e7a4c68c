#!/usr/bin/python3
"""Manual pages, --help, the example of a configuration and completion of the daemon's side name the same things."""
import os
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


def example_keys(path):
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r"^#?([a-z0-9-]+) = ", file.read(), re.MULTILINE))


def page_keys(path):
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r"^\.T[PQ]\n\.B ([a-z0-9-]+)$", file.read().replace("\\-", "-"), re.MULTILINE))


def command_words(program):
    """The first and second words of every command."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=20, check=True).stdout
    rows = re.findall(r"^  ([a-z][a-z ]*[a-z])(?: .*)?\n      ", text.split("Commands:", 1)[1], re.MULTILINE)
    return {word for row in rows for word in row.split()}


def configuration(data, program):
    """(what, complaint or "") for each of the other checks."""
    keys, page = example_keys(f"{data}/system/coordinator.conf"), page_keys(f"{data}/man/warren-coordinator.conf.5")
    yield "warren-coordinator.conf.5 agrees with the example", sorted(keys ^ page)
    words = command_words(program)
    for name in ("warren-coordinator.bash", "_warren-coordinator", "warren-coordinator.fish"):
        with open(f"{data}/completion/{name}", encoding="utf-8") as file:
            known = set(re.findall(r"[a-z][a-z-]*", file.read()))
        yield f"{name} knows every command", sorted(words - known)


def main():
    program, data = sys.argv[-2], os.path.dirname(os.path.dirname(sys.argv[-1]))
    others = list(configuration(data, program))
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2]))
    print(f"1..{len(pairs) + len(others)}")
    failed = False
    for number, (program, manual) in enumerate(pairs, 1):
        said, written = help_options(program), manual_options(manual)
        bad = said != written
        failed |= bad
        print(f"{'not ok' if bad else 'ok'} {number} - {manual.rsplit('/', 1)[-1]} agrees with --help")
        if bad:
            print(f"# only in --help: {sorted(said - written)}; only in the manual: {sorted(written - said)}")
    for number, (what, complaint) in enumerate(others, len(pairs) + 1):
        failed |= bool(complaint)
        print(f"{'not ok' if complaint else 'ok'} {number} - {what}" + (f"\n# {complaint}" if complaint else ""))
    sys.exit(failed)


main()
