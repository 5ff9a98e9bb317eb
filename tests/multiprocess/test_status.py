"""`panther status` during a run, after it, and after its ranks were killed."""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from job import PANTHER, Job

POWERSGD = '[comm]\nexchange = "powersgd"\n[comm.codec]\nmin_numel = 64\nrank = 2\n'


class Status(Job):
    def begin(self, name="run", steps=100000):
        config = self.config(name, steps=steps, checkpoint_every=20, edit=lambda text: text + POWERSGD)
        process = self.start("train", config, "--nproc", "2")
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """The launcher and its ranks, whatever a failed test left of them."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    def status(self, *words):
        done = self.command("status", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def wait_for_step(self, step, process):
        deadline = time.monotonic() + 60
        while True:
            self.assertIsNone(process.poll(), "ended early")
            self.assertLess(time.monotonic(), deadline, "never got there")
            done = self.command("status", "--json")
            if done.returncode == 0 and json.loads(done.stdout)["step"] >= step:
                return json.loads(done.stdout)
            time.sleep(0.1)

    def wait_for_words(self, words):
        deadline = time.monotonic() + 60
        while words not in (text := self.status()):
            self.assertLess(time.monotonic(), deadline, text)
            time.sleep(0.05)
        return text

    def worker_pids(self, launcher):
        return [int(pid) for pid in pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()]

    def test_a_running_job(self):
        process = self.begin()
        status = self.wait_for_step(40, process)
        self.assertEqual((status["now"], status["ranks"], status["backend"], status["exchange"]), ("running", 2, "tcp", "powersgd"))
        self.assertIn(status["pid"], self.worker_pids(process))
        self.assertGreaterEqual(status["checkpoint"]["step"], 20)
        self.assertEqual(sum(bucket["bytes_predicted"] for bucket in status["buckets"]), sum(bucket["bytes_counted"] for bucket in status["buckets"]))
        # The error of a step may pass 1: what is decoded is the mean over ranks, and each rank compares it with its own.
        self.assertTrue(any(bucket["residual_ratio"] > 0 and bucket["relative_error"] > 0 and 1 <= bucket["effective_rank"] <= 2.001
                            for bucket in status["buckets"]), status["buckets"])
        for columns in (60, 80, 120):
            text = self.command("status", env={"COLUMNS": str(columns)}).stdout
            self.assertLessEqual(max(map(len, text.splitlines())), columns)
            for words in ("state       running for", "ETA", "powersgd", "2 ranks over tcp", "checkpoint  step", "|e|/|g|", "exposed"):
                self.assertIn(words, text)
        self.assertNotIn("\033", text)
        self.assertRegex(self.status("run.toml"), r"run +\S*/runs/run\nstate       running")

        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertIn("state       stopped, 2 ranks", self.status())
        self.assertEqual(self.command("status", "--watch").returncode, 0, "a run that is over needs no watching")

    def test_a_killed_rank(self):
        process = self.begin()
        self.wait_for_step(5, process)
        for pid in self.worker_pids(process):
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)
        text = self.wait_for_words("died (process")
        self.assertRegex(text, r"output +\S*attempt_0")
        self.assertEqual(json.loads(self.status("--json"))["now"], "died")

    def test_a_finished_run_and_one_without_its_status_file(self):
        self.assertIn("there is no folder", self.command("status").stderr)
        self.assertEqual(self.command("status").returncode, 64)
        self.train("short", steps=20, ranks=2)
        self.assertRegex(self.status(), r"state       finished, 2 ranks.*\nstep +20/20  100 %")
        loss = self.losses("short")[-1]
        self.assertIn(f"loss        {loss:.4f}", self.status())
        (self.run_folder("short") / "status.json").unlink()
        with open(self.run_folder("short") / "metrics.jsonl", "a") as file:
            file.write('{"step":21,"time":1,"train/lo')
        text = self.status("runs")
        self.assertIn("state       unknown (no status.json", text)
        self.assertIn(f"loss        {loss:.4f}", text)
        self.assertEqual(json.loads(self.status("--json"))["loss"], loss)
        self.assertIn("no run folder", self.command("status", "text").stderr)

    def test_watching_on_a_terminal(self):
        process = self.begin()
        self.wait_for_step(5, process)
        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**self.env, "TERM": "xterm", "LC_ALL": "C.UTF-8", "COLUMNS": ""}
        environment.pop("NO_COLOR")
        watcher = subprocess.Popen([PANTHER, "status", "--watch", "0.2"], cwd=self.dir, env=environment, stdin=there, stdout=there, stderr=there)
        os.close(there)
        shown = b""
        deadline = time.monotonic() + 60
        while shown.count(b"\033[H") < 4 and time.monotonic() < deadline:
            if select.select([here], [], [], 0.5)[0]:
                shown += os.read(here, 65536)
        watcher.send_signal(signal.SIGINT)
        self.assertEqual(watcher.wait(timeout=20), 0)
        try:
            while select.select([here], [], [], 0.2)[0] and (more := os.read(here, 65536)):
                shown += more
        except OSError:
            pass  # the other side is closed
        os.close(here)
        self.assertGreaterEqual(shown.count(b"\033[H"), 4, "redrawn in place")
        self.assertTrue(shown.startswith(b"\033[?25l"))
        self.assertIn(b"\033[?25h", shown, "the cursor is back")
        for screen in shown.split(b"\033[H")[1:]:
            plain = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", screen.decode()).replace("\r", "").rstrip("\n").split("\n")
            self.assertLessEqual(len(plain), 24, "nothing scrolls")
            self.assertLessEqual(max(map(len, plain)), 80, plain)


if __name__ == "__main__":
    unittest.main(verbosity=2)
