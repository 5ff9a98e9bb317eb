"""Two ranks in two network namespaces over a throttled link: step times against PyTorch DDP over gloo, bytes against the ledger, overlap.

    tests/bench/link.py [--rates none,1gbit,100mbit] [--cases gpt,mlp,large,long,backends] [--rounds 3] [--steps 12] (root: it makes namespaces)
Every rank has one thread. One JSON line per figure. Cases: gpt (dense and sketched against DDP's dense), mlp (784-1024-1024-10, the same), large (GPT,
32 x 128 tokens per rank, bf16 wire, no peer: its exchange is shorter than backward, dense at 1 Gb/s and sketched at 100 Mb/s), long (128 x 128 tokens:
shorter dense at 100 Mb/s too), backends (this host, no throttle: tcp, gloo and Open MPI in turns).

Overlap, per configuration, from the timelines of both ranks: exposed = from when the last rank ended backward until the last one has all sums, the time in
which nobody computes; comm = bytes over the rate (without a throttle: time in collectives). efficiency = 1 - exposed / comm, and possible = what it would be
if communication began with backward. step_over_compute: the step over that of the same two processes at the same time as worlds of one (of each step the
slower one), so it also holds what sending costs the processors that compute."""
import argparse
import json
import pathlib
import signal
import statistics
import sys

from bench import PANTHER, PEERS, PYTHON, environment, gpt_config, interval, library_path, metric, mlp_config, report, run, scratch
from network import Link, SentBytes

BYTES_OVER_LEDGER = ("sockets_over_ledger", "retransmitted_over_ledger", "interface_over_ledger")
# Of a link's rate, what TCP delivers of the payload: 1448 of 1514 bytes.
TCP_SHARE = 1448 / 1514


def ms(folder, tag):
    return 1e3 * statistics.median(metric(folder, tag))


class Model:
    """How one case is configured on our side and started on the peer's."""

    def __init__(self, name, config, batch, peer, sketch_size, options=()):
        self.name, self.config, self.batch, self.peer, self.sketch_size, self.options = name, config, batch, peer, sketch_size, options

    def file(self, folder, name, sketch_size, steps, ranks):
        return self.config(folder, name, sketch_size=sketch_size, steps=steps + 5, global_batch=self.batch * ranks)


MODELS = {
    "gpt": Model("gpt 4x256, 8x128 tokens per rank", gpt_config, 8, ("gpt_torch.py", "--batch", 8), 16),
    "mlp": Model("mlp 784-1024-1024-10, 8 rows per rank", mlp_config, 8, ("mlp_torch.py", "--batch", 8), 16),
    "large": Model("gpt 4x256, 32x128 tokens per rank, bf16 wire", gpt_config, 32, None, 16, ("--set", "comm.exchange=half")),
    "long": Model("gpt 4x256, 128x128 tokens per rank, bf16 wire", gpt_config, 128, None, 16, ("--set", "comm.exchange=half")),
}


def ours(link, folder, name, model, sketch_size, a):
    config = model.file(folder, name, sketch_size, a.steps, 2)
    with SentBytes(link) as sent:
        link.run_all([PANTHER, "train", config, "--set", "comm.backend=tcp", "--set", "profile.start_step=6", "--set", f"profile.steps={a.steps}", *model.options])
    run_folder = f"{folder}/{name}"
    ledger = sum(metric(run_folder, "comm/bytes", skip=0))
    return {"step_ms": ms(run_folder, "perf/step_time_s"), "backward_ms": ms(run_folder, "perf/backward_s"), "bytes": metric(run_folder, "comm/bytes")[0],
            "collective_ms": ms(run_folder, "comm/time_s"), "exposed_ms": statistics.median(exposed_ms(run_folder)),
            **{key: round(counted / ledger, 4) for key, counted in zip(BYTES_OVER_LEDGER, (sent.sockets, sent.retransmitted, sent.interface))}}


def exposed_ms(run_folder):
    """By step, see above."""
    ends = {}
    for trace in pathlib.Path(run_folder).glob("traces/rank_*.json"):
        for event in json.loads(trace.read_text())["traceEvents"]:
            if event["name"] in ("backward", "exchange wait"):
                by_step = ends.setdefault(event["name"], {})
                step = event["args"]["n"]
                by_step[step] = max(by_step.get(step, 0), event["ts"] + event["dur"])
    return [1e-3 * (ends["exchange wait"][step] - end) for step, end in ends["backward"].items()]


