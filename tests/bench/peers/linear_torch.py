#!/usr/bin/env python3
"""torch.nn.Linear beside bench_linear, taking turns: forward and forward + backward, f32.

linear_torch.py BENCH [--threads 1] [--rounds 3] [--shapes B,D,O,R;...]   (LD_LIBRARY_PATH as the toolchain page says)
One JSON line per shape and pass: torch's and our median over the rounds, their ratio, the ratio of flops and our share of it.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

FLOP_RATIO = {"linear.forward": lambda d, o, r: d * o / (2 * r * (d + o)), "linear.step": lambda d, o, r: 0.6 * d * o / (r * (d + o))}


def seconds_of(call, budget):
    call()
    times, end = [], time.perf_counter() + budget
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def torch_seconds(torch, shape, budget):
    rows, inputs, outputs, _ = shape
    torch.manual_seed(0)
    layer = torch.nn.Linear(inputs, outputs)
    x, dy = torch.randn(rows, inputs, requires_grad=True), torch.randn(rows, outputs)

    def forward():
        with torch.no_grad():
            return layer(x)

    def step():
        layer.weight.grad = layer.bias.grad = x.grad = None
        layer(x).backward(dy)

    return {"linear.forward": seconds_of(forward, budget), "linear.step": seconds_of(step, budget)}


def our_seconds(bench, threads, shape):
    # Torch's libraries stay out of our process.
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")}
    lines = subprocess.run([bench, str(threads), ",".join(map(str, shape))], env=environment, check=True, capture_output=True, text=True).stdout
    figures = [json.loads(line) for line in lines.splitlines()]
    return {f["name"]: f["median_s"] for f in figures if f["name"] in FLOP_RATIO}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.7, help="seconds of torch per figure and round")
    parser.add_argument("--shapes", default="256,4096,4096,16;256,4096,4096,64;256,4096,4096,256")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    for text in arguments.shapes.split(";"):
        shape = tuple(int(n) for n in text.split(","))
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            theirs.append(torch_seconds(torch, shape, arguments.budget))
            ours.append(our_seconds(arguments.bench, arguments.threads, shape))
        for name, flop_ratio in FLOP_RATIO.items():
            mine, peer = statistics.median(o[name] for o in ours), statistics.median(t[name] for t in theirs)
            ideal = flop_ratio(*shape[1:])
            print(json.dumps({"name": name, "peer": f"torch {torch.__version__} nn.Linear", "shape": text, "threads": arguments.threads, "dtype": "f32",
                              "median_s": round(mine, 6), "peer_s": round(peer, 6), "ratio": round(peer / mine, 3), "flop_ratio": round(ideal, 3),
                              "of_flop_ratio": round(peer / mine / ideal, 3), "rounds": arguments.rounds}), flush=True)


if __name__ == "__main__":
    main()
