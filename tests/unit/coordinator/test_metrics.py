#!/usr/bin/python3
"""Health and metrics of a running server, read as Prometheus reads them."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "natlab"))

from tap import Tap  # noqa: E402  (found through the line above)

PROGRAM = sys.argv[1]
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="[^"\\]*",?)+)\})? (-?[0-9.e+-]+|\+Inf|NaN)$')
# What the official relay calls the same.
RELAY = {"derp_accepts", "derp_gauge_current_connections", "derp_gauge_clients_total", "derp_packets_received",
         "derp_packets_sent", "derp_bytes_received", "derp_bytes_sent", "derp_packets_dropped",
         "derp_sclient_write_timeouts"}
SERVER = {"warren_nodes", "warren_nodes_online", "warren_users", "warren_pending_nodes", "warren_map_streams",
          "warren_connections", "warren_queued_bytes", "warren_records_total", "warren_map_messages_total",
          "warren_commit_seconds", "process_resident_memory_bytes"}


def ports(n):
    probes = [socket.socket() for _ in range(n)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


def parse(text):
    """name -> {labels: value}, by the rules of the text format."""
    kinds, helps, samples = {}, set(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
            continue
        if line.startswith("# HELP "):
            helps.add(line.split(" ")[2])
            continue
        found = SAMPLE.match(line)
        assert found, line
        name = found.group(1)
        family = re.sub(r"_(bucket|sum|count)$", "", name) if re.sub(r"_(bucket|sum|count)$", "", name) in kinds else name
        assert family in kinds and family in helps, line
        assert found.group(2) not in samples.setdefault(name, {}), line
        samples[name][found.group(2)] = float(found.group(3))
    return kinds, samples


def main():
    tap = Tap("health and metrics", timeout=60)
    folder = tempfile.mkdtemp(prefix="warren-metrics-")
    control, relay, metrics = ports(3)
    base = f"http://127.0.0.1:{metrics}"
    command = [PROGRAM, "serve", "--data-dir", folder, "--url", f"http://127.0.0.1:{control}",
               "--listen", f"127.0.0.1:{control}", "--relay-url", f"https://127.0.0.1:{relay}",
               "--relay-listen", f"127.0.0.1:{relay}", "--stun-port", "0", "--metrics", f"127.0.0.1:{metrics}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def read(path):
        with urllib.request.urlopen(base + path, timeout=5) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    def run(*words):
        return subprocess.run([PROGRAM, "--data-dir", folder, *words], capture_output=True, text=True, timeout=10,
                              check=True).stdout

    try:
        end = time.monotonic() + 5
        while True:
            try:
                read("/health")
                break
            except OSError:
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.05)
        with tap.test("a server that works is healthy, here and at its own address"):
            assert read("/health") == ("application/json", '{"status":"pass"}')
            with urllib.request.urlopen(f"http://127.0.0.1:{control}/health", timeout=5) as answer:
                assert b"pass" in answer.read()
        with tap.test("metrics are well-formed, and all are there"):
            kind, text = read("/metrics")
            assert kind.startswith("text/plain; version=0.0.4")
            kinds, _ = parse(text)
            assert RELAY | SERVER <= set(kinds), (RELAY | SERVER) - set(kinds)
        with tap.test("they follow what happens"):
            before = parse(read("/metrics")[1])[1]
            for i in range(20):
                run("users", "create", f"user{i}")
            time.sleep(1.2)
            after = parse(read("/metrics")[1])[1]
            assert after["warren_users"][None] == before["warren_users"][None] + 20
            assert after["warren_records_total"][None] >= before["warren_records_total"][None] + 20
            assert after["warren_commit_seconds_count"][None] >= before["warren_commit_seconds_count"][None] + 20
        with tap.test("the histogram is cumulative and ends at its count"):
            samples = parse(read("/metrics")[1])[1]
            counts = list(samples["warren_commit_seconds_bucket"].values())
            assert counts == sorted(counts) and counts[-1] == samples["warren_commit_seconds_count"][None]
        with tap.test("connections to the relay are counted"):
            before = parse(read("/metrics")[1])[1]["derp_accepts"][None]
            for _ in range(3):
                socket.create_connection(("127.0.0.1", relay)).close()
            time.sleep(0.3)
            assert parse(read("/metrics")[1])[1]["derp_accepts"][None] == before + 3
        with tap.test("anything else is not found, and nonsense hurts nobody"):
            for path in ("/", "/metricsx", "/healthz"):
                try:
                    read(path)
                    raise AssertionError(path)
                except urllib.error.HTTPError as error:
                    assert error.code == 404
            for bad in (b"", b"\0" * 5000, b"POST /metrics HTTP/1.1\r\n\r\n", b"GET"):
                with socket.create_connection(("127.0.0.1", metrics), timeout=5) as peer, suppress(OSError):
                    peer.sendall(bad)
                    peer.shutdown(socket.SHUT_WR)
                    peer.recv(4096)
            assert read("/health")[1] == '{"status":"pass"}'
        with tap.test("it stops cleanly"):
            process.terminate()
            assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)
    tap.finish()


main()
