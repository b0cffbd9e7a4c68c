"""Results in the Test Anything Protocol, one block a statement:

    tap = Tap("about this file", timeout=300)
    with tap.test("a ping is answered"):
        assert node.ping(...)
    tap.finish()

A failing block is reported with what it raised and with what the `tap.evidence` functions return, and
the next block runs. The whole program is bounded by `timeout` seconds on a calm machine.
"""

import contextlib
import os
import signal
import sys
import time
import traceback


class Skip(Exception):
    """Raised inside a block that cannot be shown here."""


class Timeout(Exception):
    pass


def skip_all(reason):
    """Ends the program: nothing of it can be shown here. Exit code 77 (0 under meson, which reads TAP)."""
    print(f"1..0 # SKIP {reason}\nskipped: {reason}" if "MESON_TEST_ITERATION" not in os.environ
          else f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0 if "MESON_TEST_ITERATION" in os.environ else 77)


PATIENCE = 2  # how much longer than on a calm machine a program may take


class Tap:
    def __init__(self, title, timeout):
        self.count, self.failed, self.skipped = 0, 0, 0
        self.evidence = []  # functions that return lines of text
        self.started = time.monotonic()
        signal.signal(signal.SIGALRM, self._expired)
        signal.alarm(int(timeout * PATIENCE))
        self.note(title)

    def _expired(self, *_):
        raise Timeout("the test program took too long")

    def note(self, text):
        for line in str(text).splitlines():
            print(f"# {line}", flush=True)

    @contextlib.contextmanager
    def test(self, statement):
        """One statement. `.failed` of the yielded object tells later blocks whether it held."""
        self.count += 1
        number, begin = self.count, time.monotonic()
        verdict, more = "ok", ""
        try:
            yield
        except Skip as reason:
            more = f" # SKIP {reason}"
            self.skipped += 1
        except Exception as error:
            verdict = "not ok"
            self.failed += 1
            what = "".join(traceback.format_exception(error))
            self.note(what)
            print(f"{statement}: {what}", file=sys.stderr, flush=True)  # the part that Meson shows of a failed test
            if self.failed <= 3:  # later ones would bury the first
                for function in self.evidence:
                    self.note(function())
            if isinstance(error, Timeout):
                print(f"not ok {number} - {statement}\nBail out! {error}", flush=True)
                raise
        print(f"{verdict} {number} - {statement} ({time.monotonic() - begin:.1f} s){more}", flush=True)

    def finish(self):
        """Prints the plan and ends the program."""
        signal.alarm(0)
        print(f"1..{self.count}", flush=True)
        self.note(f"{self.count - self.failed - self.skipped} passed, {self.failed} failed, "
                  f"{self.skipped} skipped in {time.monotonic() - self.started:.0f} s")
        sys.exit(1 if self.failed else 0)
