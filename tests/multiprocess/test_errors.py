"""Bad input: the exit code of docs/errors.md, a message that names the place and the remedy, nothing half-written."""
import os
import pathlib
import re
import socket
import subprocess
import unittest

from job import Job, PANTHER


def crc32c(data):
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Errors(Job):
    def refuse(self, code, *fragments, extra=(), edit=lambda text: text, ranks=1, env=(), keeps_clean=True):
        done = self.train("bad", *extra, ranks=ranks, code=code, steps=3, edit=edit, env=env)
        for fragment in fragments:
            self.assertRegex(done.stderr, fragment)
        if keeps_clean:
            self.assertFalse(self.run_folder("bad").exists(), "nothing may be written")
        return done

    def test_configuration(self):
        cases = [
            ((r"layerz", r"bad\.toml:\d+", r"layers"), lambda t: t.replace("layers = 2", "layerz = 2")),
            ((r"model\.layers", r"whole number"), lambda t: t.replace("layers = 2", 'layers = "two"')),
            ((r"optim\.lr", r"-1"), lambda t: t.replace("lr = 3e-3", "lr = -1")),
            ((r"model\.kind|unknown model", r"gpt"), lambda t: t.replace('kind = "gpt"', 'kind = "gbt"')),
            ((r"model\.width", r"heads"), lambda t: t.replace("heads = 2", "heads = 5")),
            ((r"warmup_steps",), lambda t: t.replace('kind = "constant"\nwarmup_steps = 0', 'kind = "cosine"\nwarmup_steps = 100')),
            ((r"sketch\[0\] \(.*bad\.toml:\d+", r"match is empty"), lambda t: t.replace('match = "blocks.*.mlp.*"\n', "")),
            ((r"sketch_size", r"bad\.toml:\d+"), lambda t: t.replace("sketch_size = 8", "sketch_size = 800")),
            ((r"no layer|matches no", r"blockz"), lambda t: t.replace("blocks.*.mlp.*", "blockz.*")),
            ((r"bad\.toml:\d+",), lambda t: t.replace("layers = 2", "layers = = 2")),
            ((r"train\.eval_every", r"comm\.local\.every", r"multiple"), lambda t: t.replace("eval_every = 0", "eval_every = 3") + "[comm.local]\nevery = 2\n"),
            ((r"comm\.shard_optimizer", r"powersgd", r"none"), lambda t: t + "[comm]\nshard_optimizer = true\nexchange = \"powersgd\"\n"),
            ((r"comm\.auto\.plan \(.*bad\.toml:\d+", r"powersg-4", r"powersgd"), lambda t: t + "[comm]\nexchange = \"auto\"\n[comm.auto]\nplan = \"half, powersg-4\"\n"),
            ((r"comm\.auto\.candidates \(.*bad\.toml:\d+", r"must hold half"), lambda t: t + "[comm]\nexchange = \"auto\"\n[comm.auto]\ncandidates = [\"none\"]\n"),
            ((r"comm\.hierarchy", r"node_ranks"), lambda t: t + "[comm.hierarchy]\nmode = \"set\"\n"),
            ((r"comm\.local\.every = 10", r"fragments = 3"), lambda t: t + "[comm.local]\nevery = 10\nfragments = 3\n"),
            ((r"comm\.local\.delay = 2", r"below 2"), lambda t: t + "[comm.local]\nevery = 10\nfragments = 5\ndelay = 2\n"),
        ]
        for fragments, edit in cases:
            with self.subTest(fragments=fragments):
                self.refuse(64, *fragments, edit=edit)

    def test_overrides(self):
        self.refuse(64, r"--set", r"optim\.lr", extra=("--set", "optim.rl=1"))
        self.refuse(64, r"--set", extra=("--set", "nonsense"))

    def test_data(self):
        missing = str(self.dir / "nowhere")
        self.refuse(64, r"data\.path", r"nowhere", edit=lambda t: t.replace(f"{self.dir}/text", missing))
        (self.dir / "empty").mkdir()
        self.refuse(64, r"data\.path", edit=lambda t: t.replace(f"{self.dir}/text", f"{self.dir}/empty"))
        (self.dir / "binary.bin").write_bytes(bytes(range(256)) * 100)
        self.refuse(64, r"binary", edit=lambda t: t.replace(f"{self.dir}/text", f"{self.dir}/binary.bin"))
        (self.dir / "short.txt").write_text("short")
        self.refuse(64, r"seq_len|sequence", edit=lambda t: t.replace(f"{self.dir}/text", f"{self.dir}/short.txt"))

    def test_usage(self):
        self.assertEqual(self.command("trian").returncode, 64)
        self.assertIn("train", self.command("trian").stderr)
        self.assertEqual(self.command("train", str(self.dir / "absent.toml")).returncode, 64)
        self.refuse(64, r"--resume", extra=("--resmue", "auto"))

    def test_more_ranks_than_samples(self):
        self.refuse(64, r"global_batch", edit=lambda t: t.replace("global_batch = 8", "global_batch = 1"), ranks=2)

    def test_a_checkpoint_that_is_not_there(self):
        self.refuse(64, r"no checkpoint", r"nowhere", extra=("--resume", str(self.dir / "nowhere")))
        self.train("run", steps=1)
        self.refuse(64, r"another model", r"model\.width is 32 there and 64 here", extra=("--resume", str(self.run_folder("run"))), edit=lambda t: t.replace("width = 32", "width = 64"))

    def test_memory_runs_out(self):
        """A layer of four terabytes: torch's refusal is an OutOfMemory of ours."""
        def edit(text):
            text = re.sub(r"\[data\].*?\[model\]", '[data]\nkind = "synthetic"\nsamples = 64\nfeatures = 2\n[model]', text, flags=re.S)
            text = text.replace('kind = "gpt"', 'kind = "mlp"').replace("width = 32", "width = 1048576")
            return text.replace('match = "blocks.*.mlp.*"', 'match = "*"\nkind = "dense"')
        self.refuse(69, r"memory ran out", r"more ranks", edit=edit)

    def test_device(self):
        if os.path.exists("/dev/nvidia0"):
            self.skipTest("this machine has a GPU")
        self.refuse(65, r"CUDA|driver", edit=lambda t: t.replace('device = "cpu"', 'device = "cuda"'))

    def test_run_folder_not_writable(self):
        (self.dir / "file").write_text("")
        self.refuse(74, r"run\.dir", edit=lambda t: t.replace(f"{self.dir}/runs", f"{self.dir}/file/runs"))

    def test_a_rank_with_another_configuration(self):
        """Two ranks by hand, one with another learning rate: both end with the same message."""
        config = self.config("bad", steps=3)
        store = self.dir / "store"
        store.mkdir()
        ranks = []
        for rank, extra in ((0, []), (1, ["--set", "optim.lr=0.1"])):
            env = {**self.env, "PANTHER_RANK": str(rank), "PANTHER_WORLD_SIZE": "2", "PANTHER_LOCAL_RANK": str(rank),
                   "PANTHER_LOCAL_WORLD_SIZE": "2", "PANTHER_STORE": f"file://{store}"}
            ranks.append(subprocess.Popen([PANTHER, "train", config, *extra], cwd=self.dir, env=env, text=True, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL))
        for process in ranks:
            _, stderr = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 64, stderr)
            self.assertIn("configuration", stderr)

    def test_partial_environment(self):
        self.refuse(64, r"WORLD_SIZE", env={"RANK": "0"})

    def test_port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            env = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            self.refuse(74, port, env=env, extra=("--set", "comm.timeout_seconds=5"))

    def test_checkpoints(self):
        self.train("run", steps=3)
        folder = self.step_folder("run", 3)
        model = folder / "model.safetensors"
        whole = model.read_bytes()
        for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
            model.write_bytes(whole[:size])
            done = self.command("inspect", str(folder))
            self.assertEqual(done.returncode, 70, f"{size}: {done.stderr}")
            self.assertIn("model.safetensors", done.stderr)
        model.write_bytes(whole)
        manifest = folder / "manifest.json"
        text = manifest.read_text()
        self.assertEqual(self.command("inspect", str(folder)).returncode, 0)
        newer = re.sub(r'"version"\s*:\s*\d+', '"version": 999', text, count=1)
        manifest.write_text(newer)
        self.assertEqual(self.command("inspect", str(folder)).returncode, 70, "not what DONE was written for")
        (folder / "DONE").write_text(f"panther checkpoint: manifest.json {len(newer)} bytes, crc32c {crc32c(newer.encode()):08x}\n")
        for words in (("inspect", str(folder)), ("generate", str(folder), "--tokens", "1"), ("train", self.config("run", steps=4), "--resume", str(folder))):
            done = self.command(*words)
            self.assertEqual(done.returncode, 65, done.stderr)
            self.assertRegex(done.stderr, r"version 999.*use a Panther at least as new")
        self.assertEqual(self.command("inspect", str(self.dir / "text")).returncode, 64)

    def test_diverging_run_stops_with_non_finite(self):
        done = self.train("run", "--set", "optim.lr=1e30", "--set", "optim.clip=0", "--set", "optim.kind=sgd", "--set", "optim.max_nonfinite=3",
                          steps=60, code=72)
        self.assertRegex(done.stderr, r"not finite|optim\.lr")
        self.assertTrue(pathlib.Path(self.run_folder("run") / "error.json").exists())

    def test_disk_full_keeps_the_old_checkpoint(self):
        if os.geteuid() != 0:
            self.skipTest("needs root for a small tmpfs")
        small = self.dir / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=True)
        try:
            done = self.train("run", steps=400, checkpoint_every=2, code=74, edit=lambda t: t.replace(f"{self.dir}/runs", str(small)))
            self.assertRegex(done.stderr, r"[Nn]o space|disk")
            latest = (small / "run" / "checkpoints" / "latest").resolve()
            self.assertEqual(self.command("inspect", str(latest)).returncode, 0)
        finally:
            subprocess.run(["umount", str(small)], check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
