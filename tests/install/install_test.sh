#!/usr/bin/env bash
# install_test.sh <build folder> <cmake>: installs, moves the installation elsewhere, builds tests/install/consumer against it, runs it,
# and checks the messages for components that are not there. Nothing of the source tree is on the consumer's paths.
set -euo pipefail
build=$1
cmake=$2
consumer=$(cd "$(dirname "${BASH_SOURCE[0]}")/consumer" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
mkdir "$work/elsewhere"
mv "$work/first" "$work/elsewhere/panther"
prefix=$work/elsewhere/panther

configure() { "$cmake" -G Ninja -S "$consumer" -B "$work/$1" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release "${@:2}" >"$work/log" 2>&1; }

configure consumer || { cat "$work/log"; exit 1; }
"$cmake" --build "$work/consumer" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for program in uses_kernels uses_comm; do
  echo "$program: $(env -u LD_LIBRARY_PATH "$work/consumer/$program")"
done

# Components without torch must not load it, and the moved libraries are the ones that are used.
linked=$(env -u LD_LIBRARY_PATH ldd "$work/consumer/uses_comm")
if grep -E 'lib(torch|c10)' <<<"$linked"; then echo "a program of kernels and comm loads torch"; exit 1; fi
grep -q "$prefix/lib/libpanther_comm.so" <<<"$linked" || { echo "uses_comm does not load $prefix/lib/libpanther_comm.so:"; echo "$linked"; exit 1; }
"$prefix/bin/panther" --version

expect_refusal() { # expect_refusal <folder> <component> <words of the message>
  if configure "$1" "-DCOMPONENTS=$2"; then echo "component $2 was accepted"; exit 1; fi
  tr -s ' \n' ' ' <"$work/log" | grep -qF "$3" || { echo "component $2: the message lacks '$3':"; cat "$work/log"; exit 1; }
}
expect_refusal unknown "kernels;kernel" "has no component 'kernel'"
if [[ ! -e $prefix/lib/libpanther_runtime.so ]]; then
  expect_refusal runtime runtime "built with PANTHER_WITH_TORCH=OFF"
fi
echo "installed, moved, used"
