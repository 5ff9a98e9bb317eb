#!/usr/bin/env bash
# Looks at what this machine can build and writes .panther/machine.cmake, the defaults of the PANTHER_WITH_* options in CMakeLists.txt.
# Rewritten only when something changed, so that build folders stay up to date. Called by deploy/bootstrap.sh; needs no root and no network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=.panther/machine.cmake
lines=()
summary=()

record() { # record <option> <ON|OFF> <words for people>
  lines+=("set(PANTHER_WITH_$1 $2 CACHE BOOL \"$3\")")
  summary+=("$1 $2 ($3)")
}

# The first of the given paths that exists.
first_of() {
  local path
  for path in "$@"; do
    if [[ -e $path ]]; then
      printf '%s\n' "$path"
      return 0
    fi
  done
  return 1
}

# The first of the libraries that a CUDA toolkit lacks; false when it has all: first_missing <toolkit> <library>...
first_missing() {
  local toolkit=$1 library
  for library in "${@:2}"; do
    if ! first_of "$toolkit"/{lib64,lib,targets/x86_64-linux/lib}/"$library" >/dev/null; then
      printf '%s\n' "$library"
      return 0
    fi
  done
  return 1
}

# The CUDA runtime in a process must be torch's, so the toolkit's major version has to be that of the pinned wheel.
cuda_major=13
nvcc=$(first_of "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" /usr/local/cuda/bin/nvcc || command -v nvcc || true)
toolkit=''
if [[ -z $nvcc ]]; then
  record CUDA OFF "no nvcc"
else
  toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  release=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
  if [[ ${release%%.*} != "$cuda_major" ]]; then
    record CUDA OFF "toolkit $release in $toolkit; torch needs $cuda_major.x"
    toolkit=''
  elif missing=$(first_missing "$toolkit" libcublasLt.so libcublas.so libcusolver.so); then
    record CUDA OFF "no $missing in $toolkit"
    toolkit=''
  else
    record CUDA ON "toolkit $release in $toolkit"
    lines+=("set(CMAKE_CUDA_COMPILER \"$nvcc\" CACHE FILEPATH \"\")")
  fi
fi

if [[ -z $toolkit ]]; then
  record NCCL OFF "needs CUDA"
elif header=$(first_of "$toolkit"/{include,targets/x86_64-linux/include}/nccl.h /usr/include/nccl.h) &&
  first_of "$toolkit"/{lib64,lib,targets/x86_64-linux/lib}/libnccl.so /usr/lib/x86_64-linux-gnu/libnccl.so >/dev/null; then
  record NCCL ON "$(awk '$2 ~ /^NCCL_(MAJOR|MINOR|PATCH)$/ { v = v s $3; s = "." } END { print v }' "$header")"
else
  record NCCL OFF "no nccl.h or libnccl.so"
fi

mpis=()
for mpi in openmpi mpich; do
  if command -v "mpicc.$mpi" >/dev/null; then mpis+=("$mpi"); fi
done
if ((${#mpis[@]} == 0)) && command -v mpicc >/dev/null; then mpis=("$(command -v mpicc)"); fi
if ((${#mpis[@]})); then record MPI ON "${mpis[*]}"; else record MPI OFF "no mpicc"; fi

if [[ -e /usr/include/gloo/context.h ]]; then record GLOO ON "Debian's"; else record GLOO OFF "no /usr/include/gloo"; fi

torch=$(first_of .venv/lib/python3.*/site-packages/torch/lib/libtorch_cpu.so || true)
if [[ -n $torch ]]; then
  record TORCH ON "$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$(dirname "$torch")/../version.py")"
else
  record TORCH OFF "no torch in .venv"
fi

mkdir -p .panther
content=$(printf '%s\n' "# Written by deploy/probe_machine.sh: what this machine has." "${lines[@]}")
if [[ ! -e $file || $(<"$file") != "$content" ]]; then
  printf '%s\n' "$content" >"$file.new"
  mv "$file.new" "$file"
fi
text=$(printf '%s, ' "${summary[@]}")
printf 'bootstrap: ready; %s\n' "${text%, }"
