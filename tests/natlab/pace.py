"""How fast this machine is at the moment, for statements that name a time.

    with Pace() as pace:
        …
        assert stall <= pace.allowance(8)

A process of its own computes a little ten times a second and compares the time that this took with the time of the
processor that it got: 1.0 where nothing else wants the processors.
"""

import subprocess
import sys
import time

CALM = 1.25  # up to here a figure is demanded as it was named
PIECE_S, PAUSE_S = 0.004, 0.1


class Pace:
    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.slowness = None
        return self

    def __exit__(self, *_):
        if self.slowness is None:
            self.slowness = float(self.process.communicate(timeout=60)[0] or 1)

    def allowance(self, limit):
        """The limit on a calm machine, on a busy one as much more as it was slower; ends the measuring."""
        self.__exit__()
        return limit if self.slowness <= CALM else limit * self.slowness * 2


def main():
    """Measures until standard input is closed."""
    import select  # pylint: disable=import-outside-toplevel
    wall = processor = 0.0
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        began, got = time.monotonic(), time.process_time()
        while time.process_time() - got < PIECE_S:
            pass
        wall += time.monotonic() - began
        processor += time.process_time() - got
    print(wall / processor if processor else 1.0)


if __name__ == "__main__":
    main()
