#!/usr/bin/env bash
# run.sh <program> [arguments]: runs bin/<program> of this folder with the torch and the CUDA libraries of this machine.
#   ./run.sh panther doctor
#   ./run.sh panther train examples/01_sketched_gpt/train.toml --set device=cuda
#   ./run.sh gpu-tests                  every test that needs a GPU; last line `N passed, M failed, K skipped`
# Torch is that of $PANTHER_PYTHON, python3, or a virtual environment under /opt; its version must be the one in share/panther/torch_version.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
wanted=$(<"$here/share/panther/torch_version")

torch_of() { # torch_of <python>: the folder of its torch package, found without importing it
  "$1" -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null
}

find_torch() {
  local python folder version seen=''
  for python in ${PANTHER_PYTHON:+"$PANTHER_PYTHON"} python3 /opt/*/.venv/bin/python /opt/*/bin/python; do
    folder=$(torch_of "$python") || continue
    [[ -n $folder ]] || continue
    version=$(sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$folder/version.py")
    if [[ $version == "$wanted" ]]; then
      printf '%s\n' "$folder"
      return 0
    fi
    seen+=" $version in $folder;"
  done
  echo "run.sh: this machine needs torch $wanted, found:${seen:- none}. Set PANTHER_PYTHON to a python that has it." >&2
  return 65
}

if (($# == 0)); then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
  printf '\nprograms: '
  ls "$here/bin" | tr '\n' ' '
  echo
  exit 64
fi
torch=$(find_torch)
path=$here/lib:$torch/lib
for folder in "$(dirname "$torch")"/nvidia/*/lib /usr/local/cuda/lib64; do
  if [[ -d $folder ]]; then path+=:$folder; fi
done
# InfiniBand's user libraries have to fit this machine's driver: its own first.
if ! PATH=$PATH:/sbin ldconfig -p | grep -q '^\slibibverbs\.so\.1 '; then path+=:$here/lib/fallback; fi
export LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# Every gpu test program; GoogleTest's own summary lines give the counts. A program that dies counts as a failure.
gpu_tests() {
  local program output status passed=0 failed=0 skipped=0 count
  output=$(mktemp)
  while IFS=: read -r program filter; do
    printf '== %s %s\n' "$program" "$filter"
    status=0
    "$here/bin/$program" --gtest_filter="${filter:-*}" "$@" 2>&1 | tee "$output" || status=${PIPESTATUS[0]}
    for count in passed:PASSED failed:FAILED skipped:SKIPPED; do
      declare "${count%%:*}=$((${count%%:*} + $(sed -n "s/^\[  ${count##*:}  *\] \([0-9]*\) tests\{0,1\}[.,].*/\1/p" "$output" | tail -n 1 | grep . || echo 0)))"
    done
    if ((status != 0)) && ! grep -q '^\[  FAILED  \] [0-9]* test' "$output"; then failed=$((failed + 1)); fi
  done <"$here/share/panther/gpu_tests"
  rm -f "$output"
  echo "$passed passed, $failed failed, $skipped skipped"
  ((failed == 0 && passed > 0))
}

program=$1
shift
if [[ $program == gpu-tests ]]; then
  gpu_tests "$@"
  exit
fi
if [[ ! -x $here/bin/$program ]]; then
  echo "run.sh: no program '$program' in $here/bin; it has: $(ls "$here/bin" | tr '\n' ' ')" >&2
  exit 64
fi
exec "$here/bin/$program" "$@"
