"""The peer: the MLP 784-1024-1024-10 in PyTorch eager, alone or under DistributedDataParallel over gloo. One JSON line from rank 0.

    mlp_torch.py [--batch 8 --steps 60 --warmup 5 --seed 1] [--threads T] [--hook none|fp16|powersgd --rank 4]
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

import ddp


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("batch", 8), ("steps", 60), ("warmup", 5), ("threads", 0), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    ddp.add_options(parser)
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.manual_seed(a.seed)
    model = net = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    if world > 1:
        model = ddp.wrap(net, a)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, fused=True)
    generator = torch.Generator().manual_seed(100 * a.seed + rank)
    prototypes = torch.randn(10, 784, generator=torch.Generator().manual_seed(7))
    labels = torch.randint(0, 10, (a.warmup + a.steps, a.batch), generator=generator)
    rows = prototypes[labels] + torch.randn(a.warmup + a.steps, a.batch, 784, generator=generator)
    times, losses = [], []
    for step in range(a.warmup + a.steps):
        begin = time.perf_counter()
        loss = F.cross_entropy(model(rows[step]), labels[step])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        times.append(time.perf_counter() - begin)
    if rank == 0:
        print(json.dumps({"peer": ddp.name(a, world), "ranks": world, "step_ms": 1e3 * statistics.median(times[a.warmup:]),
                          "loss": statistics.mean(losses[-10:]), "parameters": sum(p.numel() for p in net.parameters())}), flush=True)
    os._exit(0)  # gloo's threads end in any order; the exit status must not depend on it


main()
