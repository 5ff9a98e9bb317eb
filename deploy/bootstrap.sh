#!/usr/bin/env bash
# Installs what building and testing Panther needs and this machine lacks, then writes down what the machine has.
#
#   deploy/bootstrap.sh           Debian packages (deploy/requirements/debian.txt) through apt, Python packages (torch.txt, python.txt) through
#                                 pip into .venv/, then .panther/machine.cmake for CMake. Nothing missing: changes nothing, under a second.
#
# Every run looks at the packages themselves (dpkg, .venv), so a removed package is seen. Safe to run again after any failure.
# Exit: 0 ready; 65 this system has no apt or no suitable Python; 74 download or disk trouble; 77 needs root (prints the line to run).
set -euo pipefail
export LC_ALL=C.UTF-8
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
lists=deploy/requirements
log=.panther/bootstrap.log
mkdir -p .panther

say() { printf 'bootstrap: %s\n' "$*"; }
fail() { # fail <exit code> <message>...
  local code=$1 line
  shift
  for line in "$@"; do printf 'bootstrap: %s\n' "$line" >&2; done
  exit "$code"
}
entries() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]]*$//' "$@"; }

# step <title> <command>...: runs the command with its output in the log and a running clock on a terminal; its exit status is the result.
step() {
  local title=$1 start=$SECONDS clock='' status=0
  shift
  printf 'bootstrap: %s ...' "$title"
  if [[ -t 1 ]]; then
    (while sleep 1; do printf '\rbootstrap: %s ... %d s' "$title" $((SECONDS - start)); done) &
    clock=$!
  fi
  printf '\n== %s: %s\n' "$title" "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  if [[ -n $clock ]]; then
    kill "$clock" 2>/dev/null && wait "$clock" 2>/dev/null || true
    printf '\rbootstrap: %s ...' "$title"
  fi
  if ((status == 0)); then printf ' %d s\n' $((SECONDS - start)); else
    printf ' failed after %d s; the last lines of %s:\n' $((SECONDS - start)) "$log"
    grep -v 'already satisfied' "$log" | tail -n 6 | sed 's/^/    /'
  fi
  return $status
}

need_disk() { # need_disk <MiB> <what for>
  local free
  free=$(df -Pm . | awk 'NR == 2 { print $4 }')
  ((free >= $1)) || fail 74 "$2 needs about $1 MiB; only $free MiB are free under $root. Free some space, then run this again."
}

# --- Debian packages ---------------------------------------------------------------------------------------------------------
missing_debian() {
  local have # dpkg-query fails when it does not know one of the names
  have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
  comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$have")
}

install_debian() {
  local packages=("$@") facts download
  if ((EUID != 0)); then
    say "missing Debian packages; installing them needs root. Run this line, then run $0 again:"
    printf '\nsudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n\n' "${packages[*]}"
    exit 77
  fi
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  say "missing Debian packages: ${packages[*]}"
  step "apt-get update" "${apt[@]}" update ||
    fail 74 "apt could not fetch its package lists: check the network, the proxy and /etc/apt/sources.list, then run this again."
  facts=$("${apt[@]}" install --no-install-recommends --assume-no "${packages[@]}" 2>&1 || true)
  download=$(sed -n 's/^Need to get \(.*\) of archives.*/\1/p' <<<"$facts")
  step "apt-get install (${#packages[@]} packages, ${download:-unknown size} to download; usually under a minute)" \
    "${apt[@]}" install -y --no-install-recommends "${packages[@]}" ||
    fail 74 "apt could not install every package. Packages with no candidate need Debian 12 or newer (or Ubuntu 24.04); see $log."
}

