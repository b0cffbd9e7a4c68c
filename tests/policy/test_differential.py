#!/usr/bin/python3
"""The coordinator's policy compiler against the plain reference, on random policies and node sets.

    test_differential.py PROGRAM [--cases N] [--seed FIRST]

Every case has a seed of its own; one that differs is printed and replays with --cases 1 --seed SEED. Compared are
what every node gets, or where the faults are, or which tests inside the file fail. Open in the document, and so put
into one order on both sides: the order of SrcIPs that come from "*".
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import generate  # noqa: E402
import ipset  # noqa: E402
import oracle  # noqa: E402


def run(program, verb, folder):
    return subprocess.run([program, "policy", verb, "--policy", f"{folder}/policy", "--nodes", f"{folder}/nodes"],
                          capture_output=True, text=True, timeout=120, check=False)


def places(stderr, folder):
    """{(line, column, path)} of the errors that a program printed."""
    out = set()
    for line in stderr.splitlines():
        if not line.startswith(folder + "/policy:") or ": warning: " in line:
            continue
        row, column, rest = line[len(folder) + 8:].split(":", 2)
        out.add((int(row), int(column), rest.strip()))
    return out


def place_in(place, wanted):
    """The texts are the program's own: a place agrees when line, column and path do."""
    return any(place[:2] == w[:2] and place[2].startswith(w[2]) for w in wanted)


def same_places(found, wanted):
    return len(found) == len(set(wanted)) and all(place_in(place, wanted) for place in found)


def good_places(found, wanted):
    """The first fault is told, and nothing that is none. Faults that follow from it need not be told (open)."""
    first = min(wanted)
    return all(place_in(place, wanted) for place in found) and any(place_in(place, [first]) for place in found)


def normal(result):
    for node in result.values():
        for rule in node["packetFilter"]:
            if set(ipset.TAILNET_TEXTS) <= set(rule["SrcIPs"]):
                rule["SrcIPs"].sort()
    return result


def compare(program, seed):
    """None, or what differs. An accident counts as a difference, so that its seed is told."""
    try:
        return compare_case(program, seed)
    except Exception:
        return traceback.format_exc()


def compare_case(program, seed):
    text, document, _ = generate.Maker(seed).case()
    verdict, wanted = oracle.judge(text, document)
    with tempfile.TemporaryDirectory(prefix="warren-policy-") as folder:
        with open(f"{folder}/policy", "w", encoding="utf-8") as file:
            file.write(text)
        with open(f"{folder}/nodes", "w", encoding="utf-8") as file:
            json.dump(document, file)
        preview, check = run(program, "preview", folder), None
        if verdict in ("ok", "tests"):
            check = run(program, "check", folder)
    if preview.returncode not in (0, 1):
        return f"exit code {preview.returncode}: {preview.stderr[-500:]}"
    if verdict in ("syntax", "refused"):
        if preview.returncode != 1 or preview.stdout:
            return f"accepted, but {verdict}: {wanted}"
        found = places(preview.stderr, folder)
        if verdict == "refused" and not good_places(found, wanted):
            return f"faults at {sorted(found)}, wanted {sorted(wanted)}"
        return None
    if preview.returncode != 0:
        return f"refused: {preview.stderr}"
    found = normal(json.loads(preview.stdout))
    wanted_preview = normal(wanted if verdict == "ok" else oracle.preview(text, document))
    for name, node in wanted_preview.items():
        for part, value in node.items():
            if found.get(name, {}).get(part) != value:
                return f"{name} {part}:\n  found  {json.dumps(found.get(name, {}).get(part))}\n  wanted {json.dumps(value)}"
    failures = wanted if verdict == "tests" else []
    if (check.returncode == 0) != (not failures) or not same_places(places(check.stderr, folder), failures):
        return f"tests fail at {sorted(places(check.stderr, folder))}, wanted {sorted(failures)}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.cases)
    differing = []
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        for seed, result in zip(seeds, pool.map(compare, [options.program] * len(seeds), seeds, chunksize=10)):
            if result:
                differing.append((seed, result))
    print("1..1")
    for seed, result in differing[:10]:
        print(f"seed {seed}: {result}", file=sys.stderr)
    print(f"{'not ok' if differing else 'ok'} 1 - /policy/the-reference-agrees-on-{len(seeds)}-policies"
          + (f" # {len(differing)} differ" if differing else ""))
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
