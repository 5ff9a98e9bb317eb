"""The dense, sketched and factorized twins of train.toml side by side. See compare.sh."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from plot import line_plot

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PANTHER = os.environ.get("PANTHER", str(ROOT / "build" / "release" / "bin" / "panther"))
RATES = [5e-4, 1e-3, 2e-3]
# A factorized layer of inner width 2R costs what a sketched one of size R costs forward.
FORMS = {
    "dense": ["--set", "sketch.0.kind=dense"],
    "sketched R=32": ["--set", "sketch.0.kind=sketched", "--set", "sketch.0.sketch_size=32"],
    "sketched R=16": ["--set", "sketch.0.kind=sketched", "--set", "sketch.0.sketch_size=16"],
    "factorized 32": ["--set", "sketch.0.kind=factorized", "--set", "sketch.0.sketch_size=32"],
}


def train(a, name, form, rate, seed, steps):
    """The metrics of one run, one object per logged step."""
    command = [PANTHER, "train", str(HERE / "train.toml"), "--set", f"run.dir={a.out}/runs", "--set", f"run.name={name}", "--set", f"seed={seed}",
               "--set", f"optim.lr={rate}", "--set", f"train.steps={steps}", "--set", f"train.eval_every={max(1, steps // 10)}",
               "--set", "checkpoint.every=0", "--set", "profile.steps=0", "--set", f"schedule.warmup_steps={min(50, steps // 4)}", *FORMS[form]]
    if a.nproc > 1:
        command += ["--nproc", str(a.nproc)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-3000:]}")
    lines = (pathlib.Path(a.out) / "runs" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def values(metrics, tag):
    return [entry[tag] for entry in metrics if tag in entry]


def curve(metrics, step_seconds, tokens_per_step):
    """[(seconds of training, tokens, validation loss)]"""
    return [(entry["step"] * step_seconds, entry["step"] * tokens_per_step, entry["val/loss"]) for entry in metrics if "val/loss" in entry]


def study(a, form):
    """Best rate on the first seed, then all seeds at that rate."""
    probe = train(a, f"{form}_probe".replace(" ", "_"), form, 1e-3, a.seeds[0], 40)
    step_seconds = statistics.median(values(probe, "perf/step_time_s"))
    tokens_per_step = round(step_seconds * values(probe, "perf/tokens_per_s")[-1] / 128) * 128
    steps = a.steps or max(20, round(a.seconds / step_seconds))
    print(f"{form}: {1e3 * step_seconds:.1f} ms a step, {steps} steps", flush=True)
    runs = {}
    for rate in RATES:
        runs[rate] = train(a, f"{form}_lr{rate}".replace(" ", "_"), form, rate, a.seeds[0], steps)
        print(f"  lr {rate}: validation loss {values(runs[rate], 'val/loss')[-1]:.3f}", flush=True)
    best = min(RATES, key=lambda rate: values(runs[rate], "val/loss")[-1])
    finals = [values(runs[best], "val/loss")[-1]]
    for seed in a.seeds[1:]:
        finals.append(values(train(a, f"{form}_seed{seed}".replace(" ", "_"), form, best, seed, steps), "val/loss")[-1])
    plan = (pathlib.Path(a.out) / "runs" / f"{form}_probe".replace(" ", "_") / "checkpoints" / "latest" / "manifest.json").read_text()
    trained = sum(layer["parameters"] for layer in json.loads(plan)["layers"])
    return {"form": form, "lr": best, "steps": steps, "step_ms": 1e3 * step_seconds, "tokens_per_s": tokens_per_step / step_seconds, "trained": trained,
            "losses": finals, "mean": statistics.mean(finals), "spread": max(finals) - min(finals),
            "curve": curve(runs[best], step_seconds, tokens_per_step)}


def table(results):
    lines = ["| form | trained | step, ms | tokens/s | steps | best lr | validation loss (mean) | spread over seeds |", "|---|---|---|---|---|---|---|---|"]
    for r in results:
        lines.append(f"| {r['form']} | {r['trained'] / 1e6:.2f} M | {r['step_ms']:.1f} | {r['tokens_per_s']:.0f} | {r['steps']} | {r['lr']} | "
                     f"{r['mean']:.3f} | {r['spread']:.3f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--steps", type=int, default=0, help="equal steps in place of equal time")
    parser.add_argument("--seeds", default="1,2,3", type=lambda text: [int(s) for s in text.split(",")])
    parser.add_argument("--nproc", type=int, default=2)
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--out", default="runs/compare")
    a = parser.parse_args()
    unknown = [form for form in a.forms.split(",") if form not in FORMS]
    if unknown:
        sys.exit(f"unknown form {unknown[0]!r}; known: {', '.join(FORMS)}")
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    results = [study(a, form) for form in a.forms.split(",")]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "table.md").write_text(table(results))
    for axis, column in (("seconds", 0), ("tokens", 1)):
        series = {r["form"]: [(point[column], point[2]) for point in r["curve"]] for r in results}
        (out / f"loss_against_{axis}.svg").write_text(line_plot(series, x_label=axis, y_label="validation loss, nats"))
    print(table(results) + f"written: {out}/table.md, {out}/loss_against_seconds.svg, {out}/loss_against_tokens.svg")


if __name__ == "__main__":
    main()
