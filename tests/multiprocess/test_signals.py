"""SIGTERM and SIGINT: finish the step, checkpoint, exit 75; SIGUSR2: checkpoint now; a dead rank takes its siblings along."""
import os
import pathlib
import signal
import time
import unittest

from job import Job


class Signals(Job):
    def wait_for(self, ready, process):
        deadline = time.monotonic() + 60
        while not ready():
            self.assertIsNone(process.poll(), "ended early")
            self.assertLess(time.monotonic(), deadline, "never got there")
            time.sleep(0.01)

    def logged(self, name, steps):
        path = self.run_folder(name) / "metrics.jsonl"
        return path.exists() and path.read_text().count("train/loss") >= steps

    def begin(self, name, ranks, steps=100000):
        return self.start("train", self.config(name, steps=steps, checkpoint_every=0), *(["--nproc", str(ranks)] if ranks > 1 else []))

    def stop_and_continue(self, ranks, number):
        process = self.begin("run", ranks)
        self.wait_for(lambda: self.logged("run", 3), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75, out + err)
        latest = (self.run_folder("run") / "checkpoints" / "latest").resolve()
        self.assertEqual(self.command("inspect", str(latest)).returncode, 0)
        done = int(latest.name.removeprefix("step_"))
        self.train("run", "--resume", "auto", ranks=ranks, steps=done + 2)
        self.assertEqual(self.metrics("run")[-1]["step"], done + 2)

    def test_sigterm_one_rank(self):
        self.stop_and_continue(1, signal.SIGTERM)

    def test_sigterm_two_ranks(self):
        self.stop_and_continue(2, signal.SIGTERM)

    def test_sigint_two_ranks(self):
        self.stop_and_continue(2, signal.SIGINT)

    def test_sigterm_during_start_up(self):
        process = self.begin("run", 2)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        self.assertIn(process.returncode, (75, 128 + signal.SIGTERM, -signal.SIGTERM), out + err)

    def test_checkpoint_on_request(self):
        process = self.begin("run", 1)
        self.wait_for(lambda: self.logged("run", 3), process)
        process.send_signal(signal.SIGUSR2)
        self.wait_for(lambda: (self.run_folder("run") / "checkpoints" / "latest").exists(), process)
        self.assertIsNone(process.poll(), "training goes on")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75)

    def worker_pids(self, launcher):
        children = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def test_a_killed_rank_ends_the_job_with_its_signal(self):
        process = self.begin("run", 2)
        self.wait_for(lambda: self.logged("run", 3), process)
        victim = self.worker_pids(process)[1]
        os.kill(victim, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + signal.SIGKILL, out + err)
        self.assertRegex(err, r"rank 1|rank_1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
