#!/usr/bin/env bash
# deploy/build.sh <preset> [target...]: bootstrap, configure (only when needed) and build into build/<preset>; no target means everything.
# Prints what each stage does and how long it took. Exit: bootstrap's, or that of cmake.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:?usage: deploy/build.sh <preset> [target...]}
shift
folder=build/$preset
# Objects are shared among build folders and checkouts.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# A compilation of a torch header takes up to 1.5 GiB: as many at once as cores and memory allow.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo)
  ((memory < 1)) && memory=1
  echo $((cores < memory ? cores : memory))
}

stage() { # stage <title> <command>...
  local title=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$title"
  "$@"
  printf '== done in %d s: %s\n' $((SECONDS - start)) "$title"
}

configure() {
  local cmake=.venv/bin/cmake log=$folder.configure.log fresh=()
  # What the machine has is a default of the first configuration: when it changed, start over (ccache keeps the objects).
  if [[ $folder/CMakeCache.txt -ot .panther/machine.cmake ]]; then fresh=(--fresh); fi
  if [[ -e $folder/build.ninja && -z ${fresh[*]-} ]]; then
    echo "already configured; ninja configures again if a CMake file changed"
    return 0
  fi
  mkdir -p build
  if ! "$cmake" --preset "$preset" "${fresh[@]}" >"$log" 2>&1; then
    cat "$log" >&2
    printf '\nconfiguring preset %s failed; the whole text is in %s\n' "$preset" "$log" >&2
    return 1
  fi
  rm -f "$log"
}

build() {
  local targets=()
  if (($#)); then targets=(--target "$@"); fi
  NINJA_STATUS='[%f/%t %es] ' .venv/bin/cmake --build "$folder" --parallel "$(jobs)" "${targets[@]}"
}

stage "1/3 bootstrap: install what is missing" deploy/bootstrap.sh
stage "2/3 configure preset $preset in $folder" configure
stage "3/3 build ${*:-everything} with $(jobs) jobs" build "$@"
