"""The peer: the same byte GPT in PyTorch eager, alone or under DistributedDataParallel over gloo. One JSON line from rank 0.

    gpt_torch.py [--layers 4 --width 256 --heads 4 --seq 128 --batch 8 --steps 30 --warmup 5]
                 [--sketch R] [--threads T] [--hook none|fp16|powersgd --rank 4] [--data PATH --val-fraction 0.1 --eval-every N] [--seconds S]
A file as data is split by position: what comes last is held out. With --eval-every the line has (step, seconds of training, loss on 32 held-out batches)
for every N steps; --seconds ends training after that time.
RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT from the environment when there is more than one rank."""
import time

PROCESS_START = time.perf_counter()
import argparse
import json
import math
import os
import pathlib
import statistics

import torch
import torch.nn as nn
import torch.nn.functional as F

import ddp


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("layers", 4), ("width", 256), ("heads", 4), ("seq", 128), ("batch", 8), ("steps", 30), ("warmup", 5), ("sketch", 0),
                          ("threads", 0), ("seed", 1), ("eval-every", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--data", default="/usr/include/c++/12")
    parser.add_argument("--val-fraction", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--device", default="cpu")
    ddp.add_options(parser)
    parser.add_argument("--autocast", action="store_true", help="bf16")
    return parser.parse_args()


class Sketched(nn.Module):
    """Y = alpha (X [S1 | U2]) [U1 ; S2] + b by plain autograd: what a PyTorch user would write."""

    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.alpha = 1 / (2 * math.sqrt(size))
        scale = 1 / (self.alpha * math.sqrt(2 * size * inputs))
        self.s1 = nn.Parameter(torch.randn(inputs, size) * scale)
        self.s2 = nn.Parameter(torch.randn(size, outputs) * scale)
        self.register_buffer("u1", torch.randint(0, 2, (size, outputs)).float() * 2 - 1)
        self.register_buffer("u2", torch.randint(0, 2, (inputs, size)).float() * 2 - 1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        hidden = x @ torch.cat([self.s1, self.u2], 1)
        return self.alpha * (hidden @ torch.cat([self.u1, self.s2], 0)) + self.bias


class Block(nn.Module):
    def __init__(self, width, heads, linear):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = linear(width, 3 * width), linear(width, width)
        self.up, self.down = linear(width, 4 * width), linear(4 * width, width)

    def forward(self, x):
        batch, time_steps, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, time_steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, time_steps, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, a):
        super().__init__()
        linear = (lambda i, o: Sketched(i, o, a.sketch)) if a.sketch else nn.Linear
        self.tokens, self.positions = nn.Embedding(256, a.width), nn.Embedding(a.seq, a.width)
        self.blocks = nn.ModuleList(Block(a.width, a.heads, linear) for _ in range(a.layers))
        self.norm = nn.LayerNorm(a.width)

    def forward(self, x):
        hidden = self.tokens(x) + self.positions.weight[: x.shape[1]]
        for block in self.blocks:
            hidden = block(hidden)
        return F.linear(self.norm(hidden), self.tokens.weight)


def corpus(folder):
    root = pathlib.Path(folder)
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    return torch.frombuffer(bytearray(b"".join(path.read_bytes() for path in files)), dtype=torch.uint8).long()


def validation_loss(net, held_out, a):
    """Mean over 32 batches of evenly spaced windows."""
    starts = torch.linspace(0, len(held_out) - a.seq - 2, 32 * a.batch).long().view(32, a.batch)
    total = 0.0
    with torch.no_grad():
        for row in starts:
            window = torch.stack([held_out[i:i + a.seq + 1] for i in row.tolist()]).to(a.device)
            total += F.cross_entropy(net(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten()).item()
    return total / 32


def main():
    a = options()
    if a.threads:
        torch.set_num_threads(a.threads)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.manual_seed(a.seed)
    model = net = Gpt(a).to(a.device)
    for parameter in net.parameters():
        if parameter.dim() == 2 and not a.sketch:
            nn.init.normal_(parameter, 0, 0.02)
    if world > 1:
        model = ddp.wrap(net, a)
    optimizer = torch.optim.AdamW(net.parameters(), lr=a.lr, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    data, generator = corpus(a.data), torch.Generator().manual_seed(100 * a.seed + rank)
    held_out = data[int(len(data) * (1 - a.val_fraction)):]
    data = data[:int(len(data) * (1 - a.val_fraction))]
    times, losses, curve = [], [], []
    for step in range(a.warmup + a.steps):
        begin = time.perf_counter()
        starts = torch.randint(0, len(data) - a.seq - 1, (a.batch,), generator=generator)
        window = torch.stack([data[i:i + a.seq + 1] for i in starts.tolist()]).to(a.device)
        with torch.autocast(a.device, torch.bfloat16, enabled=a.autocast):
            loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        times.append(time.perf_counter() - begin)
        if step == 0:
            first_step_s = time.perf_counter() - PROCESS_START
        if a.eval_every and (step + 1) % a.eval_every == 0 and rank == 0:
            curve.append((step + 1, sum(times), validation_loss(net, held_out, a)))
        if a.seconds and world > 1 and (step + 1) % (a.eval_every or 10) == 0:
            over = torch.tensor([float(sum(times) > a.seconds)])
            torch.distributed.all_reduce(over)
            if over.item() > 0:
                break
    measured = times[a.warmup:]
    if rank == 0:
        print(json.dumps({"peer": ddp.name(a, world), "ranks": world, "sketch": a.sketch,
                          "step_ms": 1e3 * statistics.median(measured), "tokens_per_s": world * a.batch * a.seq / statistics.median(measured),
                          "first_step_s": first_step_s, "parameters": sum(p.numel() for p in net.parameters()), "loss": losses[-1], "curve": curve,
                          "steps_ms": [round(1e3 * t, 2) for t in measured]}), flush=True)
    os._exit(0)  # gloo's threads end in any order; the exit status must not depend on it


main()
