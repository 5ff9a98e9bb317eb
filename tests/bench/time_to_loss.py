"""Seconds of training to an equal validation loss over a slow link: `auto` and forms of ours against DistributedDataParallel, plain and with its PowerSGD hook.

    tests/bench/time_to_loss.py [--rate 25mbit] [--steps 300] [--rounds 1] [--contenders auto] [--peers ddp-powersgd,ddp]   (root: it makes namespaces)
A byte GPT (4 x 256) on the C++ headers in two ranks of one thread, 8 x 128 tokens each; the last tenth of the text is held out. Ours train `--steps` steps, each
peer as many seconds as the slowest of them. One JSON line per round, contender and peer: the losses that the peer had reached after a third, two thirds and all of its
time, seconds of both to each of them, and their ratio; evaluations do not count, the first plans and what they cost do. The curves themselves come along."""
import argparse
import pathlib
import signal
import sys

from bench import gpt_config, report, scratch
from curves import curve_of, join_text, seconds_to, train, train_peer
from exchange import OURS, PEER
from network import Link

POINTS = 20


def rounded(curve):
    return [(round(seconds, 2), round(loss, 4)) for seconds, loss in curve]


def compare(own, peer):
    """[(loss, our seconds, the peer's, ratio)] at three losses that the peer reached."""
    rows = []
    for share in (1 / 3, 2 / 3, 1):
        _, loss = peer[max(0, round(share * len(peer)) - 1)]
        mine, theirs = seconds_to(own, loss), seconds_to(peer, loss)
        rows.append({"loss": round(loss, 4), "seconds": mine and round(mine, 2), "peer_seconds": round(theirs, 2), "ratio": mine and round(mine / theirs, 3)})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", default="25mbit")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--contenders", default="auto", type=lambda text: text.split(","))
    parser.add_argument("--peers", default="ddp-powersgd,ddp", type=lambda text: text.split(","))
    parser.add_argument("--text", default="/usr/include/c++/12")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces and ranks end with the bench
    with scratch() as folder, Link(a.rate) as link:
        text = join_text(a.text, pathlib.Path(folder) / "text.txt")
        for i in range(a.rounds):
            own = {}
            for name in a.contenders:
                size, options = OURS[name]
                config = gpt_config(folder, f"{name}_{i}", sketch_size=size, steps=a.steps, global_batch=16)
                own[name] = curve_of(train(link, config, folder, f"{name}_{i}", ["--set", f"seed={i + 1}", "--set", f"data.path={text}", "--set", "train.eval_batches=32",
                                                                                "--set", f"train.eval_every={max(1, a.steps // POINTS)}", *options]))
            seconds = max(curve[-1][0] for curve in own.values())
            for name in a.peers:
                line = train_peer(link, text, seconds, ["--seed", i + 1, *PEER[name]], eval_every=2 if name == "ddp" else 10)
                peer = [(at, loss) for _, at, loss in line["curve"]]
                for form, curve in own.items():
                    report(bench="time_to_loss", rate=a.rate, round=i, contender=form, peer=line["peer"], equal_loss=compare(curve, peer),
                           curve=rounded(curve), peer_curve=rounded(peer))


if __name__ == "__main__":
    main()
