"""Two hosts with several ranks each over a slow link: one level of exchange against two, in turns.

    tests/bench/levels.py [--rates 25mbit,100mbit] [--per-host 2] [--rounds 3] [--steps 8] [--contenders none,half,quantize]   (root: it makes namespaces)
Model: GPT 4x256 with sketched blocks (R = 16), 4x128 tokens per rank. One JSON line per rate: for each contender the median step of both forms, their ratio (two levels over
one, paired by round) with a 95 % interval, and bytes that rank 0 sent to the other host by our ledger."""
import argparse
import signal
import statistics
import sys

from bench import PANTHER, gpt_config, interval, metric, report, scratch
from network import Link

CONTENDERS = {"none": [], "half": ["--set", "comm.exchange=half"],
              "quantize": ["--set", "comm.exchange=quantize", "--set", "comm.codec.bits=4", "--set", "comm.codec.compress_sketched=true"]}


def step(link, folder, name, options, a):
    config = gpt_config(folder, name, sketch_size=16, steps=a.steps + 3, global_batch=4 * len(link.spaces) * a.per_host)
    link.run_all([PANTHER, "train", config, "--set", "comm.backend=tcp", *options], per_host=a.per_host)
    run_folder = f"{folder}/{name}"
    inside = metric(run_folder, "comm/bytes_inside", 3)
    return 1e3 * statistics.median(metric(run_folder, "perf/step_time_s", 3)), metric(run_folder, "comm/bytes", 3)[-1] - (inside[-1] if inside else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="25mbit,100mbit")
    parser.add_argument("--per-host", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--contenders", default="none,half,quantize", type=lambda text: text.split(","))
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces and ranks end with the bench
    levels = ["--set", "comm.hierarchy.mode=set", "--set", f"comm.hierarchy.node_ranks={a.per_host}"]
    with scratch() as folder:
        for rate in a.rates.split(","):
            figures = {}
            with Link(rate) as link:
                for name in a.contenders:
                    flat, two, sent = [], [], {}
                    for i in range(a.rounds):
                        for form, options, into in (("flat", [], flat), ("levels", levels, two)):
                            ms, sent[form] = step(link, folder, f"{name}_{form}_{rate}_{i}", [*CONTENDERS[name], *options], a)
                            into.append(ms)
                    figures[name] = {"flat_ms": round(statistics.median(flat), 1), "levels_ms": round(statistics.median(two), 1), "between_hosts_bytes": sent,
                                     "levels_over_flat": interval([t / f for t, f in zip(two, flat)])}
            report(bench="levels", rate=rate, hosts=2, per_host=a.per_host, **figures)


if __name__ == "__main__":
    main()
