"""Does a lossy exchange learn what the exact one learns? Final validation loss over several seeds, two local ranks, no throttle (time does not matter).

    tests/bench/parity.py [--cases mlp,gpt] [--seeds 1,2,3,4,5] [--steps 200] [--contenders none,half,quantize,powersgd,auto | --ablation]
One JSON line per case: for each contender the mean and the standard deviation of the validation loss over the seeds, and the mean difference to `none` of the same seed
over the standard deviation of `none` (E3: within one of them). `auto` plans for a link of 25 Mb/s. --ablation: all contenders."""
import argparse
import json
import pathlib
import statistics

from bench import PANTHER, environment, gpt_config, mlp_config, report, run, scratch

CONTENDERS = {
    "none": [],
    "half": ["--set", "comm.exchange=half"],
    "quantize": ["--set", "comm.exchange=quantize", "--set", "comm.codec.bits=4"],
    "powersgd": ["--set", "comm.exchange=powersgd", "--set", "comm.codec.rank=4"],
    "powersgd-1": ["--set", "comm.exchange=powersgd", "--set", "comm.codec.rank=1"],
    "auto": ["--set", "comm.exchange=auto", "--set", "comm.auto.link_mbit=25"],
    "auto-settled": ["--set", "comm.exchange=auto", "--set", "comm.auto.link_mbit=25", "--set", "comm.auto.settle=1"],
}


def codec(name, *settings):
    return ["--set", f"comm.exchange={name}", *(word for setting in settings for word in ("--set", f"comm.codec.{setting}"))]


# E4: what error feedback, momentum and the form are worth, each alone.
NO_FEEDBACK = "error_feedback=false"
LOCAL = ["--set", "comm.local.every=10", "--set", "checkpoint.every=0", "--set", "train.eval_every=0"]
CONTENDERS |= {
    "powersgd-noef": codec("powersgd", "rank=4", NO_FEEDBACK),
    "powersgd-alternating": codec("powersgd", "rank=4", "alternating=true"),
    "powersgd-alternating-noef": codec("powersgd", "rank=4", "alternating=true", NO_FEEDBACK),
    "quantize-1": codec("quantize", "bits=1"),
    "quantize-1-noef": codec("quantize", "bits=1", NO_FEEDBACK),
    "quantize-2": codec("quantize", "bits=2"),
    "quantize-2-noef": codec("quantize", "bits=2", NO_FEEDBACK),
    "quantize-2-stochastic": codec("quantize", "bits=2", "stochastic=true", NO_FEEDBACK),
    "sign": codec("sign"),
    "sign-noef": codec("sign", NO_FEEDBACK),
    "sign-momentum": codec("sign", "momentum=0.9"),
    "top_k": codec("top_k", "density=0.01"),
    "top_k-noef": codec("top_k", "density=0.01", NO_FEEDBACK),
    "random_k": codec("random_k", "density=0.05"),
    "random_k-noef": codec("random_k", "density=0.05", NO_FEEDBACK),
    "srht": codec("srht", "density=0.05"),
    "srht-noef": codec("srht", "density=0.05", NO_FEEDBACK),
    "count_sketch": codec("count_sketch", "density=0.001"),
    "local-10": LOCAL,
    "local-10-diloco": [*LOCAL, "--set", "comm.local.outer_lr=0.7", "--set", "comm.local.outer_momentum=0.9"],
}
CASES = {"mlp": mlp_config, "gpt": gpt_config}


def final_loss(folder, case, contender, seed, a):
    name = f"{case}_{contender}_{seed}"
    config = CASES[case](folder, name, steps=a.steps, global_batch=16)
    run([PANTHER, "train", config, "--nproc", 2, "--set", f"seed={seed}", "--set", "train.eval_batches=32", *CONTENDERS[contender]], environment(1))
    lines = [json.loads(line) for line in (pathlib.Path(folder) / name / "metrics.jsonl").read_text().splitlines()]
    return [line["val/loss"] for line in lines if "val/loss" in line][-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="mlp,gpt")
    parser.add_argument("--seeds", default="1,2,3,4,5", type=lambda text: [int(seed) for seed in text.split(",")])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--contenders", default="none,half,quantize,powersgd,auto", type=lambda text: text.split(","))
    parser.add_argument("--ablation", action="store_true")
    a = parser.parse_args()
    if a.ablation:
        a.contenders = list(CONTENDERS)
    with scratch() as folder:
        for case in a.cases.split(","):
            losses = {contender: [final_loss(folder, case, contender, seed, a) for seed in a.seeds] for contender in a.contenders}
            spread = statistics.stdev(losses["none"]) if len(a.seeds) > 1 else None
            figures = {contender: {"mean": round(statistics.mean(values), 4), "sd": round(statistics.stdev(values), 4) if len(values) > 1 else None,
                                   "difference_in_sd": round(statistics.mean(v - n for v, n in zip(values, losses["none"])) / spread, 2) if spread else None}
                       for contender, values in losses.items()}
            report(bench="parity", case=case, steps=a.steps, seeds=len(a.seeds), contenders=figures)


if __name__ == "__main__":
    main()
