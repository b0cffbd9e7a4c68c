#!/usr/bin/python3
"""Each fuzz target reached at least nine tenths of the lines of its parser, with its seeds and 20,000 executions.

Reads the profiles that the fuzz tests of the build left.

    coverage.py BUILD    a build with -Dfuzzers=true, -fprofile-instr-generate and -fcoverage-mapping
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WANTED = 90.0
PARSERS = {
    "command": ["wire/command.c", "coordinator/commands.c", "coordinator/command-policy.c"],
    "config": ["coordinator/config.c"],
    "derp-client": ["derp/client.c", "derp/login.c"],
    "derp-frame": ["derp/frame.c"],
    "disco": ["path/disco.c", "path/classify.c"],
    "filter-rules": ["netmap/filter-rule.c"],
    "h2": ["wire/h2.c"],
    "http1": ["wire/http1.c"],
    "ip-packet": ["base/ip-packet.c"],
    "json": ["wire/json-reader.c", "wire/json-stream.c", "wire/json-utf8.c"],
    "map": ["netmap/map-decode.c", "netmap/map-message.c"],
    "noise-record": ["wire/noise-record.c", "wire/noise.c"],
    "oidc": ["coordinator/jwt.c", "coordinator/oidc.c", "coordinator/oidc-provider.c"],
    "oidc-claims": ["coordinator/oidc-claims.c"],
    "portmap": ["path/portmap-wire.c"],
    "proxy": ["wire/proxy-layer.c", "wire/proxy.c"],
    "policy": ["coordinator/hujson.c", "coordinator/policy.c", "coordinator/policy-parser.c",
               "coordinator/policy-selector.c", "coordinator/policy-definitions.c", "coordinator/policy-rules.c",
               "coordinator/policy-compile.c", "coordinator/policy-ssh.c", "coordinator/policy-tests.c"],
    "records": ["coordinator/records.c"],
    "register": ["netmap/register.c"],
    "store": ["session/record.c", "session/profile.c"],
    "stun": ["path/stun.c"],
    "tunnel-split": ["tunnel/split.c", "tunnel/merge.c"],
    "web-socket": ["wire/web-socket.c"],
    "web": ["coordinator/web.c"],
    "wireguard-handshake": ["wireguard/handshake.c", "wireguard/cookie.c", "wireguard/device-messages.c"],
    "wireguard-transport": ["wireguard/messages.c"],
    "zstd-frames": ["wire/zstd-frames.c"],
}


def lines(build, target, folder):
    """Percentages of covered lines by source file in the last run of TARGET."""
    program = os.path.join(build, "tests", "fuzz", "fuzz-" + target)
    raw, merged = os.path.join(build, "tests", "fuzz", target + ".raw"), os.path.join(folder, target)
    subprocess.run(["llvm-profdata", "merge", "-o", merged, raw], check=True)
    text = subprocess.run(["llvm-cov", "export", "-summary-only", "-instr-profile", merged, program],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    return {os.path.abspath(os.path.join(build, entry["filename"])): entry["summary"]["lines"]["percent"]
            for entry in json.loads(text)["data"][0]["files"]}


def main(build):
    failed = False
    number = 0
    with tempfile.TemporaryDirectory(prefix="warren-coverage-") as folder:
        print(f"1..{sum(len(files) for files in PARSERS.values())}", flush=True)
        for target, files in PARSERS.items():
            covered = lines(build, target, folder)
            for file in files:
                percent = next(p for path, p in covered.items() if path.endswith("/daemon/" + file))
                number += 1
                bad = percent < WANTED
                failed |= bad
                print(f"{'not ok' if bad else 'ok'} {number} - {target} reaches {percent:.1f} % of {file}",
                      flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
