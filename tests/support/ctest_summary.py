"""Reads CTest's JUnit file; prints the failed and the skipped tests and, as the last line, `N passed, M failed, K skipped`.

    ctest_summary.py RESULTS [AGAIN]     AGAIN: of a second run of what failed in the first, each test alone

A test that passes only when it runs alone (a deadline on a busy machine) counts as passed and is named; both outputs stand in the log.
Some CTest entries are one GoogleTest case, others a program with many: cases are counted wherever the output shows them. A test counts as
skipped when it said so itself (or is disabled); one that could not be started, timed out or crashed counts as failed.
Exit status: 0 when nothing failed and something ran, 1 otherwise.
"""
import re
import sys
import xml.etree.ElementTree as xml

CASE = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(?:, where .*)? \(\d+ ms\)$")
OUTCOMES = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}


def outcome(entry):
    if entry.get("status") == "run":
        return "passed"
    skipped = entry.find("skipped")
    if entry.get("status") == "disabled" or (skipped is not None and skipped.get("message", "").startswith("SKIP_")):
        return "skipped"
    return "failed"


def reason(lines):
    """Why a test was skipped: the line after GoogleTest's 'file:line: Skipped', or a script's 'skipped: reason'."""
    for line, following in zip(lines, lines[1:] + [""]):
        if re.search(r":\d+: Skipped$", line):
            return following.strip()
        if line.startswith("skipped:"):
            return line[len("skipped:"):].strip()
    return ""


def cases(entry):
    """(name, outcome, reason) of every case of one CTest entry."""
    lines = (entry.findtext("system-out") or "").splitlines()
    result = outcome(entry)
    found = []
    begin = 0
    for number, line in enumerate(lines):
        match = CASE.match(line)
        if match:
            state = OUTCOMES[match[1]]
            found.append((f"{entry.get('name')}: {match[2]}", state, reason(lines[begin:number]) if state == "skipped" else ""))
            begin = number
    if len(found) < 2:
        return [(entry.get("name"), result, reason(lines) if result == "skipped" else "")]
    if result == "failed" and not any(state == "failed" for _, state, _ in found):
        found.append((f"{entry.get('name')}: the program itself", "failed", ""))
    return found


def ends_of_output(entries, lines=40):
    for entry in entries:
        text = (entry.findtext("system-out") or "").rstrip().splitlines()
        print(f"---- {entry.get('name')}, the last lines of its output:", *text[-lines:], sep="\n")


def main(path, again=None):
    entries = list(xml.parse(path).getroot().iter("testcase"))
    repeated = {entry.get("name"): entry for entry in xml.parse(again).getroot().iter("testcase")} if again else {}
    unsteady = [name for name, entry in repeated.items() if outcome(entry) == "passed"]
    first_tries = [entry for entry in entries if entry.get("name") in unsteady]
    entries = [repeated.get(entry.get("name"), entry) for entry in entries]
    tests = {"passed": [], "failed": [], "skipped": []}
    reasons = {}
    for entry in entries:
        for name, state, why in cases(entry):
            tests[state].append(name)
            if state == "skipped":
                reasons.setdefault(why or "no reason given", []).append(name)
    if not entries:
        print("no test matches the selection")
    else:
        slowest = sorted(entries, key=lambda entry: -float(entry.get("time", 0)))[:5]
        print("slowest: " + ", ".join(f"{entry.get('name')} {float(entry.get('time', 0)):.1f} s" for entry in slowest))
    if tests["skipped"]:
        print(f"skipped here ({len(tests['skipped'])}):")
    for why, names in reasons.items():
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        print(f"  {why}: {', '.join(names[:2])}{more}")
    if unsteady:
        print(f"PASSED ONLY ALONE, after failing beside others ({len(unsteady)}):", *unsteady, sep="\n  ")
        ends_of_output(first_tries)
    if tests["failed"]:
        ends_of_output(entry for entry in entries if outcome(entry) == "failed")
        print(f"FAILED ({len(tests['failed'])}); the output stands above:", *tests["failed"], sep="\n  ")
    print(", ".join(f"{len(names)} {state}" for state, names in tests.items()))
    return 1 if tests["failed"] or not tests["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
