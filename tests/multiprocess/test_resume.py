"""N steps, SIGKILL, resume, N steps = 2N steps, bit for bit; also when the kill falls inside a save."""
import os
import signal
import time
import unittest

from job import Job, read_safetensors, relative_distance

STEPS = 40


class Resume(Job):
    edit = staticmethod(lambda text: text)

    def kill_when(self, name, ranks, ready):
        """Starts the run and kills the whole job as soon as `ready()` holds."""
        config = self.config(name, steps=STEPS, checkpoint_every=self.every, edit=self.edit)
        process = self.start("train", config, *(["--nproc", str(ranks)] if ranks > 1 else []))
        deadline = time.monotonic() + 60
        while process.poll() is None and not ready() and time.monotonic() < deadline:
            time.sleep(0.001)
        self.assertIsNone(process.poll(), "the run ended before it could be killed")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return config

    def resume(self, name, ranks):
        done = self.train(name, "--resume", "auto", ranks=ranks, steps=STEPS, checkpoint_every=self.every, edit=self.edit)
        self.assertEqual(self.model("whole", STEPS), self.model(name, STEPS))
        self.assertEqual((self.step_folder("whole", STEPS) / "optimizer.safetensors").read_bytes(),
                         (self.step_folder(name, STEPS) / "optimizer.safetensors").read_bytes())
        steps = [line["step"] for line in self.metrics(name) if "train/loss" in line]
        self.assertEqual(steps, list(range(1, STEPS + 1)), "each step is logged once")
        self.assertEqual(self.losses("whole"), self.losses(name))
        return done

    def killed_after_a_checkpoint(self, ranks):
        self.every = 10
        self.train("whole", ranks=ranks, steps=STEPS, checkpoint_every=self.every, edit=self.edit)
        self.kill_when("killed", ranks, lambda: (self.step_folder("killed", 20) / "DONE").exists())
        self.resume("killed", ranks)

    def test_one_rank(self):
        self.killed_after_a_checkpoint(1)

    def test_two_ranks(self):
        self.killed_after_a_checkpoint(2)

    def exchange(self, codec, settings=""):
        self.edit = lambda text: text + f'[comm]\nexchange = "{codec}"\n[comm.codec]\nmin_numel = 64\n{settings}\n'

    def states(self, name, step):
        return [read_safetensors(file) for file in sorted(self.step_folder(name, step).glob("exchange_rank_*.safetensors"))]

    def test_residuals_of_two_ranks(self):
        self.exchange("top_k", "density = 0.05")
        self.killed_after_a_checkpoint(2)
        whole = self.states("whole", STEPS)
        self.assertEqual(len(whole), 2)
        self.assertEqual(whole, self.states("killed", STEPS))
        residuals = [any(any(entry[2]) for name, entry in rank.items() if name.endswith("/residual")) for rank in whole]
        self.assertEqual(residuals, [True, True], "without residuals this test would see nothing")
        self.assertNotEqual(whole[0], whole[1], "every rank has its own")
        self.assertEqual([path.name for path in (self.run_folder("killed") / "checkpoints").glob(".exchange*")], [])

    def test_factors_of_two_ranks_written_in_the_background(self):
        self.exchange("powersgd", "rank = 2")
        codec = self.edit
        self.edit = lambda text: codec(text).replace("[checkpoint]\n", "[checkpoint]\nasync = true\n")
        self.killed_after_a_checkpoint(2)
        self.assertEqual(self.states("whole", STEPS), self.states("killed", STEPS))

    def test_residuals_are_shared_out_among_another_number_of_ranks(self):
        self.exchange("top_k", "density = 0.05")
        self.every = 10
        self.train("run", ranks=2, steps=10, checkpoint_every=10, edit=self.edit)
        before = self.states("run", 10)
        # A learning rate of zero: what waits is sent as it was, step by step.
        done = self.train("run", "--resume", "auto", ranks=4, steps=11, checkpoint_every=1, edit=self.edit)
        self.assertIn("residuals are shared out anew", done.stderr + done.stdout)
        self.assertIn("those of 2 ranks, there are 4", done.stderr + done.stdout)
        self.assertEqual(len(self.states("run", 11)), 4)
        self.assertEqual(len(before), 2)

    def test_residuals_of_leaders(self):
        self.exchange("top_k", "density = 0.05")
        flat = self.edit
        self.edit = lambda text: flat(text) + '[comm.hierarchy]\nmode = "set"\nnode_ranks = 2\n'
        self.killed_after_a_checkpoint(3)
        whole = self.states("whole", STEPS)
        self.assertEqual(whole, self.states("killed", STEPS))
        self.assertEqual([any(name.endswith("/residual") for name in rank) for rank in whole], [True, False, True])
        # On one level all three ranks take their share.
        done = self.train("whole", "--resume", "auto", "--set", "comm.hierarchy.mode=off", ranks=3, steps=STEPS + 1, checkpoint_every=1, edit=self.edit)
        self.assertIn("2 ranks held them, now 3 do", done.stderr + done.stdout)

    def test_a_plan_and_its_residuals(self):
        # The link is given, so that the plan does not hang on timing, and there is one plan: later ones would know what the killed run no longer remembers.
        self.edit = lambda text: text + '[comm]\nexchange = "auto"\n[comm.codec]\nmin_numel = 64\n[comm.auto]\nfirst_plan = 1000\nlink_mbit = 0.5\n'
        self.killed_after_a_checkpoint(2)
        whole = self.states("whole", STEPS)
        self.assertEqual(whole, self.states("killed", STEPS))
        self.assertTrue(any(name.endswith("/residual") for name in whole[0]), "without residuals this test would see nothing")
        self.assertTrue(any(name.startswith("exchange/plan/") for name in whole[0]))

    def local(self, settings, comm=""):
        self.edit = lambda text: text + f"[comm]\n{comm}\n[comm.local]\n{settings}\n"

    def test_ranks_that_train_alone(self):
        self.local("every = 5")
        self.killed_after_a_checkpoint(2)
        whole = self.states("whole", STEPS)
        self.assertEqual(whole, self.states("killed", STEPS))
        self.assertNotEqual([entry[2] for name, entry in sorted(whole[0].items()) if name.startswith("optimizer/")],
                            [entry[2] for name, entry in sorted(whole[1].items()) if name.startswith("optimizer/")], "every rank has its own moments")
        self.assertTrue(any(any(entry[2]) for name, entry in whole[0].items() if name.startswith("velocity/")))

    def test_fragments_that_travel_while_ranks_go_on(self):
        self.local("every = 10\nfragments = 2\ndelay = 3\nkeep_local = 0.5", comm='exchange = "quantize"')
        self.killed_after_a_checkpoint(2)
        self.assertEqual(self.states("whole", STEPS), self.states("killed", STEPS))

    def test_another_number_of_ranks_goes_on_from_the_common_parameters(self):
        self.local("every = 5")
        self.every = 10
        self.train("run", ranks=2, steps=10, checkpoint_every=10, edit=self.edit)
        done = self.train("run", "--resume", "auto", "--set", "optim.lr=0", "--set", "comm.local.outer_momentum=0", ranks=4, steps=20, checkpoint_every=10, edit=self.edit)
        self.assertIn("those of 2 ranks, there are 4", done.stderr + done.stdout)
        # Nobody moves any more, so the common parameters stay.
        self.assertEqual(self.model("run", 10), self.model("run", 20))

    def test_a_sharded_optimizer(self):
        self.edit = lambda text: text + "[comm]\nshard_optimizer = true\n"
        self.killed_after_a_checkpoint(2)

    def test_a_sharded_optimizer_moves_to_any_number_of_ranks(self):
        def sharded(text):
            return text + "[comm]\nshard_optimizer = true\n"
        same = {"dtype": "f64", "checkpoint_every": 5}
        self.train("whole", steps=20, **same)
        self.train("run", ranks=2, steps=10, edit=sharded, **same)
        self.train("run", "--resume", "auto", ranks=3, steps=15, edit=sharded, **same)
        self.train("run", "--resume", "auto", ranks=1, steps=20, **same)
        self.assertLess(relative_distance(self.model("whole", 20), self.model("run", 20)), 1e-11)
        state = [read_safetensors(self.step_folder(name, 20) / "optimizer.safetensors") for name in ("whole", "run")]
        self.assertLess(relative_distance(*state), 1e-9)

    def test_an_average_of_the_parameters(self):
        self.edit = lambda text: text.replace("[train]\n", "[train]\naverage_decay = 0.9\n")
        self.killed_after_a_checkpoint(2)
        average = [(self.step_folder(name, STEPS) / "average.safetensors").read_bytes() for name in ("whole", "killed")]
        self.assertEqual(average[0], average[1])
        self.assertNotEqual(read_safetensors(self.step_folder("whole", STEPS) / "average.safetensors"), self.model("whole", STEPS))

    def test_killed_inside_a_save(self):
        self.every = 1
        self.train("whole", steps=STEPS, checkpoint_every=self.every)
        for attempt in range(3):
            name = f"inside_{attempt}"
            checkpoints = self.run_folder(name) / "checkpoints"

            def saving():
                return (checkpoints / f"step_{4 + attempt}").exists() and any(checkpoints.glob(".tmp*"))

            self.kill_when(name, 1, saving)
            self.resume(name, 1)

    def test_a_damaged_checkpoint_is_passed_over_with_the_reason(self):
        self.every = 10
        self.train("whole", steps=STEPS, checkpoint_every=self.every)
        self.train("bad", steps=30, checkpoint_every=self.every)
        model = self.step_folder("bad", 30) / "model.safetensors"
        blob = bytearray(model.read_bytes())
        blob[len(blob) // 2] ^= 1
        model.write_bytes(blob)
        done = self.resume("bad", 1)
        self.assertIn("checkpoint skipped", done.stderr + done.stdout)
        self.assertIn("step_30", done.stderr + done.stdout)

    def test_resume_of_another_model_is_refused(self):
        self.every = 10
        self.train("run", steps=10, checkpoint_every=10)
        done = self.train("run", "--resume", "auto", "--set", "model.width=64", steps=20, checkpoint_every=10, code=64)
        self.assertIn("another model", done.stderr)

    def test_resume_after_the_end_does_nothing_twice(self):
        self.every = 0
        self.train("run", steps=10)
        before = self.model("run", 10)
        done = self.train("run", "--resume", "auto", steps=10)
        self.assertEqual(before, self.model("run", 10))
        self.assertIn("nothing is left to train", done.stderr)

    def test_a_new_run_in_an_old_folder_says_so(self):
        self.train("run", steps=4)
        self.assertNotIn("earlier one", self.train("run", "--resume", "auto", steps=6).stderr)
        done = self.train("run", steps=2)
        self.assertRegex(done.stderr, r"earlier one.*step_6.*--resume auto")
        self.assertEqual((self.run_folder("run") / "checkpoints" / "latest").resolve().name, "step_2")

    def test_a_list_of_what_does_not_fit_is_short(self):
        self.train("run", steps=2)
        done = self.train("run", "--resume", "auto", "--set", "optim.kind=sgd", steps=4, code=64)
        self.assertRegex(done.stderr, r"and \d+ more")
        self.assertLess(done.stderr.count("\n"), 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
