#!/usr/bin/env bash
# tests/run.sh [-L label] [-R regex] [--preset P] [--all]: bootstrap, configure, build, test.
#
#   default      every test that needs no cluster and no GPU and is not slow
#   -L label     only tests with this label (a regex over labels): unit multiprocess mpi cluster gpu slow; naming one of the three
#                that are left out by default includes it
#   -R regex     only tests whose name matches
#   --preset P   build preset, default release (see CMakePresets.json)
#   --all        the slow ones too
#
# A test that fails runs once more, alone: if it passes then, the summary names it and it counts as passed.
# Prints the output of failing tests, the skipped tests with their reasons and, as the last line, `N passed, M failed, K skipped`.
# Exit: 0 all passed; 1 a test failed or none ran; 2 the build failed (closing line: 0 passed, 1 failed, 0 skipped); 64 wrong usage.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

preset=release
label=''
regex=''
left_out=(cluster gpu slow)

usage() {
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit "$1"
}

while (($#)); do
  case $1 in
    -L | -R | --preset) (($# >= 2)) || usage 64 ;;&
    -L) label=$2 && shift ;;
    -R) regex=$2 && shift ;;
    --preset) preset=$2 && shift ;;
    --all) left_out=(cluster gpu) ;;
    -h | --help) usage 0 ;;
    *) printf 'tests/run.sh: unknown argument %q\n\n' "$1" >&2 && usage 64 ;;
  esac
  shift
done

if ! deploy/build.sh "$preset"; then
  echo "the build failed: no test ran; it counts as one failure"
  echo "0 passed, 1 failed, 0 skipped"
  exit 2
fi

selection=()
excluded=()
for name in "${left_out[@]}"; do
  [[ -n $label && $name =~ $label ]] || excluded+=("$name")
done
if [[ -n $label ]]; then selection+=(-L "$label"); fi
if [[ -n $regex ]]; then selection+=(-R "$regex"); fi
if ((${#excluded[@]})); then selection+=(-LE "^($(IFS='|' && echo "${excluded[*]}"))\$"); fi

# Two test programs at a time with two threads each: waiting threads must sleep, not spin. Multi-process tests claim two slots
# (PROCESSORS in tests/CMakeLists.txt). Open MPI refuses to run as root or above the core count unless told.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
results=$PWD/build/$preset/test-results.xml
again=$PWD/build/$preset/test-results-again.xml
rm -f "$results" "$again"
printf '\n== test preset %s%s\n' "$preset" "${excluded[*]:+, leaving out the labels ${excluded[*]}}"
start=$SECONDS
run_tests() { # run_tests <JUnit file> <ctest arguments>...
  local file=$1
  shift
  .venv/bin/ctest --test-dir "build/$preset" --output-on-failure --no-tests=ignore --output-junit "$file" \
    --test-output-size-passed 1000000 --test-output-size-failed 1000000 "$@" </dev/null
}
if ! run_tests "$results" -j 2 "${selection[@]}"; then
  printf '\n== what failed, once more, each test alone\n'
  run_tests "$again" -j 1 --rerun-failed
fi
printf '== tests took %d s; details in build/%s/test-results.xml\n' $((SECONDS - start)) "$preset"
if [[ ! -s $results ]]; then
  echo "ctest left no results: see its message above; this counts as one failure"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
files=("$results")
if [[ -s $again ]]; then files+=("$again"); fi
exec .venv/bin/python tests/support/ctest_summary.py "${files[@]}"
