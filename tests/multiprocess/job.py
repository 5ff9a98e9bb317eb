"""Starting Panther as a user does, and reading what it leaves behind. Standard library only."""
import array
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["PANTHER_BUILD"])
PANTHER = str(BUILD / "bin" / "panther")
PYTHON = os.environ.get("PANTHER_PYTHON", "python3")

CONFIG = """\
seed = 7
dtype = "{dtype}"
device = "cpu"
[run]
dir = "{dir}/runs"
name = "{name}"
[data]
kind = "bytes"
path = "{dir}/text"
seq_len = 32
val_fraction = 0.25
[model]
kind = "gpt"
layers = 2
width = 32
heads = 2
[[sketch]]
match = "blocks.*.mlp.*"
sketch_size = 8
[optim]
lr = 3e-3
[schedule]
kind = "constant"
warmup_steps = 0
[train]
steps = {steps}
global_batch = 8
eval_every = 0
eval_batches = 2
log_every = 1
[checkpoint]
every = {checkpoint_every}
keep = 100
[profile]
steps = 0
"""


def words(seed, count):
    """Text with structure to learn, the same every time."""
    rng = random.Random(seed)
    names = ["value", "index", "result", "iterator", "allocator", "begin", "end"]
    lines = []
    for _ in range(count):
        a, b = rng.choice(names), rng.choice(names)
        lines.append(f"  const auto& {a} = {b}.{rng.choice(names)}({rng.randrange(100)});\n")
    return "".join(lines)


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}"""
    blob = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:8 + length])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], blob[8 + length + entry["data_offsets"][0]:8 + length + entry["data_offsets"][1]])
            for name, entry in header.items()}


def numbers(entry):
    return array.array({"F32": "f", "F64": "d"}[entry[0]], entry[2])


def relative_distance(one, other):
    """Of two files' tensors, in norm over everything."""
    assert one.keys() == other.keys(), (sorted(one), sorted(other))
    difference = norm = 0.0
    for name in one:
        for x, y in zip(numbers(one[name]), numbers(other[name]), strict=True):
            difference += (x - y) ** 2
            norm += x * x
    return (difference / norm) ** 0.5


class Job(unittest.TestCase):
    """A temporary folder with text, and Panther run inside it."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="panther_test_"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "text").mkdir()
        for i in range(12):
            (self.dir / "text" / f"part_{i}.txt").write_text(words(i, 120))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PANTHER_", "OMPI_", "PMI_", "SLURM_"))}
        self.env.update(OMP_NUM_THREADS="1", NO_COLOR="1", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                        OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none")

    def config(self, name="run", steps=20, dtype="f32", checkpoint_every=0, edit=lambda text: text):
        path = self.dir / f"{name}.toml"
        path.write_text(edit(CONFIG.format(dir=self.dir, name=name, steps=steps, dtype=dtype, checkpoint_every=checkpoint_every)))
        return str(path)

    def run_folder(self, name="run"):
        return self.dir / "runs" / name

    def command(self, *arguments, prefix=(), timeout=120, env=()):
        """Runs to the end; returns the finished process with text output."""
        return subprocess.run([*prefix, PANTHER, *arguments], cwd=self.dir, env={**self.env, **dict(env)}, text=True, errors="replace", timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def start(self, *arguments, env=()):
        """In the background, in a process group of its own."""
        return subprocess.Popen([PANTHER, *arguments], cwd=self.dir, env={**self.env, **dict(env)}, text=True, errors="replace", stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)

    def train(self, name="run", *extra, ranks=1, code=0, prefix=(), env=(), **config):
        nproc = ["--nproc", str(ranks)] if ranks > 1 and not prefix else []
        done = self.command("train", self.config(name, **config), *nproc, *extra, prefix=prefix, env=env)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done

    def metrics(self, name="run"):
        return [json.loads(line) for line in (self.run_folder(name) / "metrics.jsonl").read_text().splitlines()]

    def losses(self, name="run"):
        return [line["train/loss"] for line in self.metrics(name) if "train/loss" in line]

    def step_folder(self, name, step):
        return self.run_folder(name) / "checkpoints" / f"step_{step}"

    def model(self, name, step):
        return read_safetensors(self.step_folder(name, step) / "model.safetensors")
