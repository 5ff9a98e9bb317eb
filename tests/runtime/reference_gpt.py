"""A GPT written with torch.nn alone: random weights, a batch, the loss and every gradient, as safetensors for the C++ test.

usage: reference_gpt.py <folder>; writes <folder>/<case>_<dtype>.safetensors
"""
import math
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

VOCABULARY, SEQUENCE, WIDTH, HEADS, LAYERS, SAMPLES = 37, 24, 48, 4, 3, 5
CASES = {
    "gelu_layer_tied": dict(mlp="gelu", norm="layer", tied=True, bias=True),
    "swiglu_rms_untied": dict(mlp="swiglu", norm="rms", tied=False, bias=False),
}


class Rms(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class Attention(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=bias)
        self.proj = nn.Linear(WIDTH, WIDTH, bias=bias)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (part.view(b, t, HEADS, -1).transpose(1, 2) for part in self.qkv(x).split(WIDTH, dim=2))
        scores = q @ k.transpose(2, 3) / math.sqrt(WIDTH // HEADS)
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(b, t, WIDTH))


class FeedForward(nn.Module):
    def __init__(self, kind, bias):
        super().__init__()
        if kind == "swiglu":
            self.gate = nn.Linear(WIDTH, 4 * WIDTH, bias=bias)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=bias)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=bias)

    def forward(self, x):
        hidden = F.silu(self.gate(x)) * self.up(x) if hasattr(self, "gate") else F.gelu(self.up(x))
        return self.down(hidden)


class Block(nn.Module):
    def __init__(self, norm, mlp, bias):
        super().__init__()
        self.norm1 = norm()
        self.attention = Attention(bias)
        self.norm2 = norm()
        self.mlp = FeedForward(mlp, bias)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, mlp, norm, tied, bias):
        super().__init__()
        make_norm = (lambda: nn.LayerNorm(WIDTH, bias=bias)) if norm == "layer" else (lambda: Rms(WIDTH))
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(SEQUENCE, WIDTH)
        self.blocks = nn.ModuleList(Block(make_norm, mlp, bias) for _ in range(LAYERS))
        self.norm = make_norm()
        if not tied:
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x) if hasattr(self, "head") else x @ self.tokens.weight.T


def write(folder, name, options, dtype):
    torch.manual_seed(17)
    model = Gpt(**options).to(dtype)
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.add_(0.05 * torch.randn(parameter.shape, dtype=dtype))
    inputs = torch.randint(VOCABULARY, (SAMPLES, SEQUENCE))
    targets = torch.randint(VOCABULARY, (SAMPLES, SEQUENCE))
    loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum")
    loss.backward()
    tensors = {"batch.inputs": inputs, "batch.targets": targets, "loss": loss.detach().reshape(1)}
    for key, parameter in model.named_parameters():
        tensors["weight." + key] = parameter.detach()
        tensors["gradient." + key] = parameter.grad
    save_file(tensors, folder / f"{name}.safetensors")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for case, options in CASES.items():
        write(folder, case + "_f32", options, torch.float32)
        write(folder, case + "_f64", options, torch.float64)


if __name__ == "__main__":
    main()
