"""generate, evaluate, inspect, doctor, --dry-run, --help: what people type after training."""
import json
import time
import unittest

from job import Job, numbers, read_safetensors, words


class Commands(Job):
    def ok(self, *arguments, **how):
        done = self.command(*arguments, **how)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_after_training(self):
        self.train("run", steps=60)
        folder = str(self.run_folder("run"))
        first = self.ok("generate", folder, "--prompt", "  const", "--tokens", "40", "--seed", "3")
        self.assertTrue(first.startswith("  const"))
        self.assertEqual(len(first.encode()), len("  const") + 40 + 1)
        self.assertEqual(first, self.ok("generate", folder, "--prompt", "  const", "--tokens", "40", "--seed", "3"))
        self.assertNotEqual(first, self.ok("generate", folder, "--prompt", "  const", "--tokens", "40", "--seed", "4", "--temperature", "1.5"))
        result = json.loads(self.ok("evaluate", folder, "--json"))
        logged = [line["val/loss"] for line in self.metrics("run") if "val/loss" in line][-1]
        self.assertAlmostEqual(result["loss"], logged, delta=1e-5)
        two = json.loads(self.ok("evaluate", folder, "--json", prefix=("mpirun.openmpi", "-np", "2")))
        self.assertAlmostEqual(result["loss"], two["loss"], delta=1e-5)
        inspected = self.ok("inspect", folder)
        for words in ("blocks.0.mlp.up.s1", "linear.sketched", "dense twin", "every checksum verified"):
            self.assertIn(words, inspected)

    def test_the_mean_of_checkpoints(self):
        self.train("run", steps=40, checkpoint_every=10, edit=lambda text: text.replace("[train]\n", "[train]\naverage_decay = 0.9\n"))
        folder = str(self.run_folder("run"))
        told = self.ok("average", folder, "-o", "mean", "--last", "3")
        for step in (20, 30, 40):
            self.assertIn(f"step_{step}", told)
        mean = read_safetensors(self.dir / "mean" / "step_40" / "model.safetensors")
        parts = [self.model("run", step) for step in (20, 30, 40)]
        for name, entry in mean.items():
            for value, *three in zip(numbers(entry), *(numbers(part[name]) for part in parts), strict=True):
                # Rounded once to f32.
                self.assertAlmostEqual(value, sum(three) / 3, delta=1.2e-7 * max(abs(x) for x in three) + 1e-30)
        averaged = json.loads(self.ok("evaluate", folder, "--json", "--average"))["loss"]
        logged = [line["val/average_loss"] for line in self.metrics("run") if "val/average_loss" in line][-1]
        self.assertAlmostEqual(averaged, logged, delta=1e-5)
        self.ok("evaluate", "mean")
        self.ok("generate", folder, "--average", "--tokens", "5")
        self.assertIn("holds no average", self.command("evaluate", "mean", "--average").stderr)
        for wrong, words in (((folder,), "say where the average goes"), ((folder, "-o", "x", "--last", "1"), "2 checkpoints or more"),
                             ((str(self.step_folder("run", 20)), "-o", "x"), "there is one checkpoint")):
            done = self.command("average", *wrong)
            self.assertEqual(done.returncode, 64)
            self.assertIn(words, done.stderr)
        self.assertFalse((self.dir / "x").exists())

    def test_dry_run_prints_the_plan_and_writes_nothing(self):
        plan = self.ok("train", self.config("run"), "--dry-run", "--nproc", "2")
        for words in ("blocks.1.mlp.down", "R=8", "flops", "bytes", "memory per rank", "sketch_size = 8"):
            self.assertIn(words, plan)
        self.assertFalse((self.dir / "runs").exists())

    def test_doctor(self):
        report = self.ok("doctor")
        for fragment in ("compiler", "torch", "self threads tcp", "memory", "all_reduce", "this machine can train"):
            self.assertIn(fragment, report)
        self.assertEqual(self.command("doctor", "everything").returncode, 64)

    def test_help_is_quick(self):
        start = time.monotonic()
        overview = self.ok("help")
        self.assertLess(time.monotonic() - start, 1.0)
        for command in ("train", "generate", "evaluate", "inspect", "doctor"):
            self.assertIn(command, overview)
        self.assertIn("--resume", self.ok("train", "--help"))
        self.assertIn("optim.lr", self.ok("train", "--keys"))

    def test_nothing_held_out(self):
        """data.val_fraction = 0: training, plan and summary without validation; evaluate asks for data."""
        def edit(text):
            return text.replace("val_fraction = 0.25", "val_fraction = 0.0").replace("[train]\n", "[train]\naverage_decay = 0.5\n")
        done = self.train("run", steps=2, edit=edit)
        self.assertIn("nothing is held out", done.stdout)
        self.assertFalse([line for line in self.metrics("run") if "val/loss" in line])
        self.assertIn("nothing is held out", self.ok("train", self.config("plan", edit=edit), "--dry-run"))
        folder = str(self.run_folder("run"))
        refused = self.command("evaluate", folder)
        self.assertEqual(refused.returncode, 64, refused.stderr)
        self.assertIn("--data", refused.stderr)
        (self.dir / "unseen").mkdir()
        (self.dir / "unseen" / "part.txt").write_text(words(99, 60))
        self.assertGreater(json.loads(self.ok("evaluate", folder, "--json", "--data", str(self.dir / "unseen"), "--batches", "0"))["targets"], 1000)

    def test_start_from_dense_weights(self):
        self.train("dense", steps=30, edit=lambda t: t.replace("[[sketch]]\n", "[[sketch]]\nkind = \"dense\"\n"))
        for kind, init in (("sketched", "fitted"), ("factorized", "fitted"), ("sketched", "unbiased")):
            def edit(text):
                text = text.replace("[[sketch]]\n", f'[[sketch]]\nkind = "{kind}"\ninit = "{init}"\n').replace("sketch_size = 8", "sketch_size = 24")
                return text.replace("[train]\n", f'[train]\ninit_from = "{self.run_folder("dense")}"\n')
            self.train(f"{kind}_{init}", steps=1, edit=edit)
        dense = [line["val/loss"] for line in self.metrics("dense") if "val/loss" in line]
        fitted = [line["val/loss"] for line in self.metrics("sketched_fitted") if "val/loss" in line]
        self.assertLess(fitted[0], 0.5 * (dense[0] + dense[-1]), "a fitted start keeps most of what was learnt")


if __name__ == "__main__":
    unittest.main(verbosity=2)
