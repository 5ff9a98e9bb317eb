"""check.py ROOT RULE...: prints every breach as path:line: sentence. Exits 1 when there is one."""
import sys

import rules
from sources import CPP, files


def main(root, names):
    if not files(root, CPP):
        print(f"{root}: no C++ files; give the root of the repository")
        return 2
    breaches = [breach for name in names for breach in rules.RULES[name](root)]
    for path, line, sentence in breaches:
        print(f"{path}:{line}: {sentence}")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:] or list(rules.RULES)))
