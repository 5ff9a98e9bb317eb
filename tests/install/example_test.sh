#!/usr/bin/env bash
# example_test.sh <build folder> <cmake> <torch folder>: builds examples/06_your_own_model out of tree against an installation and runs it on
# two ranks; the loss must have fallen and the checkpoint must verify.
set -euo pipefail
build=$1
cmake=$2
torch=$3
example=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../examples/06_your_own_model" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/panther" >"$work/log" || { cat "$work/log"; exit 1; }
"$cmake" -G Ninja -S "$example" -B "$work/own" -DCMAKE_PREFIX_PATH="$work/panther" -DPANTHER_TORCH_ROOT="$torch" -DCMAKE_BUILD_TYPE=Release \
  >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$cmake" --build "$work/own" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

line=$(cd "$work" && OMP_NUM_THREADS=1 "$work/panther/bin/panther" launch --nproc 2 -- "$work/own/your_own_model" "$work/run" | tail -n 1)
echo "$line"
[[ $line =~ ^2\ ranks\ over\ tcp:\ loss\ ([0-9.]+)\ after\ 200\ steps ]] || { echo "not the line that was expected"; exit 1; }
awk -v loss="${BASH_REMATCH[1]}" 'BEGIN { exit !(loss < 0.5) }' || { echo "the loss did not fall"; exit 1; }
"$work/panther/bin/panther" inspect "$work/run" | tail -n 8
