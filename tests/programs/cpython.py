"""Runs one of CPython's own test modules as `python3 -m test MODULE` does, and says of each of its tests how it ended.

Each line of the answer: a mark, the ending, the test, and for what did not pass the reason. The interpreter's exit
status is regrtest's. Given to the interpreter with -c: a file would be one that its tests come upon.
"""

import os
import sys
import unittest

from test.libregrtest.main import Regrtest
from test.support import testresult

# Nothing that leaves the machine, plays a sound, opens a window, or takes minutes or gigabytes.
RESOURCES = "all,-network,-urlfetch,-largefile,-gui,-audio,-cpu"
endings = []


def watch(name, ending):
    original = getattr(testresult.RegressionTestResult, name, None)

    def record(self, test, *rest):
        endings.append((ending, name_of(test), last_line(rest[-1]) if rest else ""))
        return original(self, test, *rest)

    setattr(testresult.RegressionTestResult, name, record)


def name_of(test):
    # The tests of one module have an attribute of that name.
    name = test.id() if callable(test.id) else unittest.TestCase.id(test)
    return str(name)


def last_line(reason):
    if isinstance(reason, tuple):
        reason = f"{reason[0].__name__}: {reason[1]}" if reason[0] else ""
    return " ".join(str(reason).split())[:300]


def watch_subtests():
    original = testresult.RegressionTestResult.addSubTest

    def record(self, test, subtest, error):
        if error is not None:
            endings.append(("failed", name_of(subtest), last_line(error)))
        return original(self, test, subtest, error)

    testresult.RegressionTestResult.addSubTest = record


def watch_all():
    for method, ending in [
        ("addSuccess", "passed"),
        ("addExpectedFailure", "passed"),
        ("addSkip", "skipped"),
        ("addFailure", "failed"),
        ("addError", "failed"),
        ("addUnexpectedSuccess", "failed"),
    ]:
        watch(method, ending)
    watch_subtests()


def tell():
    lines = (f"@@ {ending} {test}  {reason}".rstrip() for ending, test, reason in sorted(set(endings)))
    answer = "".join(f"\n{line}" for line in lines) + "\n"
    sys.__stdout__.flush()
    rest = answer.encode("utf-8", "replace")
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    owner = os.getpid()
    watch_all()
    sys.argv[1:1] = ["-u", RESOURCES]
    try:
        Regrtest().main()
    finally:
        if os.getpid() == owner:
            tell()
