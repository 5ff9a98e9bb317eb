#!/usr/bin/env python3
"""rsvd beside torch.svd_lowrank, scikit-learn's randomized_svd and LAPACK's gesdd, taking turns. One JSON line per figure.

  svd_peers.py BENCH_SVD [--n 4096] [--threads 1,2] [--dtypes f32,f64] [--spectra halving,harmonic,step] [--rounds 5] [--gesdd 0]

Needs numpy, scipy, torch and scikit-learn (pip install numpy scipy torch scikit-learn). Unset OPENBLAS_CORETYPE first. Errors are
||A - U_k S_k V_k^T||_F over the optimum's, k = 64, computed in f64 for everybody. --gesdd N measures numpy's full SVD of N x N too.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

RANK, OVERSAMPLING, POWER = 64, 10, 2


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--n", type=int, default=4096, help="a power of two")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--dtypes", default="f32,f64")
    parser.add_argument("--spectra", default="halving,harmonic,step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gesdd", type=int, default=0)
    parser.add_argument("--child", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def spectrum(np, name, n):
    j = np.arange(n, dtype=np.float64)
    return {"halving": np.exp2(-np.minimum(j, 1000)), "harmonic": 1 / (j + 1), "step": np.where(j < RANK, 1.0, 0.1)}[name]


def walsh_hadamard(np, a):
    """Orthonormal, along axis 0."""
    n, width = a.shape[0], 1
    while width < n:
        a = a.reshape(n // (2 * width), 2, width, -1)
        a = np.stack((a[:, 0] + a[:, 1], a[:, 0] - a[:, 1]), axis=1).reshape(n, -1)
        width *= 2
    return a / np.sqrt(n)


def matrix(np, n, s, seed):
    """Singular values s, singular vectors from permuted, signed Hadamard matrices: neither coherent nor expensive."""
    rng = np.random.default_rng(seed)
    core = np.zeros((n, n))
    core[rng.permutation(n), rng.permutation(n)] = s * rng.choice([-1.0, 1.0], n)
    left = walsh_hadamard(np, core) * rng.choice([-1.0, 1.0], (n, 1))
    return np.ascontiguousarray((walsh_hadamard(np, left.T) * rng.choice([-1.0, 1.0], (n, 1))).T)


class Ours:
    def __init__(self, bench, path, n, dtype):
        self.process = subprocess.Popen([bench, path, str(n), str(n), dtype], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, threads, range_finder, sketch, seed, error=False, power=POWER):
        request = f"{threads} {range_finder} {RANK} {OVERSAMPLING} {power} {sketch} {seed}{' error' if error else ''}\n"
        self.process.stdin.write(request)
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def child(args, threads):
    import numpy as np
    import sklearn
    import torch
    from sklearn.utils.extmath import randomized_svd

    torch.set_num_threads(threads)
    for dtype in args.dtypes.split(","):
        for name in args.spectra.split(","):
            s = spectrum(np, name, args.n)
            a = matrix(np, args.n, s, 7).astype(np.float32 if dtype == "f32" else np.float64)
            tensor, optimum = torch.from_numpy(a), np.sqrt((s[RANK:] ** 2).sum())
            wide = a.astype(np.float64)

            def ratio(u, values, v):
                rest = wide - (u[:, :RANK].astype(np.float64) * values[:RANK].astype(np.float64)) @ v[:, :RANK].astype(np.float64).T
                return float(np.linalg.norm(rest) / optimum)

            with tempfile.NamedTemporaryFile(suffix=".raw") as file:
                a.tofile(file.name)
                ours = Ours(args.bench, file.name, args.n, dtype)

                def quietly(call):
                    """A peer's worker threads spin for a while after its call and would slow down whoever comes next."""
                    time.sleep(0.4)
                    return call()

                def timed(call):
                    begin = time.perf_counter()
                    call()
                    return time.perf_counter() - begin

                def torch_run():
                    return torch.svd_lowrank(tensor, q=RANK + OVERSAMPLING, niter=POWER)

                def sklearn_run():
                    return randomized_svd(a, RANK, n_oversamples=OVERSAMPLING, n_iter=POWER, random_state=0)

                u, values, v = (x.numpy() for x in torch_run())
                su, svalues, svt = sklearn_run()
                norm = float(np.linalg.norm(wide))
                methods = {"krylov.saso": ("krylov", "saso"), "krylov.gaussian": ("krylov", "gaussian"), "power.gaussian": ("power", "gaussian")}
                errors = {m: ours.run(threads, *how, 1, error=True)["error"] * norm / float(optimum) for m, how in methods.items()}
                peer_errors = {"torch.svd_lowrank": ratio(u, values, v), "sklearn.randomized_svd": ratio(su, svalues, svt.T)}
                times = {m: [] for m in [*methods, *peer_errors]}
                for turn in range(args.rounds):
                    for method, how in methods.items():
                        times[method].append(quietly(lambda: ours.run(threads, *how, turn)["seconds"]))
                    for method, call in (("torch.svd_lowrank", torch_run), ("sklearn.randomized_svd", sklearn_run)):
                        times[method].append(quietly(lambda: timed(call)))
                ours.close()
            medians = {m: statistics.median(t) for m, t in times.items()}
            for method in methods:
                print(json.dumps({
                    "name": f"rsvd.{method}", "device": "cpu", "shape": f"{args.n}x{args.n} k={RANK} p={OVERSAMPLING} q={POWER}", "dtype": dtype,
                    "spectrum": name, "threads": threads, "median_s": round(medians[method], 5), "fastest_s": round(min(times[method]), 5),
                    "error_over_optimum": errors[method],
                    "torch_s": round(medians["torch.svd_lowrank"], 5), "torch_fastest_s": round(min(times["torch.svd_lowrank"]), 5),
                    "torch_error_over_optimum": peer_errors["torch.svd_lowrank"],
                    "sklearn_s": round(medians["sklearn.randomized_svd"], 5), "sklearn_error_over_optimum": peer_errors["sklearn.randomized_svd"],
                    "torch_ratio": round(medians["torch.svd_lowrank"] / medians[method], 2),
                    "sklearn_ratio": round(medians["sklearn.randomized_svd"] / medians[method], 2),
                    "torch": torch.__version__, "sklearn": sklearn.__version__}), flush=True)
            if args.gesdd == args.n:
                begin = time.perf_counter()
                np.linalg.svd(a, full_matrices=False)
                seconds = time.perf_counter() - begin
                print(json.dumps({"name": "gesdd", "shape": f"{args.n}x{args.n}", "dtype": dtype, "threads": threads, "seconds": round(seconds, 3),
                                  "ratio_to_krylov_saso": round(seconds / medians["krylov.saso"], 1), "numpy": np.__version__}), flush=True)


def main():
    args = parse()
    if args.child:
        return child(args, args.child)
    for threads in args.threads.split(","):
        env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            env[variable] = threads
        subprocess.run([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--child", threads], env=env, check=True)


if __name__ == "__main__":
    main()
