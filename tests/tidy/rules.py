"""The rules of the house that a machine can check. Each rule yields (path, line, sentence) for every breach."""
import re
from pathlib import Path

from sources import CPP, HEADERS, TEXT, files, includes, lines

ROOMS = {"core", "kernels", "comm", "runtime", "launcher", "tools", "examples", "tests"}

# Prefixes that files under a folder may include; the longest matching folder counts.
MAY_INCLUDE = {
    "core": ["core/"],
    "kernels": ["core/", "kernels/"],
    "comm/rpc": ["core/", "comm/rpc/", "comm/export.h", "comm/deadline.h"],
    "comm/rendezvous": ["core/", "comm/rpc/", "comm/rendezvous/", "comm/export.h", "comm/deadline.h"],
    "comm": ["core/", "kernels/", "comm/"],
    "runtime": ["core/", "kernels/", "comm/", "runtime/"],
    "launcher": ["core/", "comm/rpc/", "comm/rendezvous/", "comm/export.h", "comm/deadline.h", "launcher/"],
    "tools": ["core/", "kernels/", "tools/"],
    "examples": ["core/", "kernels/", "comm/", "runtime/", "examples/"],
    "tests": ["core/", "kernels/", "comm/", "runtime/", "launcher/", "tools/", "tests/"],
}

# Vendor: what its headers look like, the folders or files that own it, and whether the owner's headers may show it.
VENDORS = [
    ("torch", r"^(torch|ATen|c10)/", ["runtime/"], True),
    ("MPI", r"^mpi(_\w+|\w*)?\.h$", ["comm/backends/"], False),
    ("NCCL", r"^nccl\w*\.h$", ["comm/backends/"], False),
    ("gloo", r"^gloo/", ["comm/backends/"], False),
    ("CUDA", r"^(cuda|cublas|cusolver|curand|cudnn|cusparse)\w*\.h", ["kernels/", "comm/backends/"], True),
    ("BLAS", r"^(cblas|lapacke?|openblas\w*)\.h$", ["kernels/"], False),
    ("NVTX", r"^nvtx3/", ["runtime/observe/"], False),
    ("spdlog", r"^(spdlog|fmt)/", ["core/log.cpp"], False),
    ("toml++", r"^toml(\+\+|plusplus)?/", ["core/config_toml.cpp"], False),
    ("nlohmann json", r"^nlohmann/", ["core/file_format/", "comm/", "runtime/", "launcher/", "tools/"], False),
    ("CLI11", r"^CLI/", ["launcher/cli/", "runtime/commands/", "tools/"], False),
    ("gRPC", r"^(grpc|grpcpp|google/protobuf)/", ["comm/rpc/", "launcher/coordinator/"], False),
]

BANNED_WORDS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "base"}
SNAKE_CASE = re.compile(r"^[a-z0-9]+(_[a-z0-9]+)*$")
# A backend is a file or its twin, chosen by CMake. What is left for the preprocessor: headers that the CUDA compiler reads too,
# and whether a sanitizer watches.
CONDITION = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b(.*)")
ALLOWED_CONDITION = re.compile(r"__CUDACC__|__CUDA_ARCH__|__SANITIZE_\w+__|__has_feature")
MARKER = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")
PLACES = re.compile(r"(?<![\w.$}])/(work|home|root|Users)/\w|/bash_jobs|\.\./shared/|--(extra-)?index-url|PIP_INDEX_URL"
                    r"|://[\w.-]*(artifactory|nexus|mirror)")


def room_of(path):
    """The longest folder of MAY_INCLUDE that holds `path`, or None."""
    text = path.as_posix()
    return max((folder for folder in MAY_INCLUDE if text.startswith(folder + "/")), key=len, default=None)


