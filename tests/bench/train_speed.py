"""Tokens per second of one process, and the time from start to the first step, against PyTorch eager on the same GPT.

    tests/bench/train_speed.py [--rounds 5] [--threads 2] [--steps 20]
Both sides run in turns; ratios are of paired rounds. One JSON line per figure."""
import argparse
import json
import statistics
import subprocess
import time

from bench import PANTHER, PEERS, PYTHON, environment, gpt_config, interval, library_path, metric, report, run, scratch


def ours(folder, name, sketch, a):
    config = gpt_config(folder, name, sketch_size=sketch, steps=a.steps + 5)
    run([PANTHER, "train", config], environment(a.threads))
    return {"step_ms": 1e3 * statistics.median(metric(f"{folder}/{name}", "perf/step_time_s"))}


def ours_first_step(folder, name, threads):
    """Wall time until the first step is logged."""
    config = gpt_config(folder, name, steps=100000)
    log = f"{folder}/{name}/metrics.jsonl"
    begin = time.perf_counter()
    process = subprocess.Popen([PANTHER, "train", str(config)], env=environment(threads), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            if "train/loss" in open(log).read():
                break
        except OSError:
            pass
        time.sleep(0.002)
    seconds = time.perf_counter() - begin
    process.terminate()
    process.wait()
    return seconds


def peer(sketch, a):
    env = environment(a.threads, LD_LIBRARY_PATH=library_path())
    command = [PYTHON, PEERS / "gpt_torch.py", "--sketch", sketch, "--threads", a.threads, "--steps", a.steps]
    return json.loads(run(command, env).splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    a = parser.parse_args()
    with scratch() as folder:
        for sketch in (0, 16):
            pairs = []
            for i in range(a.rounds):
                mine = ours(folder, f"run_{sketch}_{i}", sketch, a)
                theirs = peer(sketch, a)
                pairs.append((mine["step_ms"], theirs["step_ms"]))
            report(bench="train_speed", model="gpt 4x256", sketch_size=sketch, threads=a.threads, batch="8x128",
                   panther_step_ms=round(statistics.median(p[0] for p in pairs), 1), peer_step_ms=round(statistics.median(p[1] for p in pairs), 1),
                   peer=theirs["peer"], tokens_per_s_ratio=interval([theirs_ms / mine_ms for mine_ms, theirs_ms in pairs]))
        starts = []
        for i in range(a.rounds):
            starts.append((ours_first_step(folder, f"start_{i}", a.threads), peer(0, argparse.Namespace(threads=a.threads, steps=1))["first_step_s"]))
        report(bench="start_to_first_step", panther_s=round(statistics.median(s[0] for s in starts), 2),
               peer_s=round(statistics.median(s[1] for s in starts), 2), ratio=interval([s[0] / s[1] for s in starts]))


if __name__ == "__main__":
    main()
