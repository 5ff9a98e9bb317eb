"""Repeats the steps that runtime_optim_test wrote with torch.optim and compares the results."""
import json
import pathlib
import sys

import torch

folder = pathlib.Path(sys.argv[1])
cases = json.loads((folder / "steps.json").read_text())
assert len(cases) == 12, len(cases)
for case in cases:
    parameter = torch.nn.Parameter(torch.tensor(case["start"], dtype=torch.float64))
    if case["rule"] == "adamw":
        optimizer = torch.optim.AdamW([parameter], lr=case["lr"], betas=(0.9, 0.95), eps=1e-8, weight_decay=case["decay"])
    else:
        optimizer = torch.optim.SGD([parameter], lr=case["lr"], momentum=0.0 if case["rule"] == "plain" else 0.9,
                                    nesterov=case["rule"] == "nesterov")
    for gradient in case["gradients"]:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    ours = torch.tensor(json.loads((folder / (case["end"] + ".json")).read_text()), dtype=torch.float64)
    error = (ours - parameter.detach()).abs().max().item()
    assert error < 1e-14, (case["end"], error)
    assert (ours - torch.tensor(case["start"], dtype=torch.float64)).abs().max() > 1e-3, case["end"]
print(f"{len(cases)} cases agree with torch.optim {torch.__version__}")
