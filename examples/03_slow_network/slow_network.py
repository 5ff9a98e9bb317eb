"""Dense and sketched training over a slow link, for equal wall time. See run.sh."""
import argparse
import json
import pathlib
import signal
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "examples" / "01_sketched_gpt")]

from bench import metric  # noqa: E402
from curves import curve_of, join_text, train, train_peer  # noqa: E402
from network import Link  # noqa: E402
from plot import line_plot  # noqa: E402

DENSE = ["--set", "sketch.0.kind=dense"]
FORMS = {
    "dense": [*DENSE, "--set", "comm.exchange=none"],
    "dense, auto": DENSE,
    "sketched, auto": [],
}
PEER_FORMS = {"PyTorch DDP": ["--hook", "none"], "PyTorch DDP, PowerSGD": ["--hook", "powersgd", "--rank", "4"]}
# Evaluations of a run; each is left out of the time.
POINTS = 12


def train_form(link, a, name, options, steps):
    return train(link, HERE / "train.toml", a.out / "runs", name,
                 ["--set", f"data.path={a.text}", "--set", f"train.steps={steps}", "--set", f"train.eval_every={max(1, steps // POINTS)}", *options])


def steps_within(seconds, probe):
    """Steps that fit into `seconds` when a run begins with steps of the `probe`'s times and goes on like its last ones."""
    spent = 0.0
    for done, taken in enumerate(probe):
        if spent + taken > seconds:
            return done
        spent += taken
    return len(probe) + int((seconds - spent) / statistics.median(probe[-5:]))


def ours(link, a, form, options):
    name = form.replace(", ", "_")
    probe = train_form(link, a, f"{name}_probe", options, a.probe if "auto" in form else 6)
    steps = max(POINTS, steps_within(a.seconds, [entry["perf/step_time_s"] for entry in probe if "perf/step_time_s" in entry]))
    entries = train_form(link, a, name, options, steps)
    step_times = [entry["perf/step_time_s"] for entry in entries if "perf/step_time_s" in entry]
    return {"form": form, "steps": steps, "step_ms": 1e3 * statistics.median(step_times), "bytes": metric(a.out / "runs" / name, "comm/bytes", 0)[-1],
            "curve": curve_of(entries)}


def peer(link, a, form, options):
    line = train_peer(link, a.text, a.seconds, options, eval_every=2 if "none" in options else 10)
    return {"form": form, "steps": len(line["steps_ms"]), "step_ms": line["step_ms"], "bytes": None,
            "curve": [(seconds, loss) for _, seconds, loss in line["curve"]]}


def table(results):
    lines = ["| form | ms per step | steps | sent per rank and step | validation loss |", "|---|---|---|---|---|"]
    for r in results:
        sent = "" if r["bytes"] is None else f"{r['bytes'] / 1e6:.2f} MB"
        lines.append(f"| {r['form']} | {r['step_ms']:.1f} | {r['steps']} | {sent} | {r['curve'][-1][1]:.3f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", default="25mbit")
    parser.add_argument("--seconds", type=float, default=60, help="of training, for each form")
    parser.add_argument("--probe", type=int, default=80, help="steps of a trial that tells how long a step takes")
    parser.add_argument("--text", default="/usr/include/c++/12", help="file or folder to learn from")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs" / "slow_network")
    a = parser.parse_args()
    a.out = a.out.resolve()
    a.out.mkdir(parents=True, exist_ok=True)
    if pathlib.Path(a.text).is_dir():
        a.text = join_text(a.text, a.out / "text.txt")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces and ranks end with this program
    results = []
    with Link(a.rate) as link:
        for form, options in FORMS.items():
            print(f"{form} ...", flush=True)
            results.append(ours(link, a, form, options))
        for form, options in PEER_FORMS.items() if a.peers else ():
            print(f"{form} ...", flush=True)
            results.append(peer(link, a, form, options))
    (a.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (a.out / "table.md").write_text(table(results))
    plot = line_plot({r["form"]: r["curve"] for r in results}, x_label=f"seconds of training, {a.rate}", y_label="validation loss, nats")
    (a.out / "loss_against_seconds.svg").write_text(plot)
    print(table(results) + f"written: {a.out}/table.md, {a.out}/loss_against_seconds.svg")


if __name__ == "__main__":
    main()
