"""Two ranks in two network namespaces over a throttled link: step times against PyTorch DDP over gloo, bytes against the ledger, overlap.

    tests/bench/link.py [--rates none,1gbit,100mbit] [--rounds 3] [--steps 15]      (root: it makes namespaces)
Every rank has one thread. tbf stands on both sender sides. One JSON line per figure."""
import argparse
import json
import os
import statistics
import re
import subprocess
import threading
import time

from bench import PANTHER, PEERS, PYTHON, environment, gpt_config, interval, library_path, metric, report, scratch


class Link:
    """Two namespaces joined by a pair of virtual interfaces, throttled on both sides."""

    def __init__(self, rate):
        tag = f"pb{os.getpid()}"
        self.spaces = [f"{tag}a", f"{tag}b"]
        self.ports = [f"{tag}v", f"{tag}w"]
        self.rate = rate

    def __enter__(self):
        for space in self.spaces:
            ip("netns", "add", space)
        ip("link", "add", self.ports[0], "netns", self.spaces[0], "type", "veth", "peer", "name", self.ports[1], "netns", self.spaces[1])
        for i, (space, port) in enumerate(zip(self.spaces, self.ports)):
            ip("-n", space, "addr", "add", f"10.77.0.{i + 1}/24", "dev", port)
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", port, "up")
            if self.rate != "none":
                subprocess.run(["ip", "netns", "exec", space, "tc", "qdisc", "add", "dev", port, "root", "tbf", "rate", self.rate, "burst", "64kb",
                                "latency", "50ms"], check=True)
        return self

    def __exit__(self, *_):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], check=False)

    def run_both(self, command, env_of):
        """Starts rank 0 and 1 in their namespaces; returns rank 0's output."""
        ranks = []
        for rank, space in enumerate(self.spaces):
            env = environment(1, RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE="2", LOCAL_WORLD_SIZE="1", GROUP_RANK=str(rank), MASTER_ADDR="10.77.0.1",
                              MASTER_PORT="29571", GLOO_SOCKET_IFNAME=self.ports[rank], **env_of(rank))
            ranks.append(subprocess.Popen(["ip", "netns", "exec", space, *map(str, command)], env=env, text=True, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL))
        outputs = [process.communicate(timeout=600) for process in ranks]
        if any(process.returncode for process in ranks):
            raise SystemExit(f"{command}: {[p.returncode for p in ranks]}\n{outputs[0][1][-3000:]}\n{outputs[1][1][-3000:]}")
        return outputs[0][0]


class SocketBytes:
    """TCP_INFO's bytes_sent over all sockets of a namespace, watched until the end of a run: payload and retransmissions, no headers."""

    def __init__(self, space):
        self.space, self.sent, self.stop = space, {}, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stop.is_set():
            text = subprocess.run(["ip", "netns", "exec", self.space, "ss", "-tinOH"], stdout=subprocess.PIPE, text=True, check=False).stdout
            for line in text.splitlines():
                found = re.search(r"bytes_sent:(\d+)", line)
                if found:
                    ends = tuple(line.split()[3:5])
                    self.sent[ends] = max(self.sent.get(ends, 0), int(found.group(1)))
            time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def total(self):
        return sum(self.sent.values())


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def ours(link, folder, name, sketch, a, *extra):
    config = gpt_config(folder, name, sketch_size=sketch, steps=a.steps + 5, global_batch=16)
    with SocketBytes(link.spaces[0]) as sockets:
        link.run_both([PANTHER, "train", config, "--set", "comm.backend=gloo", *extra], lambda rank: {})
    run_folder = f"{folder}/{name}"
    return {"step_ms": 1e3 * statistics.median(metric(run_folder, "perf/step_time_s")), "bytes": metric(run_folder, "comm/bytes")[0],
            "socket_over_ledger": sockets.total() / sum(metric(run_folder, "comm/bytes", skip=0)),
            "exposed_ms": 1e3 * statistics.median(metric(run_folder, "comm/exposed_s")),
            "collective_ms": 1e3 * statistics.median(metric(run_folder, "comm/time_s")),
            "backward_ms": 1e3 * statistics.median(metric(run_folder, "perf/backward_s"))}


def peer(link, sketch, a):
    command = [PYTHON, PEERS / "gpt_torch.py", "--sketch", sketch, "--threads", 1, "--steps", a.steps]
    return json.loads(link.run_both(command, lambda rank: {"LD_LIBRARY_PATH": library_path()}).splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="none,1gbit,100mbit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    a = parser.parse_args()
    with scratch() as folder:
        for rate in a.rates.split(","):
            with Link(rate) as link:
                rounds = []
                for i in range(a.rounds):
                    dense = ours(link, folder, f"dense_{rate}_{i}", 0, a)
                    theirs = peer(link, 0, a)
                    sketched = ours(link, folder, f"sketched_{rate}_{i}", 16, a)
                    rounds.append((dense, theirs, sketched))
                dense, theirs, sketched = rounds[-1]
                report(bench="two_ranks", rate=rate, model="gpt 4x256, batch 8x128 per rank", wire="f32", peer=theirs["peer"],
                       dense_step_ms=round(statistics.median(r[0]["step_ms"] for r in rounds), 1),
                       peer_step_ms=round(statistics.median(r[1]["step_ms"] for r in rounds), 1),
                       sketched_step_ms=round(statistics.median(r[2]["step_ms"] for r in rounds), 1),
                       dense_over_peer=interval([r[0]["step_ms"] / r[1]["step_ms"] for r in rounds]),
                       sketched_over_peer=interval([r[2]["step_ms"] / r[1]["step_ms"] for r in rounds]),
                       socket_bytes_over_ledger=[round(dense["socket_over_ledger"], 4), round(sketched["socket_over_ledger"], 4)],
                       dense_bytes=dense["bytes"], sketched_bytes=sketched["bytes"],
                       overlap_efficiency_dense=round(1 - dense["exposed_ms"] / max(dense["collective_ms"], 1e-9), 3),
                       overlap_efficiency_sketched=round(1 - sketched["exposed_ms"] / max(sketched["collective_ms"], 1e-9), 3))


if __name__ == "__main__":
    main()
