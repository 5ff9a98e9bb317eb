"""The dense, sketched and factorized twins of train.toml side by side. See compare.sh."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
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


def file_name(*words):
    return "_".join(map(str, words)).replace(" ", "_")


class Trainer:
    """Runs trainings, `jobs` at a time; with several, each has cores of its own, as many as it has ranks."""

    def __init__(self, a):
        self.a, self.places = a, queue.Queue()
        cores = sorted(os.sched_getaffinity(0))
        if a.jobs * a.nproc > len(cores):
            sys.exit(f"--jobs {a.jobs} with {a.nproc} ranks each needs {a.jobs * a.nproc} cores; there are {len(cores)}")
        for job in range(a.jobs):  # the last cores: the first ones serve interrupts
            self.places.put(cores[len(cores) - (job + 1) * a.nproc:len(cores) - job * a.nproc] if a.jobs > 1 else cores)
        self.pool = concurrent.futures.ThreadPoolExecutor(a.jobs)

    def start(self, name, form, rate, seed, steps):
        """A future of the metrics of one run, one object per logged step."""
        return self.pool.submit(self.train, name, form, rate, seed, steps)

    def train(self, name, form, rate, seed, steps):
        a, place = self.a, self.places.get()
        command = [PANTHER, "train", str(HERE / "train.toml"), "--set", f"run.dir={a.out}/runs", "--set", f"run.name={name}", "--set", f"seed={seed}",
                   "--set", f"optim.lr={rate}", "--set", f"train.steps={steps}", "--set", f"train.eval_every={max(1, steps // 10)}",
                   "--set", "checkpoint.every=0", "--set", "profile.steps=0", "--set", f"schedule.warmup_steps={min(50, steps // 4)}", *FORMS[form]]
        if a.data:
            command += ["--set", f"data.path={a.data}"]
        if a.nproc > 1:
            command += ["--nproc", str(a.nproc)]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                  preexec_fn=lambda: os.sched_setaffinity(0, place))
        finally:
            self.places.put(place)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout[-3000:]}")
        lines = (pathlib.Path(a.out) / "runs" / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def values(metrics, tag):
    return [entry[tag] for entry in metrics if tag in entry]


def curve(metrics, step_seconds, tokens_per_step):
    """[(seconds of training, tokens, validation loss)]"""
    return [(entry["step"] * step_seconds, entry["step"] * tokens_per_step, entry["val/loss"]) for entry in metrics if "val/loss" in entry]


class Study:
    """One form: a probe of the step time, every rate on the first seed, then the other seeds at the best rate."""

    def __init__(self, a, trainer, form):
        self.a, self.trainer, self.form = a, trainer, form
        self.probe = trainer.start(file_name(form, "probe"), form, 1e-3, a.seeds[0], 40)

    def start_rates(self):
        probe = self.probe.result()
        self.step_seconds = statistics.median(values(probe, "perf/step_time_s"))
        self.tokens_per_step = round(self.step_seconds * values(probe, "perf/tokens_per_s")[-1] / 128) * 128
        self.steps = self.a.steps or max(20, round(self.a.seconds / self.step_seconds))
        print(f"{self.form}: {1e3 * self.step_seconds:.1f} ms a step, {self.steps} steps", flush=True)
        start = self.trainer.start
        self.runs = {rate: start(file_name(self.form, f"lr{rate}"), self.form, rate, self.a.seeds[0], self.steps) for rate in RATES}

    def start_seeds(self):
        self.runs = {rate: run.result() for rate, run in self.runs.items()}
        for rate, run in self.runs.items():
            print(f"{self.form}, lr {rate}: validation loss {values(run, 'val/loss')[-1]:.3f}", flush=True)
        self.best = min(RATES, key=lambda rate: values(self.runs[rate], "val/loss")[-1])
        self.others = [self.trainer.start(file_name(self.form, f"seed{seed}"), self.form, self.best, seed, self.steps) for seed in self.a.seeds[1:]]

    def result(self):
        best = self.runs[self.best]
        finals = [values(run, "val/loss")[-1] for run in (best, *(other.result() for other in self.others))]
        folder = pathlib.Path(self.a.out) / "runs" / file_name(self.form, "probe")
        plan = json.loads((folder / "checkpoints" / "latest" / "manifest.json").read_text())
        trained = sum(layer["parameters"] for layer in plan["layers"])
        return {"form": self.form, "lr": self.best, "steps": self.steps, "step_ms": 1e3 * self.step_seconds,
                "tokens_per_s": self.tokens_per_step / self.step_seconds, "trained": trained, "losses": finals, "mean": statistics.mean(finals),
                "spread": max(finals) - min(finals), "curve": curve(best, self.step_seconds, self.tokens_per_step)}


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
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, each on cores of its own")
    parser.add_argument("--data", default="", help="text to learn from in place of train.toml's")
    a = parser.parse_args()
    unknown = [form for form in a.forms.split(",") if form not in FORMS]
    if unknown:
        sys.exit(f"unknown form {unknown[0]!r}; known: {', '.join(FORMS)}")
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(a)
    studies = [Study(a, trainer, form) for form in a.forms.split(",")]
    for study in studies:
        study.start_rates()
    for study in studies:
        study.start_seeds()
    results = [study.result() for study in studies]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "table.md").write_text(table(results))
    for axis, column in (("seconds", 0), ("tokens", 1)):
        series = {r["form"]: [(point[column], point[2]) for point in r["curve"]] for r in results}
        (out / f"loss_against_{axis}.svg").write_text(line_plot(series, x_label=axis, y_label="validation loss, nats"))
    print(table(results) + f"written: {out}/table.md, {out}/loss_against_seconds.svg, {out}/loss_against_tokens.svg")


if __name__ == "__main__":
    main()
