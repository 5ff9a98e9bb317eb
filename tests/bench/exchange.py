"""Gradient exchange over throttled links: our wire formats against DistributedDataParallel and its hooks, all in turns.

    tests/bench/exchange.py [--cases mlp,gpt] [--rates 25mbit,100mbit,1gbit,none] [--hosts 2] [--rounds 3] [--contenders a,b] (root: it makes namespaces)
Every rank has one thread and a network namespace of its own. One JSON line per case, rate and number of hosts: for each contender the median step, bytes per
rank and step by our ledger, loss of the last steps; and the ratios of its step to that of every reference (DDP's forms and ours on `half`), paired by round,
with a 95 % interval. `regret`: of each form of auto, its step over the shortest of the fixed codecs in the same round.

Contenders: ddp, ddp-fp16, ddp-powersgd (rank 4, one bucket); none, half, quantize (4 bits), quantize-1, quantize-2, powersgd (rank 4), powersgd-1 on the
dense model; auto (the plan of the first steps, which spends time on small errors) and auto-settled (the plan it comes to after some hundred steps, at once:
comm.auto.settle = 1); sketched, sketched-half, sketched-quantize: the hidden layers (mlp) or blocks (gpt) sketched with R = 16."""
import argparse
import json
import signal
import statistics
import sys

from bench import PANTHER, PEERS, PYTHON, gpt_config, interval, library_path, metric, mlp_config, report, scratch
from network import Link

PEER = {"ddp": ["--hook", "none"], "ddp-fp16": ["--hook", "fp16"], "ddp-powersgd": ["--hook", "powersgd", "--rank", "4"]}
QUANTIZE = ["--set", "comm.exchange=quantize", "--set", "comm.codec.bits=4"]
OURS = {  # name: (sketch size, settings)
    "none": (0, []),
    "half": (0, ["--set", "comm.exchange=half"]),
    "quantize": (0, QUANTIZE),
    "quantize-1": (0, [*QUANTIZE[:2], "--set", "comm.codec.bits=1"]),
    "quantize-2": (0, [*QUANTIZE[:2], "--set", "comm.codec.bits=2"]),
    "powersgd": (0, ["--set", "comm.exchange=powersgd", "--set", "comm.codec.rank=4"]),
    "powersgd-1": (0, ["--set", "comm.exchange=powersgd", "--set", "comm.codec.rank=1"]),
    "auto": (0, ["--set", "comm.exchange=auto"]),
    "auto-settled": (0, ["--set", "comm.exchange=auto", "--set", "comm.auto.settle=1"]),
    "sketched": (16, []),
    "sketched-half": (16, ["--set", "comm.exchange=half"]),
    "sketched-quantize": (16, [*QUANTIZE, "--set", "comm.codec.compress_sketched=true"]),
}
REFERENCES = [*PEER, "half"]
CASES = {"mlp": (mlp_config, "mlp_torch.py"), "gpt": (gpt_config, "gpt_torch.py")}
BATCH = 8
# Steps before the clock: PowerSGD starts at its third, `auto` measures and plans first and plans again before steps 8, 16, 32 and 64.
WARM_UP = {"auto": 33, "auto-settled": 33}
# What a step of the dense model sends in f32, megabits: so that slow contenders get fewer steps.
DENSE_MEGABITS = {"mlp": 60, "gpt": 104}


def steps_of(contender, case, link, a):
    bits = link.bits_per_second()
    heavy = contender in ("ddp", "ddp-fp16", "none", "half", "quantize") and bits
    return max(4, min(a.steps, int(20 / (DENSE_MEGABITS[case] * 1e6 / bits)))) if heavy else a.steps


def run_peer(link, case, contender, a):
    command = ["env", f"LD_LIBRARY_PATH={library_path()}", PYTHON, PEERS / CASES[case][1], "--threads", 1, "--batch", BATCH, "--warmup", 3,
               "--steps", steps_of(contender, case, link, a), *PEER[contender]]
    line = json.loads(link.run_all(command).splitlines()[-1])
    return {"step_ms": line["step_ms"], "loss": line["loss"], "name": line["peer"]}


def run_ours(link, folder, case, contender, tag, a):
    sketch_size, options = OURS[contender]
    warm_up = WARM_UP.get(contender, 5)
    name = f"{case}_{contender}_{link.rate}_{len(link.spaces)}_{tag}"
    config = CASES[case][0](folder, name, sketch_size=sketch_size, steps=steps_of(contender, case, link, a) + warm_up, global_batch=BATCH * len(link.spaces))
    link.run_all([PANTHER, "train", config, "--set", "comm.backend=tcp", *options])
    run_folder = f"{folder}/{name}"
    return {"step_ms": 1e3 * statistics.median(metric(run_folder, "perf/step_time_s", warm_up)), "bytes": metric(run_folder, "comm/bytes", warm_up)[-1],
            "loss": statistics.mean(metric(run_folder, "train/loss")[-10:])}


def compare(link, folder, case, contenders, a):
    runs = {contender: [] for contender in contenders}
    for i in range(a.rounds):
        for contender in contenders:
            runs[contender].append(run_peer(link, case, contender, a) if contender in PEER else run_ours(link, folder, case, contender, i, a))
    figures = {}
    for contender, rounds in runs.items():
        figures[contender] = {key: round(statistics.median(r[key] for r in rounds), 4) for key in ("step_ms", "bytes", "loss") if key in rounds[0]}
        for reference in REFERENCES:
            if reference in runs and reference != contender:
                figures[contender][f"over_{reference}"] = interval([r["step_ms"] / s["step_ms"] for r, s in zip(rounds, runs[reference])])
    fixed = [name for name, (size, _) in OURS.items() if name in runs and size == 0 and not name.startswith("auto")]
    for name in ("auto", "auto-settled") if fixed else ():
        if name in runs:
            best = [min(runs[other][i]["step_ms"] for other in fixed) for i in range(a.rounds)]
            figures[name]["regret"] = interval([r["step_ms"] / shortest for r, shortest in zip(runs[name], best)])
    report(bench="exchange", case=case, rate=link.rate, hosts=len(link.spaces), rounds=a.rounds, steps=a.steps, contenders=figures)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="mlp,gpt")
    parser.add_argument("--rates", default="25mbit,100mbit,1gbit,none")
    parser.add_argument("--hosts", default="2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--contenders", default=",".join([*PEER, *OURS]))
    a = parser.parse_args()
    contenders = a.contenders.split(",")
    unknown = [name for name in contenders if name not in PEER and name not in OURS]
    if unknown:
        sys.exit(f"unknown contender {unknown[0]!r}; known: {', '.join([*PEER, *OURS])}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces and ranks end with the bench
    with scratch() as folder:
        for hosts in map(int, a.hosts.split(",")):
            for rate in a.rates.split(","):
                with Link(rate, hosts) as link:
                    for case in a.cases.split(","):
                        compare(link, folder, case, contenders, a)


if __name__ == "__main__":
    main()
