#!/usr/bin/python3
"""A node and wireguard-go on a plain UDP link: handshakes and rekeys in both roles, and traffic.

wireguard-go is in the map as a peer that speaks nothing but WireGuard.
"""

import os
import socket
import subprocess

from lab import Lab, Tailnet, Tap, key_pair, wait_for
from nodes import chosen_pairs, make_node
from pace import Pace
from traffic import Stream, transfer

PORT = 51820
REKEY_S = 120


class WireGuardGo:
    """wireguard-go in a namespace; has of a node what the traffic helpers need."""

    ip4, ip6 = "100.80.0.1", "fd7a:115c:a1e0::8001"

    def __init__(self, tailnet, host):
        self.tailnet, self.host = tailnet, host
        self.name = f"wr{os.getpid() % 100000}"
        self.private, self.public = key_pair()
        self.log_path, self.process, self.kind = os.path.join(tailnet.dir, "wireguard-go.log"), None, "wireguard-go"
        tailnet.nodes.append(self)

    def start(self, peer_key, peer_addresses, endpoint=None):
        with open(self.log_path, "a") as log:
            self.process = self.host.popen([os.path.join(self.tailnet.bin, "wireguard-go"), "-f", self.name],
                                           env=dict(os.environ, LOG_LEVEL="verbose", WG_PROCESS_FOREGROUND="1"),
                                           stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: os.path.exists(self.socket_path), 5, "wireguard-go listens")
        lines = ["set=1", f"private_key={self.private}", f"listen_port={PORT}", f"public_key={peer_key}"]
        lines += [f"allowed_ip={address}" for address in peer_addresses]
        if endpoint:
            lines.append(f"endpoint={endpoint}")
        reply = self.command(lines)
        assert "errno=0" in reply, reply
        self.host.ip_batch(f"link set {self.name} mtu 1280 up", f"address add {self.ip4}/32 dev {self.name}",
                           f"address add {self.ip6}/128 dev {self.name} nodad",
                           f"route add 100.64.0.0/10 dev {self.name}", f"route add fd7a:115c:a1e0::/48 dev {self.name}")

    @property
    def socket_path(self):
        return f"/var/run/wireguard/{self.name}.sock"

    def command(self, lines):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.socket_path)
            s.sendall(("\n".join(lines) + "\n\n").encode())
            reply = b""
            while b"errno=" not in reply:
                reply += s.recv(65536)
        return reply.decode()

    def handshakes(self):
        """The time of the last handshake, by wireguard-go's clock."""
        for line in self.command(["get=1"]).splitlines():
            if line.startswith("last_handshake_time_sec="):
                return int(line.split("=")[1])
        return 0

    def address(self, family):
        return self.ip6 if family == 6 else self.ip4

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def abandon(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if os.path.exists(self.socket_path):
            os.unlink(self.socket_path)

    def icmp(self, address):
        self.host.run("ping", "-q", "-n", "-c3", "-i0.2", "-W3", address)


def main():
    kind = chosen_pairs(("warren/wireguard-go",))[0][0]
    tap = Tap(f"{kind} and wireguard-go", timeout=400)
    with Lab() as lab, Tailnet(lab) as tailnet:
        tap.evidence = [tailnet.evidence]
        node = make_node(kind, tailnet, lab.host("a"), "alpha", port=41641).start()
        node.up()
        plain = WireGuardGo(tailnet, lab.host("b"))
        key = tailnet.control.node("alpha")["Key"].removeprefix("nodekey:")
        addresses = [f"{node.ip4}/32", f"{node.ip6}/128"]
        prefixes = [f"{plain.ip4}/32", f"{plain.ip6}/128"]
        tailnet.control("peer", Peer={
            "ID": 7001, "StableID": "plain", "Name": "plain.lab.test.", "User": 123, "Key": f"nodekey:{plain.public}",
            "Addresses": prefixes, "AllowedIPs": prefixes, "Endpoints": [f"{plain.host.ip4}:{PORT}"], "Online": True,
            "IsWireGuardOnly": True, "MachineAuthorized": True, "Hostinfo": {"OS": "linux", "Hostname": "plain"},
        })
        wait_for(lambda: any(p["HostName"] == "plain" for p in (node.status().get("Peer") or {}).values()), 10,
                 "the plain peer is in the map")
        with tap.test("the node begins: handshake, echoes of both families"):
            plain.start(key, addresses)
            node.icmp(plain.ip4)
            node.icmp(plain.ip6)
            plain.icmp(node.ip4)
        with tap.test("100 MB each way, checksums equal"):
            rates = transfer(node, plain, 100), transfer(plain, node, 100, family=6)
            tap.note(f"{rates[0]:.0f} and {rates[1]:.0f} Mbit/s")
        with tap.test("wireguard-go begins after a restart: handshake, echoes, 20 MB"):
            plain.stop()
            plain.start(key, addresses, endpoint=f"{node.host.ip4}:41641")
            plain.icmp(node.ip4)
            node.icmp(plain.ip6)
            transfer(node, plain, 20)
        with tap.test("traffic over a rekey loses no byte and does not stall"), Pace() as pace:
            before = plain.handshakes()
            stream = Stream(node, plain, seconds=REKEY_S + 20, mbit=2)
            stream.finish()
            tap.note(f"longest stall {stream.stall():.2f} s")
            assert stream.stall() < pace.allowance(1) and plain.handshakes() > before, (stream.stall(), before)
        with tap.test("the node restarted, echoes come back"):
            node.stop()
            node.start()
            node.wait_running()
            wait_for(lambda: node.icmp(plain.ip4, count=1, check=False), 20, "echoes come back")
    tap.finish()


main()
