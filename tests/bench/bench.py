"""What the benches share: starting both sides in turns, medians, paired ratios with a 95 % interval, one JSON line per figure."""
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PANTHER_BUILD", ROOT / "build" / "release"))
PANTHER = str(BUILD / "bin" / "panther")
PYTHON = os.environ.get("PANTHER_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
PEERS = ROOT / "tests" / "bench" / "peers"

GPT = """\
seed = 1
device = "{device}"
dtype = "{dtype}"
[run]
dir = "{dir}"
name = "{name}"
[data]
kind = "bytes"
path = "/usr/include/c++/12"
seq_len = {seq}
[model]
kind = "gpt"
layers = {layers}
width = {width}
heads = {heads}
{sketch}
[optim]
lr = 1e-3
[schedule]
kind = "constant"
warmup_steps = 0
[train]
steps = {steps}
global_batch = {global_batch}
eval_every = 0
eval_batches = 1
log_every = 1
[checkpoint]
every = 0
[profile]
steps = 0
"""

MLP = """\
seed = 1
[run]
dir = "{dir}"
name = "{name}"
[data]
kind = "synthetic"
features = 784
classes = 10
samples = 20000
[model]
kind = "mlp"
mlp = "relu"
layers = 2
width = 1024
{sketch}
[optim]
kind = "sgd"
lr = 0.05
[schedule]
kind = "constant"
warmup_steps = 0
[train]
steps = {steps}
global_batch = {global_batch}
eval_every = 0
eval_batches = 1
log_every = 1
[checkpoint]
every = 0
[profile]
steps = 0
"""


def library_path():
    site = next((ROOT / ".venv" / "lib").glob("python3*/site-packages"))
    parts = [site / "torch" / "lib"] + [site / "nvidia" / name / "lib" for name in ("cusparselt", "nvshmem", "cu13")]
    return ":".join([*map(str, parts), "/usr/local/cuda/lib64", os.environ.get("LD_LIBRARY_PATH", "")])


def environment(threads, **extra):
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    env.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), NO_COLOR="1", **extra)
    return env


def gpt_config(folder, name, sketch_size=0, steps=35, layers=4, width=256, heads=4, seq=128, global_batch=8, device="cpu", dtype="f32"):
    sketch = f'[[sketch]]\nmatch = "blocks.*"\nsketch_size = {sketch_size}' if sketch_size else ""
    path = pathlib.Path(folder) / f"{name}.toml"
    path.write_text(GPT.format(dir=folder, name=name, sketch=sketch, steps=steps, layers=layers, width=width, heads=heads, seq=seq,
                               global_batch=global_batch, device=device, dtype=dtype))
    return path


def mlp_config(folder, name, sketch_size=0, steps=65, global_batch=16):
    """784-1024-1024-10; the sketch is for the two hidden layers."""
    sketch = f'[[sketch]]\nmatch = "hidden.*"\nsketch_size = {sketch_size}' if sketch_size else ""
    path = pathlib.Path(folder) / f"{name}.toml"
    path.write_text(MLP.format(dir=folder, name=name, sketch=sketch, steps=steps, global_batch=global_batch))
    return path


def metric(run_folder, tag, skip=5):
    values = []
    for line in (pathlib.Path(run_folder) / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if tag in entry:
            values.append(entry[tag])
    return values[skip:]


def interval(ratios, draws=4000):
    """Median of paired ratios with its 95 % bootstrap interval."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(draws))
    return {"ratio": round(statistics.median(ratios), 3), "low": round(medians[int(0.025 * draws)], 3), "high": round(medians[int(0.975 * draws)], 3),
            "pairs": len(ratios)}


def check(done):
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, done.args))} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def run(command, env):
    return check(subprocess.run(list(map(str, command)), env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL))


def report(**figures):
    print(json.dumps(figures), flush=True)


def scratch():
    return tempfile.TemporaryDirectory(prefix="panther_bench_")
