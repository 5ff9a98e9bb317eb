"""PyTorch's side of bench_device on the same GPU: nn.Linear in bf16, linalg.qr, svd_lowrank, a sparse product, a copy. One JSON line per figure.

    kernels_torch_cuda.py [linear qr svd sparse]      default: all"""
import json
import statistics
import sys

import torch


def seconds_of(call, runs=20, warm_ups=3):
    for _ in range(warm_ups):
        call()
    times = []
    for _ in range(runs):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(1e-3 * begin.elapsed_time(end))
    return statistics.median(times)


def report(name, shape, seconds, **more):
    print(json.dumps({"name": name, "peer": f"torch {torch.__version__}", "device": torch.cuda.get_device_name(), "shape": shape, "median_s": seconds, **more}), flush=True)


def linear():
    for rows, d in ((8192, 8192), (8192, 4096), (16384, 1024), (16, 8192)):
        layer = torch.nn.Linear(d, d, bias=False, device="cuda", dtype=torch.bfloat16)
        x = torch.randn(rows, d, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        dy = torch.randn(rows, d, device="cuda", dtype=torch.bfloat16)

        def forward():
            with torch.no_grad():
                layer(x)

        def step():
            layer.weight.grad = x.grad = None
            layer(x).backward(dy)

        report("linear.forward", f"{rows}x{d}x{d}", seconds_of(forward))
        report("linear.step", f"{rows}x{d}x{d}", seconds_of(step))


def qr():
    a = torch.randn(1 << 20, 512, device="cuda", dtype=torch.float64)
    report("qr", "1048576x512 f64", seconds_of(lambda: torch.linalg.qr(a), 3, 1))


def falling(n):
    """Singular values 1 / j between two reflections."""
    v, w = (torch.nn.functional.normalize(torch.randn(n, device="cuda", dtype=torch.float64), dim=0) for _ in range(2))
    a = torch.diag(1 / torch.arange(1, n + 1, device="cuda", dtype=torch.float64))
    a -= 2 * torch.outer(v, v @ a)
    a -= 2 * torch.outer(a @ w, w)
    return a.float()


def svd():
    a = falling(16384)
    found = []

    def call():
        found[:] = torch.svd_lowrank(a, q=138, niter=2)

    seconds = seconds_of(call, 5, 1)
    u, s, v = (part[..., :128] for part in found)
    error = (torch.linalg.norm(a - (u * s) @ v.T) / torch.linalg.norm(a)).item()
    report("svd_lowrank", "16384x16384, k=128, f32", seconds, error=error)


def sparse():
    rows, columns, sketch, per_column = 1 << 17, 1024, 1280, 4
    a = torch.randn(rows, columns, device="cuda")
    at = torch.arange(rows, device="cuda").repeat_interleave(per_column)
    to = torch.randint(0, sketch, (rows * per_column,), device="cuda")
    values = torch.randint(0, 2, (rows * per_column,), device="cuda").float() * 2 - 1
    s = torch.sparse_coo_tensor(torch.stack([to, at]), values, (sketch, rows)).coalesce().to_sparse_csr()
    report("cusparse csr product", f"{rows}x{columns} -> {sketch}, 4 per column, f32", seconds_of(lambda: s @ a))


def main():
    groups = {"linear": linear, "qr": qr, "svd": svd, "sparse": sparse}
    for name in sys.argv[1:] or groups:
        groups[name]()


main()