def dependencies(root):
    """core <- kernels <- comm <- runtime <- examples; core <- comm/rpc <- comm/rendezvous <- launcher; kernels <- tools; nothing uses tests."""
    for path in files(root, CPP):
        room = room_of(path)
        if room is None:
            continue
        for include in includes(root, path):
            first = include.path.split("/")[0]
            if first in ROOMS and not include.quoted:
                yield path, include.line, f"<{include.path}> is ours: write it in quotes"
            elif first in ROOMS and any((Path(root) / f"{include.path}{made}").exists() for made in ("", ".in")):
                if not any(include.path.startswith(allowed) for allowed in MAY_INCLUDE[room]):
                    yield path, include.line, f"{room} may not include {include.path}; it may use {', '.join(MAY_INCLUDE[room])}"
            elif include.quoted and room not in ("tests", "examples"):
                yield path, include.line, f'"{include.path}" is not a path from the root of the repository'
            elif include.quoted and not (Path(root) / path.parent / include.path).exists():
                yield path, include.line, f'"{include.path}" lies neither below the root nor beside this file'


def names(root):
    """snake_case, a noun that says something, no cupboard names."""
    for path in files(root, CPP):
        for part in [*path.parent.parts, path.stem]:
            words = set(part.split("_"))
            if words & BANNED_WORDS:
                yield path, 1, f"'{part}' says nothing ({', '.join(sorted(words & BANNED_WORDS))}): name the one thing it is"
            if not SNAKE_CASE.match(part):
                yield path, 1, f"'{part}' is not snake_case"


def pragma_once(root):
    """The first line of code of every header."""
    for path in files(root, HEADERS):
        code = [line for line in lines(root, path) if line.strip() and not line.startswith("//")]
        if not code or code[0].strip() != "#pragma once":
            yield path, 1, "a header begins with #pragma once"


def own_header_first(root):
    """x.cpp includes x.h before anything else, which shows that x.h compiles alone."""
    for path in files(root, {".cpp"}):
        header = path.with_suffix(".h")
        found = includes(root, path)
        if (Path(root) / header).exists() and path.parts[0] != "tests" and (not found or found[0].path != header.as_posix()):
            yield path, found[0].line if found else 1, f"include {header.as_posix()} first"


def vendors(root):
    """A vendor's headers stay with their owner; torch/torch.h is nowhere; no CUDA source sees torch."""
    for path in files(root, CPP):
        text = path.as_posix()
        for include in includes(root, path):
            if include.path == "torch/torch.h":
                yield path, include.line, "torch/torch.h costs 23 s per file: include the narrow header"
            if path.suffix in (".cu", ".cuh") and re.match(VENDORS[0][1], include.path):
                yield path, include.line, "CUDA sources do not know torch: take TensorView and Stream"
            if path.parts[0] in ("tests", "examples"):
                continue
            for vendor, pattern, owners, in_headers in VENDORS:
                if not re.match(pattern, include.path):
                    continue
                if not any(text.startswith(owner) for owner in owners):
                    yield path, include.line, f"{include.path}: {vendor} belongs to {', '.join(owners)}"
                elif path.suffix in HEADERS and not in_headers:
                    yield path, include.line, f"{include.path}: {vendor} stays in .cpp files, not in headers"


def conditionals(root):
    """No preprocessor branches: a backend is a file or its no_x twin."""
    for path in files(root, CPP):
        for number, line in enumerate(lines(root, path), 1):
            match = CONDITION.match(line)
            if match and not ALLOWED_CONDITION.search(match[2]):
                yield path, number, f"'{line.strip()}': make a file and its no_x twin and let CMake choose"


def markers(root):
    """Nothing is left to be done later in a comment."""
    for path in files(root, TEXT):
        for number, line in enumerate(lines(root, path), 1):
            if MARKER.search(line):
                yield path, number, "an unfinished thing: do it, or file it"


def places(root):
    """No folder of one machine, no host of a package registry."""
    for path in files(root, TEXT):
        if path.parts[:2] == ("tests", "tidy"):
            continue
        for number, line in enumerate(lines(root, path), 1):
            match = PLACES.search(line)
            if match:
                yield path, number, f"'{match[0]}' exists on one machine only"


RULES = {rule.__name__: rule for rule in (dependencies, names, pragma_once, own_header_first, vendors, conditionals, markers, places)}
