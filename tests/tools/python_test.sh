#!/usr/bin/env bash
# python_test.sh PYTHON SCRIPT: runs a test script; 77 = skipped, where there is no such Python.
set -euo pipefail
if [[ ! -x $1 ]]; then
  echo "skipped: no Python at $1 (run deploy/bootstrap.sh, or set PANTHER_PYTHON)"
  exit 77
fi
PYTHONDONTWRITEBYTECODE=1 exec "$1" "$2"
