#!/usr/bin/env python3
"""torch.mm beside bench_layer_products, taking turns: the twelve f32 products of a transformer layer's dense layers.

layer_products_torch.py BENCH [--threads 1] [--rounds 3] [--width 256] [--rows 1024]   (LD_LIBRARY_PATH as the toolchain page says)
One JSON line per product: gflops of torch and of each side of the bench (medians over the rounds), and one for all twelve.
"""
import argparse
import json
import os
import statistics
import subprocess

from linear_torch import seconds_of


def torch_seconds(torch, rows, width, budget):
    result = {}
    for name, (inputs, outputs) in {"qkv": (width, 3 * width), "proj": (width, width), "fc1": (width, 4 * width), "fc2": (4 * width, width)}.items():
        x, w, dy = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
        y, dx, dw = torch.empty(rows, outputs), torch.empty(rows, inputs), torch.empty(outputs, inputs)
        result[f"{name}.forward"] = seconds_of(lambda: torch.mm(x, w.t(), out=y), budget)
        result[f"{name}.dx"] = seconds_of(lambda: torch.mm(dy, w, out=dx), budget)
        result[f"{name}.dw"] = seconds_of(lambda: torch.mm(dy.t(), x, out=dw), budget)
    result["layer"] = sum(result.values())
    return result


def our_figures(bench, threads, rows, width):
    # Torch's libraries stay out of our process.
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")}
    lines = subprocess.run([bench, str(threads), str(width), str(rows)], env=environment, check=True, capture_output=True, text=True).stdout
    return {figure["name"]: figure for figure in map(json.loads, lines.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--budget", type=float, default=0.1, help="seconds of torch per product and round")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        theirs.append(torch_seconds(torch, arguments.rows, arguments.width, arguments.budget))
        ours.append(our_figures(arguments.bench, arguments.threads, arguments.rows, arguments.width))
    for name, figure in ours[0].items():
        sides = [key[: -len("_gflops")] for key in figure if key.endswith("_gflops")]
        flops = figure[f"{sides[0]}_gflops"] * figure[f"{sides[0]}_s"]
        peer = statistics.median(t[name] for t in theirs)
        line = {"name": name, "peer": f"torch {torch.__version__} mm", "shape": figure["shape"], "threads": arguments.threads, "dtype": "f32",
                "torch_gflops": round(flops / peer, 1)}
        for side in sides:
            seconds = statistics.median(o[name][f"{side}_s"] for o in ours)
            line |= {f"{side}_gflops": round(flops / seconds, 1), f"torch_over_{side}": round(peer / seconds, 2)}
        print(json.dumps(line | {"rounds": arguments.rounds}), flush=True)


if __name__ == "__main__":
    main()
