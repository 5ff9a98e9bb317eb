"""Validation loss against seconds of training: runs of ours and of the peers on one text, and the time that each needs for a loss."""
import json
import pathlib

from bench import PANTHER, PEERS, PYTHON, library_path


def join_text(folder, file):
    """One file of all text: it is split by position, so every form and the peers hold out the same part."""
    paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    file.write_bytes(b"\n".join(path.read_bytes() for path in paths))
    return file


def curve_of(entries):
    """[(seconds of training, validation loss)] from the metrics of a run; evaluations are left out of the time."""
    seconds, points = 0.0, []
    for entry in entries:
        seconds += entry.get("perf/step_time_s", 0.0)
        if "val/loss" in entry:
            points.append((seconds, entry["val/loss"]))
    return points


def train(link, config, folder, name, options):
    """Metrics of every step and evaluation, in order, of two ranks over the link."""
    link.run_all([PANTHER, "train", config, "--set", f"run.dir={folder}", "--set", f"run.name={name}", "--set", "comm.backend=tcp", *options])
    return [json.loads(line) for line in (pathlib.Path(folder) / name / "metrics.jsonl").read_text().splitlines()]


def train_peer(link, text, seconds, options, eval_every=10):
    """What tests/bench/peers/gpt_torch.py reports of two ranks over the link."""
    command = ["env", f"LD_LIBRARY_PATH={library_path()}", PYTHON, PEERS / "gpt_torch.py", "--threads", 1, "--batch", 8, "--warmup", 0, "--data", text,
               "--val-fraction", 0.1, "--steps", 100000, "--seconds", seconds, "--eval-every", eval_every, *options]
    return json.loads(link.run_all(command).splitlines()[-1])


def seconds_to(curve, loss):
    """When a curve first reaches a loss, between its points by straight lines; None where it never does."""
    for (t0, l0), (t1, l1) in zip(curve, curve[1:]):
        if l0 <= loss:
            return t0
        if l1 <= loss:
            return t0 + (t1 - t0) * (l0 - loss) / (l0 - l1)
    return None
