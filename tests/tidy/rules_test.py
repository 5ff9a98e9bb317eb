"""Each rule finds what it forbids and lets pass what is right."""
import tempfile
import unittest
from pathlib import Path

import rules


class RulesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def put(self, path, text=""):
        file = Path(self.folder.name) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def breaches(self, rule):
        return [(path.as_posix(), line) for path, line, _ in rules.RULES[rule](self.folder.name)]

    def check(self, rule, path, text, line):
        """`text` at `path` breaks `rule` at `line`; 0: it does not."""
        self.put(path, text)
        self.assertEqual(self.breaches(rule), [(path, line)] if line else [], text)
        (Path(self.folder.name) / path).unlink()

    def test_dependencies(self):
        for header in ("core/a.h", "kernels/a.h", "comm/a.h", "comm/deadline.h", "comm/rendezvous/a.h", "comm/rpc/a.h",
                       "runtime/a.h", "launcher/a.h", "tests/a.h", "examples/a.h"):
            self.put(header)
        allowed = {
            "core": "core",
            "kernels": "core kernels",
            "comm": "core kernels comm comm/rendezvous comm/rpc",
            "comm/rendezvous": "core comm/rpc comm/rendezvous",
            "comm/rpc": "core comm/rpc",
            "runtime": "core kernels comm comm/rendezvous comm/rpc runtime",
            "launcher": "core comm/rendezvous comm/rpc launcher",
            "examples": "core kernels comm comm/rendezvous comm/rpc runtime examples",
            "tests": "core kernels comm comm/rendezvous comm/rpc runtime launcher tests",
        }
        for room, may in allowed.items():
            for used in allowed:
                text = f'#include <vector>\n#include "{used}/a.h"\n'
                self.check("dependencies", f"{room}/b.cpp", text, 0 if used in may.split() else 2)
        self.check("dependencies", "comm/rendezvous/b.cpp", '#include "comm/deadline.h"', 0)
        self.check("dependencies", "launcher/b.cpp", '#include "comm/deadline.h"', 0)
        self.check("dependencies", "launcher/b.cpp", '#include "comm/a.h"', 1)
        self.check("dependencies", "kernels/cuda/b.cu", '#include "comm/a.h"', 1)
        self.check("dependencies", "core/b.cpp", '#include <core/a.h>', 1)
        self.check("dependencies", "core/b.cpp", '#include "a.h"', 1)
        self.check("dependencies", "tests/core/b.cpp", '#include "none.h"', 1)
        self.check("dependencies", "core/b.cpp", '#include "core/made.h"', 1)
        self.put("core/made.h.in")
        self.check("dependencies", "core/b.cpp", '#include "core/made.h"', 0)
        self.put("tests/core/beside.h")
        self.check("dependencies", "tests/core/b.cpp", '#include "beside.h"', 0)

    def test_names(self):
        for path in ("core/file_utils.cpp", "core/helper.h", "comm/common/a.h", "core/base.h", "core/FileName.h"):
            self.check("names", path, "", 1)
        for path in ("core/database.h", "comm/backends/gloo.cpp", "core/crc32c.h"):
            self.check("names", path, "", 0)

    def test_pragma_once(self):
        self.check("pragma_once", "core/a.h", "// What it is.\n#pragma once\n", 0)
        self.check("pragma_once", "core/a.h", "#include <vector>\n#pragma once\n", 1)
        self.check("pragma_once", "kernels/a.cuh", "", 1)

    def test_own_header_first(self):
        self.put("core/a.h")
        self.check("own_header_first", "core/a.cpp", '#include <vector>\n#include "core/a.h"\n', 1)
        self.check("own_header_first", "core/a.cpp", '#include "core/a.h"\n#include <vector>\n', 0)
        self.check("own_header_first", "core/b.cpp", "#include <vector>\n", 0)

    def test_vendors(self):
        torch = "#include <ATen/core/Tensor.h>\n"
        self.check("vendors", "runtime/layers/a.h", torch, 0)
        for path in ("kernels/a.cpp", "comm/a.h", "core/a.h", "launcher/a.cpp", "runtime/a.cu"):
            self.check("vendors", path, torch, 1)
        self.check("vendors", "tests/runtime/a.cpp", "#include <torch/torch.h>", 1)
        owners = (
            ("mpi.h", "comm/backends/mpi.cpp", "comm/group.cpp"),
            ("nccl.h", "comm/backends/nccl.cpp", "runtime/a.cpp"),
            ("gloo/context.h", "comm/backends/gloo.cpp", "comm/rendezvous/a.cpp"),
            ("spdlog/spdlog.h", "core/log.cpp", "core/env.cpp"),
            ("toml++/toml.h", "core/config_toml.cpp", "runtime/a.cpp"),
            ("cuda_runtime_api.h", "kernels/cuda/a.cpp", "core/a.cpp"),
            ("cublasLt.h", "kernels/cuda/a.cpp", "runtime/a.cpp"),
            ("cblas.h", "kernels/cpu/a.cpp", "runtime/a.cpp"),
            ("grpcpp/grpcpp.h", "comm/rpc/a.cpp", "launcher/agent/a.cpp"),
            ("nlohmann/json.hpp", "runtime/a.cpp", "core/a.cpp"),
        )
        for include, owner, stranger in owners:
            self.check("vendors", owner, f"#include <{include}>\n", 0)
            self.check("vendors", stranger, f"#include <{include}>\n", 1)
        self.check("vendors", "comm/backends/a.h", "#include <mpi.h>\n", 1)
        self.check("vendors", "runtime/a.h", "#include <nlohmann/json.hpp>\n", 1)

    def test_conditionals(self):
        self.check("conditionals", "core/a.cpp", "void f() {\n#ifdef PANTHER_WITH_CUDA\n#endif\n}\n", 2)
        self.check("conditionals", "core/a.cpp", "  #  if 0\n", 1)
        self.check("conditionals", "kernels/a.h", "#if defined(__CUDACC__)\n#else\n#endif\n", 0)
        self.check("conditionals", "kernels/a.h", "#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)\n", 0)

    def test_markers(self):
        self.check("markers", "core/a.cpp", "int a;  // TO" + "DO: more\n", 1)
        self.check("markers", "docs/a.md", "methodology\n", 0)

    def test_places(self):
        for text in ("see /home/" + "ann/x", "cd /wo" + "rk/main", "pip install --index" + "-url=x", "../sha" + "red/notes.md"):
            self.check("places", "docs/a.md", text + "\n", 1)
        for text in ("/usr/include/c++/12", "$HOME/x ${a}/work/b build/work/a"):
            self.check("places", "docs/a.md", text + "\n", 0)

    def test_built_and_hidden_folders_are_left_out(self):
        for folder in ("build/release", ".venv/lib", "runs", "dist", "core/__pycache__"):
            self.put(f"{folder}/utils.h", "int a;\n")
        self.assertEqual(self.breaches("names"), [])
        self.assertEqual(self.breaches("pragma_once"), [])


if __name__ == "__main__":
    unittest.main()