def compute_ms(link, folder, name, model, sketch_size, a):
    """Both cores as busy as in the pair, nothing exchanged."""
    files = tuple(model.file(folder, f"{name}_{i}", sketch_size, a.steps, 1) for i in range(2))
    link.run_all([PANTHER, "train", files], together=False)
    return 1e3 * statistics.median(map(max, *(metric(f"{folder}/{name}_{i}", "perf/step_time_s") for i in range(2))))


def peer(link, model, a):
    script, *options = model.peer
    command = ["env", f"LD_LIBRARY_PATH={library_path()}", PYTHON, PEERS / script, "--threads", 1, "--steps", a.steps, *options]
    return json.loads(link.run_all(command).splitlines()[-1])


def overlap(link, rounds, computes):
    """Medians over the rounds of one configuration."""
    median = {key: statistics.median(r[key] for r in rounds) for key in ("step_ms", "backward_ms", "collective_ms", "exposed_ms", "bytes")}
    rate = link.bits_per_second()
    comm = 8e3 * median["bytes"] / (rate * TCP_SHARE) if rate else median["collective_ms"]
    compute = statistics.median(computes)
    return {"step_ms": round(median["step_ms"], 1), "compute_ms": round(compute, 1), "step_over_compute": round(median["step_ms"] / compute, 3),
            "backward_ms": round(median["backward_ms"], 1), "comm_ms": round(comm, 1), "exposed_ms": round(median["exposed_ms"], 2), "bytes": median["bytes"],
            "efficiency": round(1 - median["exposed_ms"] / comm, 3), "possible": round(min(1, median["backward_ms"] / comm), 3),
            **{key: [r[key] for r in rounds] for key in BYTES_OVER_LEDGER}}


def measure(link, folder, case, a):
    model = MODELS[case]
    forms = {"dense": 0, "sketched": model.sketch_size}
    rounds, computes, peers = {form: [] for form in forms}, {form: [] for form in forms}, []
    for i in range(a.rounds):
        for form, size in forms.items():
            name = f"{case}_{form}_{link.rate}_{i}"
            rounds[form].append(ours(link, folder, name, model, size, a))
            if model.peer:
                peers.append(peer(link, model, a))
            computes[form].append(compute_ms(link, folder, name + "_alone", model, size, a))
    figures = {form: overlap(link, rounds[form], computes[form]) for form in forms}
    if model.peer:
        theirs = [p["step_ms"] for p in peers]
        figures |= {"peer": peers[0]["peer"], "peer_step_ms": round(statistics.median(theirs), 1)}
        for k, form in enumerate(forms):
            figures[f"{form}_over_peer"] = interval([r["step_ms"] / p for r, p in zip(rounds[form], theirs[k::len(forms)])])
    report(bench="two_ranks", case=case, rate=link.rate, model=model.name, steps=a.steps, **figures)


def backends(folder, a):
    """One host: our launcher with sockets of our own and with gloo against mpirun with Open MPI."""
    for form, size in (("dense", 0), ("sketched", 16)):
        times = {"tcp": [], "gloo": [], "mpi": []}
        for i in range(a.rounds):
            for backend in times:
                name = f"{backend}_{form}_{i}"
                config = gpt_config(folder, name, sketch_size=size, steps=a.steps + 5, global_batch=16)
                launch = ["mpirun", "-np", 2, "--bind-to", "none", PANTHER, "train", config] if backend == "mpi" else [PANTHER, "train", config, "--nproc", 2]
                run([*launch, "--set", f"comm.backend={backend}"], environment(1, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1"))
                times[backend].append((ms(f"{folder}/{name}", "perf/step_time_s"), ms(f"{folder}/{name}", "comm/time_s")))
        report(bench="backends", model="gpt 4x256, 8x128 tokens per rank", form=form, steps=a.steps,
               **{f"{backend}_step_ms": round(statistics.median(t[0] for t in values), 1) for backend, values in times.items()},
               **{f"{backend}_collective_ms": round(statistics.median(t[1] for t in values), 1) for backend, values in times.items()},
               **{f"{other}_over_tcp": interval([o[0] / t[0] for o, t in zip(times[other], times["tcp"])]) for other in ("gloo", "mpi")})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="none,1gbit,100mbit")
    parser.add_argument("--cases", default="gpt,mlp,large,backends")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    a = parser.parse_args()
    cases = a.cases.split(",")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces and ranks end with the bench
    with scratch() as folder:
        if "backends" in cases:
            backends(folder, a)
        for rate in a.rates.split(","):
            with Link(rate) as link:
                for case in MODELS:
                    if case in cases:
                        measure(link, folder, case, a)


if __name__ == "__main__":
    main()
