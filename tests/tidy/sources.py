"""The files of the repository and their #include lines."""
import os
import re
from dataclasses import dataclass
from pathlib import Path

CPP = {".h", ".cpp", ".cu", ".cuh"}
HEADERS = {".h", ".cuh"}
TEXT = CPP | {".py", ".sh", ".md", ".txt", ".toml", ".json", ".cmake", ".in", ".yml", ".yaml", ".cfg"}
# At the top: builds, environments and runs. Anywhere: caches.
SKIPPED_AT_TOP = {"build", "dist", "runs"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


@dataclass(frozen=True)
class Include:
    line: int
    quoted: bool
    path: str


def files(root, suffixes=None):
    """Paths below `root`, relative to it, in order; hidden folders other than .ci and what is built or run are left out."""
    found = []
    for folder, names, entries in os.walk(root):
        relative = Path(folder).relative_to(root)
        names[:] = sorted(n for n in names if not (n.startswith(".") and n != ".ci") and n != "__pycache__"
                          and not (relative == Path(".") and n in SKIPPED_AT_TOP))
        found += [relative / entry for entry in sorted(entries) if suffixes is None or Path(entry).suffix in suffixes]
    return found


def lines(root, path):
    return (Path(root) / path).read_text(encoding="utf-8", errors="replace").splitlines()


def includes(root, path):
    result = []
    for number, line in enumerate(lines(root, path), 1):
        match = INCLUDE.match(line)
        if match:
            result.append(Include(number, match[1] == '"', match[2]))
    return result
