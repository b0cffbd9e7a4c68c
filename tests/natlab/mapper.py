"""A router's mapping service for the NAT laboratory: NAT-PMP and PCP, with nft rules for what it grants.

    mapper = Mapper(host)                    the host's first router lets ports in for it
    mapper = Mapper(host, protocols="pcp")
    mapper.granted                           {external port: (inside address, inside port)}
"""

import socket
import struct
import threading
import time

PORT = 5351
MAPPED = bytes(10) + b"\xff\xff"


class Mapper:
    def __init__(self, host, protocols="pmp,pcp"):
        self.router, self.protocols = host.routers[0], protocols.split(",")
        self.inside, self.outside = host.ip4, host.outside4
        self.granted, self.started = {}, time.monotonic() - 100
        self.router.nft("table ip wrmap { map ports { type inet_service : ipv4_addr . inet_service; }\n"
                        "chain pre { type nat hook prerouting priority -110; iifname \"wan\" meta l4proto udp "
                        "dnat ip to udp dport map @ports\n }\n}\n")
        self.socket = self.router.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.inside.rsplit(".", 1)[0] + ".1", PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                request, client = self.socket.recvfrom(1100)
            except OSError:
                return
            answer = self._pmp(request, client[0]) if request[:1] == b"\0" else self._pcp(request, client[0])
            if answer:
                self.socket.sendto(answer, client)

    def _epoch(self):
        return int(time.monotonic() - self.started)

    def _grant(self, client, internal, external, lifetime):
        taken = [port for port, owner in self.granted.items() if owner == (client, internal)]
        if lifetime == 0:
            for port in taken:
                del self.granted[port]
                self.router.nft(f"delete element ip wrmap ports {{ {port} }}\n")
            return 0
        if taken:
            return taken[0]
        while external < 1024 or external in self.granted:
            external = 20000 + len(self.granted)
        self.granted[external] = (client, internal)
        self.router.nft(f"add element ip wrmap ports {{ {external} : {client} . {internal} }}\n")
        return external

    def _pmp(self, request, client):
        if "pmp" not in self.protocols:
            return None
        if len(request) == 2 and request[1] == 0:
            return struct.pack("!BBHI", 0, 0x80, 0, self._epoch()) + socket.inet_aton(self.outside)
        if len(request) != 12 or request[1] != 1:
            return None
        internal, external, lifetime = struct.unpack("!HHI", request[4:])
        external = self._grant(client, internal, external, lifetime)
        return struct.pack("!BBHIHHI", 0, 0x81, 0, self._epoch(), internal, external, lifetime)

    def _pcp(self, request, client):
        if "pcp" not in self.protocols or len(request) < 24 or request[0] != 2:
            return None
        lifetime = struct.unpack("!I", request[4:8])[0]
        head = struct.pack("!BBBBII", 2, 0x80 | request[1], 0, 0, lifetime, self._epoch()) + bytes(12)
        if request[1] == 0:
            return head
        if len(request) != 60 or request[1] != 1 or request[20:24] != socket.inet_aton(client):
            return None
        internal, external = struct.unpack("!HH", request[40:44])
        external = self._grant(client, internal, external, lifetime)
        return head + request[24:40] + struct.pack("!HH", internal, external) + MAPPED + socket.inet_aton(self.outside)

    def close(self):
        self.socket.close()
