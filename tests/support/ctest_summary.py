"""Reads CTest's JUnit file; prints the failed and the skipped tests and, as the last line, `N passed, M failed, K skipped`.

A test counts as skipped when it said so itself (or is disabled); one that could not be started counts as failed.
Exit status: 0 when nothing failed and something ran, 1 otherwise.
"""
import re
import sys
import xml.etree.ElementTree as xml


def outcome(case):
    if case.get("status") == "run":
        return "passed"
    skipped = case.find("skipped")
    if case.get("status") == "disabled" or (skipped is not None and skipped.get("message", "").startswith("SKIP_")):
        return "skipped"
    return "failed"


def reason(case):
    """The line in which a GoogleTest case or a script says why it was skipped."""
    lines = (case.findtext("system-out") or "").splitlines()
    for number, line in enumerate(lines):
        if re.search(r": Skipped$", line) and number + 1 < len(lines):
            return lines[number + 1].strip()
        if line.startswith("skipped:"):
            return line[len("skipped:"):].strip()
    return ""


def main(path):
    tests = {"passed": [], "failed": [], "skipped": []}
    for case in xml.parse(path).getroot().iter("testcase"):
        tests[outcome(case)].append(case)
    if not any(tests.values()):
        print("no test matches the selection")
    slowest = sorted(tests["passed"] + tests["failed"], key=lambda case: -float(case.get("time", 0)))[:5]
    if slowest:
        print("slowest: " + ", ".join(f"{case.get('name')} {float(case.get('time', 0)):.1f} s" for case in slowest))
    if tests["skipped"]:
        print(f"skipped here ({len(tests['skipped'])}):")
        for case in tests["skipped"]:
            why = reason(case)
            print(f"  {case.get('name')}" + (f": {why}" if why else ""))
    if tests["failed"]:
        print(f"FAILED ({len(tests['failed'])}); the output stands above:")
        for case in tests["failed"]:
            print(f"  {case.get('name')}")
    print(", ".join(f"{len(cases)} {name}" for name, cases in tests.items()))
    return 1 if tests["failed"] or not tests["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
