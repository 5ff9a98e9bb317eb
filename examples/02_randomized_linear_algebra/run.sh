#!/usr/bin/env bash
# Builds the example with the build folder that is there (PANTHER_BUILD, else build/release) and runs it on the digits.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${PANTHER_BUILD:-$root/build/release}
if [[ ! -e $build/build.ninja ]]; then
  "$root/deploy/build.sh" release example_digits
else
  "$root/.venv/bin/cmake" --build "$build" --target example_digits >/dev/null
fi
exec "$build/bin/example_digits" "$here/digits.csv"
