"""`panther bench kernels` runs, prints what it promises and draws charts. No figure is judged."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as xml

PANTHER = str(pathlib.Path(os.environ["PANTHER_BUILD"]) / "bin" / "panther")


def bench(*words):
    return subprocess.run([PANTHER, "bench", *words], text=True, capture_output=True, timeout=300)


class Bench(unittest.TestCase):
    def test_figures_and_charts(self):
        with tempfile.TemporaryDirectory() as folder:
            done = bench("kernels", "--quick", "--json", "--plot", f"{folder}/charts")
            self.assertEqual(done.returncode, 0, done.stderr)
            figures = [json.loads(line) for line in done.stdout.splitlines()]
            names = {figure["name"] for figure in figures}
            for name in ("saso.apply", "rademacher.apply", "cqrrpt", "rsvd", "linear.sketched.forward"):
                self.assertIn(name, names)
            for figure in figures:
                self.assertGreater(figure["median_s"], 0)
                self.assertGreaterEqual(figure["runs"], 3)
                self.assertIn("gemm_share", figure)
                self.assertIn("stream_share", figure)
            drawn = {path.name for path in pathlib.Path(f"{folder}/charts").iterdir()}
            self.assertEqual(drawn, {"operators.svg", "qr.svg", "svd.svg", "linear.svg", "roofline.svg"})
            for name in drawn:
                xml.parse(pathlib.Path(folder) / "charts" / name)

    def test_table(self):
        done = bench("kernels", "--quick", "--only", "linear")
        self.assertEqual(done.returncode, 0, done.stderr)
        for piece in ("GEMM", "read", "sketched forward", "dense forward", "of GEMM"):
            self.assertIn(piece, done.stdout)

    def test_mistakes(self):
        for words, piece in ((["kernel"], "did you mean 'kernels'"), (["kernels", "--only", "liner"], "did you mean linear"), (["kernels", "--device", "tpu"], "neither cpu nor cuda")):
            done = bench(*words)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertIn(piece, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
