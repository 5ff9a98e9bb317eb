#!/bin/bash
# python_check.sh PYTHON SCRIPT PROGRAM FILTER: the program writes files ($PANTHER_TEST_OUTPUT), the script judges them. 77 = skipped.
set -euo pipefail
python=$1 script=$2 program=$3 filter=$4
if [ ! -x "$python" ]; then
  echo "SKIPPED: no Python at $python (run deploy/bootstrap.sh, or set PANTHER_PYTHON)"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PANTHER_TEST_OUTPUT=$folder "$program" --gtest_brief=1 --gtest_filter="$filter" | tee "$folder/program.log"
if ! grep -q '^\[  PASSED  \] [1-9]' "$folder/program.log"; then
  echo "no case of $program matches $filter"
  exit 1
fi
PYTHONDONTWRITEBYTECODE=1 "$python" "$script" "$folder"
