#!/usr/bin/env bash
# example_test.sh PROGRAM EXAMPLE_FOLDER: what examples/02_randomized_linear_algebra prints is what its README promises, line by line.
set -euo pipefail
diff <("$1" "$2/digits.csv") "$2/expected.txt"
# The README shows the same text.
python3 - "$2" <<'CHECK'
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
assert (folder / "expected.txt").read_text() in (folder / "README.md").read_text(), "README.md shows another output than expected.txt"
CHECK
