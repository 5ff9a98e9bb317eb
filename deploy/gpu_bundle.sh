#!/usr/bin/env bash
# deploy/gpu_bundle.sh: builds preset gpu-bundle and installs it into dist/panther-gpu/, a folder that runs on a machine with an NVIDIA GPU,
# Python's torch of the pinned version and glibc 2.36 or newer, and none of our Debian packages: copy it there and call its run.sh.
# Also packs the same as dist/panther-<version>-Linux.tar.gz. Fails when the folder is larger than 60 MiB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=gpu-bundle
folder=dist/panther-gpu
limit_mib=60

deploy/build.sh $preset panther-bundle
printf '\n== install into %s\n' $folder
rm -rf $folder
log=build/$preset.install.log
.venv/bin/cmake --install build/$preset --prefix "$PWD/$folder" --strip >"$log" || {
  tail -n 20 "$log" >&2
  exit 1
}
du -ah --max-depth=2 $folder | sort -rh | head -n 12
size=$(du -sm $folder | cut -f1)
if ((size > limit_mib)); then
  echo "$folder has $size MiB, more than $limit_mib" >&2
  exit 1
fi
.venv/bin/cpack --config build/$preset/CPackConfig.cmake -G TGZ -B dist/pack >"$log" || {
  tail -n 20 "$log" >&2
  exit 1
}
mv dist/pack/panther-*.tar.gz dist/
rm -rf dist/pack
printf '== %s: %d MiB; packed: %s\n' $folder "$size" "$(du -h dist/panther-*.tar.gz | tr '\t' ' ')"
