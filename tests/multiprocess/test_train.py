"""The main job on a small scale: what it prints and what it leaves."""
import json
import re
import unittest

from job import Job


class Train(Job):
    def test_two_ranks_learn_and_leave_everything(self):
        done = self.train("run", "--set", "profile.steps=3", "--set", "profile.start_step=2", ranks=2, steps=60, checkpoint_every=30)
        losses = self.losses()
        self.assertEqual(len(losses), 60)
        self.assertLess(losses[-1], 0.75 * losses[0])
        folder = self.run_folder()
        for name in ("config.toml", "env.json", "metrics.jsonl", "metrics.csv", "checkpoints/latest/DONE", "checkpoints/step_30/manifest.json",
                     "traces/rank_0.json", "traces/rank_1.json"):
            self.assertTrue((folder / name).exists(), name)
        self.assertTrue(list((folder / "tb").iterdir()))
        self.assertEqual(len(list(folder.glob("logs/attempt_*/rank_*.out"))), 2)
        trace = json.loads((folder / "traces" / "rank_1.json").read_text())
        names = {event["name"] for event in trace["traceEvents"]}
        self.assertTrue({"forward", "backward", "optimizer"} <= names, names)
        self.assertTrue(any("reduce" in name for name in names), f"the communication thread is in the timeline: {names}")
        self.assertEqual(json.loads((folder / "env.json").read_text())["world_size"], 2)
        for words in ("validation loss", "tokens per second", "exchange exposed", "bytes sent per step", "peak memory", "run folder", "sample"):
            self.assertIn(words, done.stdout)

    def test_ledger_matches_the_formula(self):
        self.train("run", ranks=2, steps=2)
        parameters = sum(len(data) for _, _, data in self.model("run", 2).values())
        sent = [line["comm/bytes"] for line in self.metrics() if "comm/bytes" in line]
        # A ring over two ranks sends each byte once; padding and the control word are small.
        self.assertGreaterEqual(sent[0], parameters)
        self.assertLess(sent[0], 1.05 * parameters + 4096)

    def test_mlp_on_csv(self):
        rows = ["a,b,label"] + [f"{i % 7 - 3},{(i * 5) % 11 - 5},{'up' if (i % 7 - 3) > 0 else 'down'}" for i in range(400)]
        (self.dir / "rows.csv").write_text("\n".join(rows) + "\n")

        def edit(text):
            text = re.sub(r"\[data\].*?\[model\]", f'[data]\nkind = "csv"\npath = "{self.dir}/rows.csv"\ntarget = "label"\n[model]', text, flags=re.S)
            return text.replace('kind = "gpt"', 'kind = "mlp"').replace('match = "blocks.*.mlp.*"', 'match = "*"').replace("sketch_size = 8", "sketch_size = 2")

        done = self.train("run", steps=80, edit=edit)
        self.assertLess(self.losses()[-1], 0.3)
        self.assertIn("next: panther evaluate", done.stdout)

    def test_wire_format_half_trains_alike(self):
        self.train("exact", ranks=2, steps=30)
        self.train("half", "--set", "comm.exchange=half", ranks=2, steps=30)
        self.assertLess(abs(self.losses("half")[-1] - self.losses("exact")[-1]), 0.05)
        sent = {name: self.metrics(name)[5]["comm/bytes"] for name in ("exact", "half")}
        self.assertLess(sent["half"], 0.75 * sent["exact"])

    def test_deterministic_mode_gives_the_same_bits_for_any_bucket_size(self):
        ordered = ("--set", "comm.deterministic=true")
        for name, size in (("small", 4096), ("large", 1 << 24)):
            self.train(name, *ordered, "--set", f"comm.bucket_bytes={size}", "--set", f"comm.first_bucket_bytes={size}", ranks=3, steps=5)
        self.assertEqual(self.model("small", 5), self.model("large", 5))

    def test_auto_plans_for_a_slow_link_and_trains_alike(self):
        self.train("exact", ranks=2, steps=40)
        small = ("--set", "comm.exchange=auto", "--set", "comm.codec.min_numel=64", "--set", "comm.auto.first_plan=3", "--set", "comm.auto.settle=1", "--set", "comm.auto.link_mbit=0.5")
        done = self.train("auto", *small, ranks=2, steps=40)
        self.assertRegex(done.stdout + done.stderr, r"exchange plan .*(powersgd|quantize)")
        self.assertLess(abs(self.losses("auto")[-1] - self.losses("exact")[-1]), 0.15)
        last = {name: [line for line in self.metrics(name) if "comm/bytes" in line][-1] for name in ("exact", "auto")}
        self.assertLess(last["auto"]["comm/bytes"], 0.5 * last["exact"]["comm/bytes"])
        self.assertIn("comm/residual_ratio", last["auto"])
        plan = self.command("train", self.config("dry", steps=4), *small, "--nproc", "2", "--dry-run")
        self.assertIn("bucket 0:", plan.stdout)

    def test_ranks_that_train_alone_send_less_and_learn(self):
        self.train("together", ranks=2, steps=60)
        self.train("alone", ranks=2, steps=60, edit=lambda text: text + "[comm.local]\nevery = 10\n")
        sent = {name: sum(line["comm/bytes"] for line in self.metrics(name) if "comm/bytes" in line) for name in ("together", "alone")}
        # The control word apart, the same message one step in ten.
        self.assertLess(abs(sent["alone"] / sent["together"] - 0.1), 0.01)
        first, last = [line["val/loss"] for line in self.metrics("alone") if "val/loss" in line]
        self.assertLess(last, first - 0.7)

    def test_sketched_gradients_fit_together_at_every_step(self):
        verify = ("--set", "comm.verify_every=1")
        self.train("plain", ranks=3, steps=20)
        self.train("verified", *verify, ranks=3, steps=20)
        self.assertEqual(self.model("plain", 20), self.model("verified", 20))
        self.train("half", *verify, "--set", "comm.exchange=half", ranks=2, steps=20)
        done = self.train("refused", *verify, "--set", "comm.codec.compress_sketched=true", steps=2, code=64)
        self.assertIn("do not fit together any more", done.stderr)

    def test_checked_mode_trains_the_same_bits(self):
        self.train("plain", ranks=2, steps=5)
        self.train("checked", "--set", "comm.checked=true", ranks=2, steps=5)
        self.assertEqual(self.model("plain", 5), self.model("checked", 5))

    def test_checked_mode_on_two_levels_trains_the_same_bits(self):
        levels = ("--set", "comm.hierarchy.mode=set", "--set", "comm.hierarchy.node_ranks=2")
        for exchange in ("none", "powersgd"):
            codec = ("--set", f"comm.exchange={exchange}")
            self.train(f"plain_{exchange}", *levels, *codec, ranks=3, steps=5)
            self.train(f"checked_{exchange}", *levels, *codec, "--set", "comm.checked=true", ranks=3, steps=5)
            self.assertEqual(self.model(f"plain_{exchange}", 5), self.model(f"checked_{exchange}", 5))
            plain, checked = ([line for line in self.metrics(f"{name}_{exchange}") if "comm/bytes" in line][-1] for name in ("plain", "checked"))
            self.assertGreater(plain["comm/bytes"], plain["comm/bytes_inside"])
            self.assertGreater(checked["comm/bytes_inside"], plain["comm/bytes_inside"], "what is compared inside the node is counted there")


if __name__ == "__main__":
    unittest.main(verbosity=2)
