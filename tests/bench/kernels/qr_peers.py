"""Python's QR beside ours, in turns on one machine: scipy's geqp3 (pivoting=True) and torch.linalg.qr, both with Q, column-major input.

    python3 qr_peers.py BENCH_QR ROWS COLUMNS [--dtype f64] [--turns 3] [--routine cqrrpt]

BENCH_QR is the program bench_qr of the build; OMP_NUM_THREADS holds for all sides. One JSON line: our line, with the peers' medians and ratios.
For bqrrp the peer is scipy's geqp3 alone, without Q (mode='raw'). A peer that cannot be imported is left out and named.
"""
import argparse
import json
import os
import statistics
import subprocess
import time


def peers(arguments):
    import numpy
    import scipy.linalg
    matrix = numpy.asfortranarray(numpy.random.default_rng(1).standard_normal((arguments.rows, arguments.columns)), dtype={"f32": "f4", "f64": "f8"}[arguments.dtype])
    mode = "raw" if arguments.routine == "bqrrp" else "economic"
    yield "scipy_geqp3", lambda: scipy.linalg.qr(matrix, pivoting=True, mode=mode, check_finite=False)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    tensor = torch.from_numpy(matrix)  # keeps the strides: column-major
    if arguments.routine != "bqrrp":
        yield "torch_qr", lambda: torch.linalg.qr(tensor)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("rows", type=int)
    parser.add_argument("columns", type=int)
    parser.add_argument("--dtype", default="f64")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--routine", default="cqrrpt", choices=["cqrrpt", "cqrrt", "bqrrp"])
    arguments = parser.parse_args()
    command = [arguments.bench, arguments.routine, str(arguments.rows), str(arguments.columns), arguments.dtype, "1"]
    ours, theirs, line = [], {}, {}
    for _ in range(arguments.turns):
        line = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ours.append(line["median_s"])
        for name, body in peers(arguments):
            begin = time.perf_counter()
            body()
            theirs.setdefault(name, []).append(time.perf_counter() - begin)
    line["median_s"], line["runs"] = statistics.median(ours), arguments.turns
    for name, seconds in theirs.items():
        line[f"{name}_s"] = statistics.median(seconds)
        line[f"over_{name}"] = statistics.median(seconds) / line["median_s"]
    print(json.dumps(line))


if __name__ == "__main__":
    main()
