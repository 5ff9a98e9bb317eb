"""The peer: the MLP 784-1024-1024-10 in PyTorch eager, alone or under DistributedDataParallel over gloo. One JSON line from rank 0.

    mlp_torch.py [--batch 8 --steps 60 --warmup 5] [--threads T]
SGD, noisy prototypes as data, made before the clock starts. RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT from the environment when there is more than
one rank."""
import argparse
import json
import os
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("batch", 8), ("steps", 60), ("warmup", 5), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.manual_seed(1)
    model = net = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    if world > 1:
        torch.distributed.init_process_group("gloo")
        model = nn.parallel.DistributedDataParallel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, fused=True)
    generator = torch.Generator().manual_seed(100 + rank)
    prototypes = torch.randn(10, 784, generator=torch.Generator().manual_seed(7))
    labels = torch.randint(0, 10, (a.warmup + a.steps, a.batch), generator=generator)
    rows = prototypes[labels] + torch.randn(a.warmup + a.steps, a.batch, 784, generator=generator)
    times = []
    for step in range(a.warmup + a.steps):
        begin = time.perf_counter()
        loss = F.cross_entropy(model(rows[step]), labels[step])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - begin)
    if rank == 0:
        print(json.dumps({"peer": f"torch {torch.__version__} {'ddp gloo' if world > 1 else 'eager'}", "ranks": world,
                          "step_ms": 1e3 * statistics.median(times[a.warmup:]), "parameters": sum(p.numel() for p in net.parameters())}), flush=True)
    os._exit(0)  # gloo's threads end in any order; the exit status must not depend on it


main()
