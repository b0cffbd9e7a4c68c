"""Traffic through the tunnel, measured: transfers with checksums, a paced stream in both directions, and
a sniffer for what should not be seen. All sockets belong to the hosts' namespaces, all threads to us."""

import hashlib
import random
import select
import socket
import struct
import threading
import time
from collections import namedtuple

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def connect(client, server, family=4, timeout=30, address=None, port=0):
    """A TCP connection from one namespace to an address of the other: both ends."""
    listener = server.socket(FAMILY[family], socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    listener.settimeout(timeout)
    near = client.socket(FAMILY[family], socket.SOCK_STREAM)
    near.settimeout(timeout)
    try:
        near.connect((address, listener.getsockname()[1]))
        far, _ = listener.accept()
    except OSError:
        near.close()
        raise
    finally:
        listener.close()
    return near, far


def connects(a, b, port, family=4, timeout=1):
    """Whether node a reaches a TCP port of node b (that is open there) at the first attempt; see reaches."""
    try:
        near, far = connect(a.host, b.host, family, timeout, b.address(family), port)
    except OSError:
        return False
    near.close()
    far.close()
    return True


def is_shut(a, b, port):
    """Whether a TCP port of node b is closed to node a, not only slow to answer."""
    return not connects(a, b, port, timeout=3)


def reaches(a, b, port, family=4):
    """The same, with the patience that a busy machine needs."""
    return connects(a, b, port, family, timeout=30)


def transfer(sender, receiver, megabytes, family=4, seed=1, timeout=60):
    """Sends bytes from one node to another through the tunnel; checks the checksum; Mbit/s."""
    near, far = connect(sender.host, receiver.host, family, address=receiver.address(family))
    near.settimeout(timeout)
    far.settimeout(timeout)
    block = random.Random(seed).randbytes(1 << 20)
    sent, errors = hashlib.sha256(), []

    def send():
        try:
            for n in range(megabytes):
                piece = struct.pack("!Q", n) + block[8:]
                sent.update(piece)
                near.sendall(piece)
            near.shutdown(socket.SHUT_WR)
        except OSError as error:
            errors.append(error)

    begin = time.monotonic()
    thread = threading.Thread(target=send)
    thread.start()
    received, count = hashlib.sha256(), 0
    buffer = bytearray(1 << 20)
    try:
        while n := far.recv_into(buffer):
            received.update(memoryview(buffer)[:n])
            count += n
    finally:
        near.close() if errors else None
        thread.join(timeout)
        near.close()
        far.close()
    assert not errors, errors
    assert count == megabytes << 20, f"{count} of {megabytes << 20} bytes arrived"
    assert received.digest() == sent.digest(), "the bytes that arrived are not the ones that were sent"
    return count * 8 / 1e6 / (time.monotonic() - begin)


class Stream:
    """One TCP connection that carries seeded bytes at a steady rate both ways.

        stream = Stream(a, b, seconds=60); …; stream.finish(); stream.stall(15, 35)
    """

    TICK = 0.02

    def __init__(self, a, b, seconds, mbit=10, family=4, seed=7):
        self.seconds, self.piece = seconds, int(mbit * 1e6 / 8 * self.TICK)
        self.ends = connect(a.host, b.host, family, address=b.address(family))
        self.arrivals = [[], []]  # per end: (seconds since the start, bytes)
        self.errors = []
        self.sent, self.received = [0, 0], [0, 0]
        self.begin = time.monotonic()
        self.threads = []
        for end, s in enumerate(self.ends):
            s.settimeout(60)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.threads += [threading.Thread(target=self._send, args=(end, s, seed + end)),
                             threading.Thread(target=self._receive, args=(end, s, seed + 1 - end))]
        for thread in self.threads:
            thread.start()

    def now(self):
        return time.monotonic() - self.begin

    def wait_until(self, second):
        time.sleep(max(0, second - self.now()))

    def _send(self, end, s, seed):
        source = random.Random(seed)
        try:
            while self.now() < self.seconds and not self.errors:
                begin = time.monotonic()
                s.sendall(source.randbytes(self.piece))
                self.sent[end] += self.piece
                time.sleep(max(0, self.TICK - (time.monotonic() - begin)))
            s.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.errors.append(f"end {end} sending at {self.now():.1f} s: {error}")

    def _receive(self, end, s, seed):
        source, expected = random.Random(seed), b""
        try:
            while data := s.recv(65536):
                self.arrivals[end].append((self.now(), len(data)))
                while len(expected) < len(data):
                    expected += source.randbytes(self.piece)
                if expected[:len(data)] != data:
                    self.errors.append(f"end {end}: wrong bytes after {self.received[end]}")
                    return
                expected = expected[len(data):]
                self.received[end] += len(data)
        except OSError as error:
            self.errors.append(f"end {end} receiving at {self.now():.1f} s: {error}")

    def finish(self):
        """Waits for the end and checks that every byte arrived, in order, at both ends."""
        for thread in self.threads:
            thread.join(self.seconds + 90)
        for s in self.ends:
            s.close()
        assert not self.errors, self.errors
        assert self.received == self.sent[::-1], f"sent {self.sent}, received {self.received}"

    def stall(self, since=0.0, until=None):
        """The longest time without a byte at either end, of silences that began in the span."""
        worst = 0.0
        for arrivals in self.arrivals:
            times = [0.0] + [at for at, _ in arrivals]
            for before, after in zip(times, times[1:]):
                if since <= before < (until if until is not None else self.seconds):
                    worst = max(worst, after - before)
        return worst


class Datagrams:
    """Numbered datagrams both ways between two nodes at a steady rate; what does not arrive is counted.

        traffic = Datagrams(a, b); …; traffic.finish(); traffic.lost(); traffic.gap()
    """

    def __init__(self, a, b, rate=50, family=4):
        self.pause = 1 / rate
        self.sockets = []
        for node in (a, b):
            s = node.host.socket(FAMILY[family], socket.SOCK_DGRAM)
            s.bind((node.address(family), 0))
            s.settimeout(0.2)
            self.sockets.append(s)
        self.sent, self.arrivals = [0, 0], [{}, {}]  # per end: number -> when it arrived
        self.errors = []
        self.running, self.reading = True, True
        self.begin = time.monotonic()
        self.threads = [threading.Thread(target=work, args=(end,))
                        for end in (0, 1) for work in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def now(self):
        return time.monotonic() - self.begin

    def _send(self, end):
        to = self.sockets[1 - end].getsockname()
        while self.running:
            try:
                self.sockets[end].sendto(struct.pack("!Q", self.sent[end]), to)
            except OSError as error:  # not sent is not arrived
                self.errors.append((end, self.sent[end], str(error)))
            self.sent[end] += 1
            time.sleep(max(0, self.begin + self.sent[end] * self.pause - time.monotonic()))

    def _receive(self, end):
        while self.reading:
            try:
                data, _ = self.sockets[end].recvfrom(64)
            except OSError:
                continue
            self.arrivals[end].setdefault(struct.unpack("!Q", data)[0], self.now())

    def fresh(self, end, since):
        """Whether something that was sent later than `since` (seconds since the start) arrived at an end."""
        return any(number * self.pause > since for number in list(self.arrivals[end]))

    def finish(self):
        """Ends the sending and waits for what is under way."""
        self.running = False
        time.sleep(1)
        self.reading = False
        for thread in self.threads:
            thread.join()
        for s in self.sockets:
            s.close()

    def lost(self):
        """What did not arrive: (which end missed it, seconds since the start when it was sent)."""
        return [(end, round(number * self.pause, 2)) for end in (0, 1) for number in range(self.sent[1 - end])
                if number not in self.arrivals[end]]

    def gap(self, since=0.0):
        """The longest time without an arrival at either end, of silences that end after `since`."""
        times = [sorted(arrivals.values()) for arrivals in self.arrivals]
        return max((after - before for each in times for before, after in zip([0.0] + each, each + [self.now() - 1])
                    if after >= since), default=self.now())


def seen_address(client, server, family=4, timeout=30):
    """Which source address a server of the internet sees of the client; OSError when nothing gets there."""
    near, far = connect(client, server, family, timeout, address=server.ip6 if family == 6 else server.ip4)
    try:
        return far.getpeername()[0]
    finally:
        near.close()
        far.close()


Packet = namedtuple("Packet", "time protocol source destination source_port destination_port length")


def of_host(host):
    """For a Sniffer: whether a packet comes from or goes to the host."""
    return lambda packet: bool({host.ip4, host.ip6} & {packet.source, packet.destination})


class Sniffer:
    """Keeps what passes an interface of a namespace and satisfies `wanted`."""

    def __init__(self, namespace, interface, wanted=lambda packet: True):
        self.packets, self.wanted = [], wanted
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.socket.bind((interface, 0))
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self):
        while not self.stopping.is_set():
            if not select.select([self.socket], [], [], 0.1)[0]:
                continue
            try:
                packet = parse(self.socket.recv(65536))
            except OSError:
                continue  # the interface went down
            if packet and self.wanted(packet):
                self.packets.append(packet)

    def stop(self):
        time.sleep(0.2)
        self.stopping.set()
        self.thread.join()
        self.socket.close()
        return self.packets


def parse(frame):
    """An Ethernet frame's IP packet, None for anything else."""
    kind, data = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and len(data) >= 20:
        head, protocol = (data[0] & 15) * 4, data[9]
        source, destination = socket.inet_ntop(socket.AF_INET, data[12:16]), socket.inet_ntop(socket.AF_INET, data[16:20])
    elif kind == b"\x86\xdd" and len(data) >= 40:
        head, protocol = 40, data[6]
        source, destination = socket.inet_ntop(socket.AF_INET6, data[8:24]), socket.inet_ntop(socket.AF_INET6, data[24:40])
    else:
        return None
    ports = (0, 0)
    if protocol in (6, 17) and len(data) >= head + 4:
        ports = struct.unpack("!HH", data[head:head + 4])
    return Packet(time.monotonic(), protocol, source, destination, *ports, len(data))