# --- Python packages ---------------------------------------------------------------------------------------------------------
# A Python that has wheels of the pinned versions.
suitable_python() {
  local candidate
  for candidate in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# pip writes <name>-<version>.dist-info/INSTALLER after the package's own files: a half-unpacked wheel has none. Names are compared
# without case and with '-', '_' and '.' alike.
missing_python() {
  local entry name
  local -A have=()
  for entry in .venv/lib/python3.*/site-packages/*.dist-info/INSTALLER; do
    entry=${entry%.dist-info/INSTALLER}
    entry=${entry##*/}
    name=${entry%-*}
    name=${name//[-.]/_}
    have[${name,,}==${entry##*-}]=1
  done
  for entry in "$@"; do
    name=${entry%%==*}
    name=${name//[-.]/_}
    [[ -n ${have[${name,,}==${entry##*==}]-} ]] || printf '%s\n' "$entry"
  done
}

loader_has_cuda_libraries() {
  local library known
  known=$(PATH=$PATH:/sbin ldconfig -p | sed 's/ .*//')
  for library in $(entries $lists/cuda_libraries.txt); do
    grep -qxF $'\t'"$library" <<<"$known" || return 1
  done
}

cuda_libraries_ready() {
  local wheels=(.venv/lib/python3.*/site-packages/nvidia/cu13/lib/libcublas.so.13)
  [[ -e ${wheels[0]} ]] || loader_has_cuda_libraries
}

make_venv() {
  local python
  python=$(suitable_python) || fail 65 "no Python 3.11, 3.12 or 3.13 here, and torch $(sed -n 's/^torch==//p' $lists/torch.txt) has wheels for no other" \
    "in Debian 12 and Ubuntu 24.04 the package python3 is one; elsewhere put one first on PATH"
  rm -rf .venv
  step "a virtual environment in .venv with $("$python" --version 2>&1)" "$python" -m venv .venv ||
    fail 65 "$python -m venv failed: its venv or ensurepip module is missing (Debian: apt-get install python3-venv)."
}

pip_install() { # pip_install <title> <pip arguments>...
  local title=$1
  shift
  step "$title" .venv/bin/python -m pip install --no-input --disable-pip-version-check "$@" ||
    fail 74 "pip could not install from $*." "Check the network, the proxy (HTTPS_PROXY) and '.venv/bin/python -m pip config list', then run this again:" \
      "what is already installed is kept."
}

install_torch() {
  if loader_has_cuda_libraries; then
    need_disk 2200 "torch"
    pip_install "pip: torch without its CUDA wheels, which this machine has (550 MB to download, 1.6 GB on disk; about 30 s)" --no-deps -r $lists/torch.txt
  else
    need_disk 8000 "torch with its CUDA wheels"
    pip_install "pip: torch with its CUDA wheels (about 2.4 GB to download, 5 GB on disk; some minutes)" -r $lists/torch.txt
  fi
}

# --- main --------------------------------------------------------------------------------------------------------------------
main() {
  [[ $(uname -m) == x86_64 ]] || fail 65 "this machine is $(uname -m); only x86_64 is supported."
  local debian torch python missing
  mapfile -t debian < <(entries $lists/debian.txt)
  mapfile -t torch < <(entries $lists/torch.txt)
  mapfile -t python < <(entries $lists/python.txt)
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    fail 65 "no apt-get here: this script knows Debian 12 and Ubuntu 24.04. Install the likes of these by hand: ${debian[*]}"
  suitable_python >/dev/null || debian+=(python3)
  [[ -x .venv/bin/python ]] || "$(suitable_python || echo false)" -c 'import venv, ensurepip' 2>/dev/null || debian+=(python3-venv)

  mapfile -t missing < <(missing_debian "${debian[@]}")
  if ((${#missing[@]})); then
    need_disk 1500 "the Debian packages"
    install_debian "${missing[@]}"
  fi
  .venv/bin/python -c '' 2>/dev/null || make_venv
  mapfile -t missing < <(missing_python "${torch[@]}")
  if ((${#missing[@]})) || ! cuda_libraries_ready; then install_torch; fi
  mapfile -t missing < <(missing_python "${python[@]}")
  if ((${#missing[@]})); then
    pip_install "pip: CMake and what the Python tests import, ${#missing[@]} packages (about 120 MB; 20 s)" -r $lists/python.txt
  fi
  deploy/probe_machine.sh
}

# One installation at a time in one checkout; a second caller waits.
exec 9>.panther/bootstrap.lock
flock -n 9 || { say "another bootstrap runs in this checkout; waiting for it"; flock 9; }
main
