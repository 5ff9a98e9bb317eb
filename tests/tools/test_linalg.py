"""`panther linalg` as people use it, against NumPy and SciPy. Standard library, NumPy and (where said) SciPy."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml

try:
    import numpy as np
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

PANTHER = str(pathlib.Path(os.environ["PANTHER_BUILD"]) / "bin" / "panther")


def orthonormal(rng, m, n):
    return np.linalg.qr(rng.standard_normal((m, n)))[0]


def with_spectrum(m, n, values, seed=0):
    """A matrix of known singular values."""
    rng = np.random.default_rng(seed)
    return orthonormal(rng, m, len(values)) * values @ orthonormal(rng, n, len(values)).T


def read_safetensors(path):
    blob = pathlib.Path(path).read_bytes()
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + length])
    header.pop("__metadata__", None)
    kinds = {"F64": "<f8", "F32": "<f4", "I64": "<i8"}
    return {name: np.frombuffer(blob[8 + length + e["data_offsets"][0]:8 + length + e["data_offsets"][1]], kinds[e["dtype"]]).reshape(e["shape"])
            for name, e in header.items()}


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        kind = {"float64": "F64", "float32": "F32", "uint8": "U8"}[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


class Linalg(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="panther_linalg_", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {**os.environ, "OMP_NUM_THREADS": "1"}

    def save(self, name, array):
        np.save(self.dir / name, array)
        return name

    def load(self, name):
        return np.load(self.dir / name)

    def panther(self, *words, code=0, before=None):
        done = subprocess.run([PANTHER, "linalg", *map(str, words)], cwd=self.dir, env=self.env, text=True, capture_output=True, timeout=120, preexec_fn=before)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def report(self, *words):
        return json.loads(self.panther(*words, "--json"))

    def refused(self, code, pieces, *words, before=None):
        left = sorted(self.dir.iterdir())
        message = self.panther(*words, code=code, before=before)
        for piece in pieces:
            self.assertIn(piece, message)
        self.assertEqual(sorted(self.dir.iterdir()), left, "an error leaves no file behind")

    # svd

    def test_svd_finds_the_leading_components(self):
        values = 2.0 ** -np.arange(40)
        a = with_spectrum(1500, 120, values)
        self.save("a.npy", a)
        for method in ("auto", "krylov", "lapack"):
            report = self.report("svd", "a.npy", "-o", f"{method}.npy", "--rank", 12, "--method", method, "--check")
            u, s, vt = (self.load(f"{method}.{name}.npy") for name in ("u", "s", "vt"))
            self.assertEqual((u.shape, s.shape, vt.shape), ((1500, 12), (12,), (12, 120)))
            np.testing.assert_allclose(s, values[:12], rtol=1e-6 if method != "krylov" else 1e-4, err_msg=method)  # krylov stops at residuals of 1e-6 s_1
            np.testing.assert_allclose(u.T @ u, np.eye(12), atol=1e-11)
            np.testing.assert_allclose(vt @ vt.T, np.eye(12), atol=1e-11)
            true = np.linalg.norm(a - u * s @ vt) / np.linalg.norm(a)
            best = np.linalg.norm(values[12:]) / np.linalg.norm(values)
            self.assertLess(true, 1.01 * best, method)
            self.assertAlmostEqual(report["true_error"] / true, 1, delta=1e-6)
            self.assertEqual(report["rank"], 12)

    def test_svd_to_a_tolerance(self):
        a = with_spectrum(600, 150, 1 / np.arange(1, 101.0))
        self.save("a.npy", a)
        report = self.report("svd", "a.npy", "-o", "o.safetensors", "--tol", 0.1, "--check")
        self.assertLessEqual(report["true_error"], 0.1)
        best = next(k for k in range(100) if np.linalg.norm(1 / np.arange(k + 1, 101.0)) <= 0.1 * np.linalg.norm(1 / np.arange(1, 101.0)))
        self.assertGreaterEqual(report["rank"], best)
        self.assertLessEqual(report["rank"], 1.5 * best + 20, "not much more than the best rank")
        self.assertEqual(set(read_safetensors(self.dir / "o.safetensors")), {"u", "s", "vt"})

    def test_every_dtype_and_order_is_read(self):
        rng = np.random.default_rng(1)
        a = np.round(rng.standard_normal((80, 3)) @ rng.standard_normal((3, 20)) * 8)
        for dtype in ("f8", "f4", "f2", "i8", "i4", "u1"):
            for order in "CF":
                stored = np.array(np.abs(a) % 200 if dtype == "u1" else a, dtype=dtype, order=order)
                self.save("a.npy", stored)
                self.panther("svd", "a.npy", "-o", "o.npy", "--method", "lapack", "--force")
                s = self.load("o.s.npy")
                self.assertEqual(s.dtype, np.float32 if dtype in ("f4", "f2") else np.float64)
                expected = np.linalg.svd(stored.astype("f8"), compute_uv=False)
                np.testing.assert_allclose(s, expected, atol=(1e-5 if s.dtype == np.float32 else 1e-11) * expected[0], err_msg=dtype + order)

    def test_a_matrix_larger_than_the_limit_is_streamed(self):
        values = 3.0 ** -np.arange(30)
        a = with_spectrum(20000, 120, values)  # 18 MiB
        self.save("a.npy", a)
        report = self.report("svd", "a.npy", "-o", "o.npy", "--rank", 10, "--memory", "14MiB", "--check")
        self.assertEqual(report["method"], "single-pass")
        self.assertIn("blocks of", report["reason"])
        u, s, vt = (self.load(f"o.{name}.npy") for name in ("u", "s", "vt"))
        best = np.linalg.norm(values[10:]) / np.linalg.norm(values)
        true = np.linalg.norm(a - u * s @ vt) / np.linalg.norm(a)
        self.assertLess(true, 10 * best)
        np.testing.assert_allclose(s[:5], values[:5], rtol=1e-3)
        self.assertAlmostEqual(report["true_error"] / true, 1, delta=1e-5)

    def test_a_safetensors_tensor_by_name(self):
        a = with_spectrum(90, 40, 2.0 ** -np.arange(10)).astype("f4")
        write_safetensors(self.dir / "m.safetensors", {"odd": np.zeros(3, "u1"), "layer.w": a})
        self.panther("svd", "m.safetensors", "--tensor", "layer.w", "-o", "o.npy", "--rank", 4)
        np.testing.assert_allclose(self.load("o.s.npy"), 2.0 ** -np.arange(4), rtol=1e-4)
        self.refused(64, ["no tensor 'layer.q'", "layer.w (90 x 40)"], "svd", "m.safetensors", "--tensor", "layer.q", "-o", "p.npy", "--rank", 4)
        self.refused(64, ["--tensor", "layer.w"], "svd", "m.safetensors", "-o", "p.npy", "--rank", 4)

    # qr

    def test_qr_reconstructs_with_pivots(self):
        rng = np.random.default_rng(2)
        for name, m, n, method in (("tall", 400, 60, "auto"), ("square", 150, 150, "auto"), ("wide", 50, 120, "auto"), ("bqrrp", 300, 100, "bqrrp"), ("lapack", 90, 40, "lapack")):
            a = rng.standard_normal((m, n)) * 10.0 ** -(np.arange(n) / n * 4)
            self.save("a.npy", a)
            report = self.report("qr", "a.npy", "-o", f"{name}.npy", "--method", method, "--check")
            q, r, pivots = (self.load(f"{name}.{part}.npy") for part in ("q", "r", "pivots"))
            self.assertEqual(sorted(pivots), list(range(n)))
            np.testing.assert_allclose(q @ r, a[:, pivots], atol=1e-11 * np.linalg.norm(a), err_msg=name)
            np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-11)
            np.testing.assert_array_equal(np.tril(r, -1), 0)
            self.assertLess(report["true_error"], 1e-12)
            self.assertLess(report["orthogonality"], 1e-10)
        a = rng.standard_normal((300, 40))
        self.save("a.npy", a)
        self.panther("qr", "a.npy", "-o", "c.npy", "--method", "cqrrt")
        np.testing.assert_allclose(self.load("c.q.npy") @ self.load("c.r.npy"), a, atol=1e-12 * np.linalg.norm(a))

    def test_qr_finds_the_rank(self):
        a = with_spectrum(500, 60, np.ones(17), seed=4)
        self.save("a.npy", a)
        report = self.report("qr", "a.npy", "-o", "o.npy", "--check")
        self.assertLessEqual(abs(report["rank"] - 17), 5, "columns of rounding size may count")
        self.assertGreaterEqual(report["rank"], 17)
        self.assertEqual(self.load("o.q.npy").shape, (500, report["rank"]))
        self.assertLess(report["true_error"], 1e-12)
        report = self.report("qr", "a.npy", "-o", "cut.npy", "--rank", 5, "--check")
        self.assertEqual(self.load("cut.q.npy").shape, (500, 5))
        self.assertAlmostEqual(report["error_estimate"], report["true_error"], delta=1e-10)
        # 17 equal singular values: whatever five directions are kept, 12 of 17 parts of the squares are left.
        self.assertAlmostEqual(report["true_error"], np.sqrt(12 / 17), delta=1e-10)

    # least squares, id, cur, nystrom

    def test_lstsq_agrees_with_numpy(self):
        rng = np.random.default_rng(3)
        a = rng.standard_normal((2000, 40)) * 10.0 ** (-np.arange(40) / 10)
        for shape in ((2000,), (2000, 3)):
            b = rng.standard_normal(shape)
            self.save("a.npy", a), self.save("b.npy", b)
            for method in ("auto", "lapack"):
                self.panther("lstsq", "a.npy", "b.npy", "-o", "x.npy", "--method", method, "--force", "--check")
                x = self.load("x.npy").reshape(40, -1)
                expected = np.linalg.lstsq(a, b, rcond=None)[0].reshape(40, -1)
                residual, best = np.linalg.norm(a @ x - b.reshape(2000, -1)), np.linalg.norm(a @ expected - b.reshape(2000, -1))
                self.assertLess(residual, best * (1 + 1e-10))
                np.testing.assert_allclose(x, expected, atol=1e-6 * np.abs(expected).max())
        b = rng.standard_normal(2000)
        self.save("b.npy", b)
        for column in (np.zeros(2000), a[:, 3]):
            a[:, 7] = column
            self.save("a.npy", a)
            self.refused(64, ["rank deficient at column 7", "--method sketch"], "lstsq", "a.npy", "b.npy", "-o", "y.npy", "--method", "lapack")
        self.save("short.npy", np.zeros(5))
        self.refused(64, ["5", "2000"], "lstsq", "a.npy", "short.npy", "-o", "y.npy")

    def test_id_and_cur_are_made_of_the_matrix(self):
        values = 2.0 ** -np.arange(30)
        a = with_spectrum(300, 80, values, seed=5)
        self.save("a.npy", a)
        report = self.report("id", "a.npy", "-o", "id.npy", "--rank", 10, "--check")
        columns, t = self.load("id.columns.npy"), self.load("id.t.npy")
        np.testing.assert_allclose(t[:, columns], np.eye(10), atol=1e-10)
        error = np.linalg.norm(a - a[:, columns] @ t) / np.linalg.norm(a)
        # Strong rank-revealing bound sqrt(1 + k (n - k)) s_{k+1} in the 2-norm; s_{k+1} here is close to the tail.
        self.assertLess(error, np.sqrt(1 + 10 * 70) * values[10] * 2 / np.linalg.norm(values))
        self.assertAlmostEqual(report["true_error"] / error, 1, delta=1e-6)
        report = self.report("cur", "a.npy", "-o", "cur.safetensors", "--rank", 10, "--check")
        got = read_safetensors(self.dir / "cur.safetensors")
        np.testing.assert_allclose(got["c"], a[:, got["columns"]], rtol=0, atol=1e-14)
        np.testing.assert_allclose(got["r"], a[got["rows"]], rtol=0, atol=1e-14)
        error = np.linalg.norm(a - got["c"] @ got["u"] @ got["r"]) / np.linalg.norm(a)
        self.assertLess(error, 100 * values[10] / np.linalg.norm(values))
        self.assertAlmostEqual(report["true_error"] / error, 1, delta=1e-4)

    def test_nystrom_agrees_with_eigh(self):
        rng = np.random.default_rng(6)
        w = 3.0 ** -np.arange(25)
        v = orthonormal(rng, 200, 25)
        a = v * w @ v.T
        a = (a + a.T) / 2
        self.save("a.npy", a)
        for method in ("auto", "eigsh"):
            self.panther("nystrom", "a.npy", "-o", f"{method}.npy", "--rank", 8, "--method", method, "--check")
            np.testing.assert_allclose(self.load(f"{method}.w.npy"), w[:8], rtol=1e-3)
            np.testing.assert_allclose(np.abs(self.load(f"{method}.v.npy")[:, 0] @ v[:, 0]), 1, atol=1e-6)
        self.save("lopsided.npy", np.triu(np.ones((20, 20))))
        self.refused(64, ["symmetric"], "nystrom", "lopsided.npy", "-o", "l.npy", "--rank", 3)
        self.save("negative.npy", -np.eye(30))
        self.refused(64, ["semidefinite"], "nystrom", "negative.npy", "-o", "l.npy", "--rank", 3)
        self.save("wide.npy", np.ones((3, 4)))
        self.refused(64, ["3 x 4"], "nystrom", "wide.npy", "-o", "l.npy", "--rank", 2)

    # sketch

    def test_sketch_of_the_identity_shows_the_operator(self):
        self.save("i.npy", np.eye(300))
        self.panther("sketch", "i.npy", "-o", "saso.npy", "--rank", 64)
        s = self.load("saso.npy")
        self.assertEqual(s.shape, (64, 300))
        np.testing.assert_array_equal((s != 0).sum(axis=0), 4)
        np.testing.assert_allclose(np.abs(s[s != 0]), 0.5)
        self.panther("sketch", "i.npy", "-o", "r.npy", "--rank", 64, "--method", "rademacher", "--seed", 3)
        np.testing.assert_allclose(np.abs(self.load("r.npy")), 1 / 8)
        self.panther("sketch", "i.npy", "-o", "again.npy", "--rank", 64, "--method", "rademacher", "--seed", 3, "--threads", 2)
        np.testing.assert_array_equal(self.load("again.npy"), self.load("r.npy"))
        self.panther("sketch", "i.npy", "-o", "other.npy", "--rank", 64, "--method", "rademacher", "--seed", 4)
        self.assertTrue((self.load("other.npy") != self.load("r.npy")).any())

    def test_sketch_does_not_depend_on_blocks(self):
        a = np.random.default_rng(7).standard_normal((5000, 30))
        self.save("a.npy", a)
        self.panther("sketch", "a.npy", "-o", "one.npy", "--rank", 100, "--method", "gaussian")
        self.panther("sketch", "a.npy", "-o", "many.npy", "--rank", 100, "--method", "gaussian", "--memory", "80KiB")
        np.testing.assert_allclose(self.load("many.npy"), self.load("one.npy"), atol=1e-11)
        # E ||S A||^2 = ||A||^2; for k = 100 and 30 columns its relative standard deviation is about sqrt(2 / 3000).
        self.assertAlmostEqual(np.linalg.norm(self.load("one.npy")) / np.linalg.norm(a), 1, delta=0.08)

    # what people get wrong

    def test_bad_input_says_what_where_and_what_to_do(self):
        a = np.ones((10, 6))
        self.save("a.npy", a)
        a[7, 2] = np.nan
        self.save("nan.npy", a)
        a[7, 2] = np.inf
        self.save("inf.npy", np.asfortranarray(a))
        self.save("cube.npy", np.ones((2, 3, 4)))
        self.save("empty.npy", np.ones((0, 4)))
        (self.dir / "cut.npy").write_bytes((self.dir / "a.npy").read_bytes()[:-1])
        (self.dir / "text.csv").write_text("1,2\n")
        one = ["-o", "o.npy", "--rank", "2"]
        self.refused(64, ["nan at row 7, column 2", "nan.npy"], "svd", "nan.npy", *one)
        self.refused(64, ["infinity at row 7, column 2"], "svd", "inf.npy", *one)
        self.refused(64, ["--rank 7", "10 x 6", "at most 6"], "svd", "a.npy", "-o", "o.npy", "--rank", 7)
        for option in ("--oversampling", "--power-iterations"):
            self.refused(64, [option, "at most 1073741824"], "svd", "a.npy", *one, option, 2 ** 63 - 1)
        self.refused(64, ["3 dimensions", "(2, 3, 4)", "reshape"], "svd", "cube.npy", *one)
        self.refused(64, ["0 x 4"], "svd", "empty.npy", *one)
        self.refused(70, ["cut.npy", "damaged", "480 bytes"], "svd", "cut.npy", *one)
        self.refused(64, ["'.csv'", ".npy"], "svd", "text.csv", *one)
        self.refused(74, ["absent.npy", "No such file"], "svd", "absent.npy", *one)
        self.refused(64, ["-o"], "svd", "a.npy", "--rank", "2")
        self.refused(64, ["--rank", "--tol"], "svd", "a.npy", "-o", "o.npy")
        self.refused(64, ["exclude"], "svd", "a.npy", *one, "--tol", "0.1")
        self.refused(64, ["did you mean --rank"], "svd", "a.npy", "-o", "o.npy", "--ranks", "2")
        self.refused(64, ["did you mean krylov", "rsvd"], "svd", "a.npy", *one, "--method", "krilov")
        self.refused(64, ["unknown command 'sdv'", "did you mean 'svd'"], "sdv", "a.npy", *one)
        self.refused(74, ["there is no folder", "mkdir -p"], "svd", "a.npy", "-o", "none/o.npy", "--rank", "2")
        self.refused(64, ["not an amount"], "svd", "a.npy", *one, "--memory", "lots")
        self.refused(69, ["may be used", "--memory"], "qr", "a.npy", "-o", "o.npy", "--memory", "100B")

    def test_no_device_is_said_with_the_reason(self):
        self.save("a.npy", np.ones((4, 3)))
        done = subprocess.run([PANTHER, "linalg", "svd", "a.npy", "-o", "o.npy", "--rank", "1", "--device", "cuda"], cwd=self.dir, text=True, capture_output=True)
        if done.returncode == 0:
            self.skipTest("this machine has a device")
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("CUDA", done.stderr)

    def test_results_are_not_overwritten_by_accident(self):
        self.save("a.npy", with_spectrum(30, 10, np.ones(3)))
        self.panther("svd", "a.npy", "-o", "o.npy", "--rank", 2)
        before = (self.dir / "o.u.npy").read_bytes()
        self.refused(64, ["o.u.npy", "--force"], "svd", "a.npy", "-o", "o.npy", "--rank", 3)
        self.assertEqual((self.dir / "o.u.npy").read_bytes(), before)
        self.panther("svd", "a.npy", "-o", "o.npy", "--rank", 3, "--force")
        self.assertEqual(self.load("o.u.npy").shape, (30, 3))
        self.refused(64, ["is an input"], "sketch", "a.npy", "-o", "a.npy", "--rank", 3, "--force")

    def test_a_full_disk_leaves_nothing(self):
        self.save("a.npy", np.random.default_rng(8).standard_normal((3000, 40)))

        def limit_file_size():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        self.refused(74, ["o.u.npy", "File too large"], "svd", "a.npy", "-o", "o.npy", "--rank", 20, before=limit_file_size)

    def test_ctrl_c_leaves_nothing(self):
        self.save("a.npy", np.random.default_rng(9).standard_normal((4000, 900)))
        interrupted = 0
        for wait in (0.05, 0.3, 0.6):
            left = sorted(self.dir.iterdir())
            job = subprocess.Popen([PANTHER, "linalg", "svd", "a.npy", "-o", "o.npy", "--method", "lapack"], cwd=self.dir, env=self.env,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(wait)
            job.send_signal(signal.SIGINT)
            code = job.wait(timeout=60)
            if code == 0:  # a fast machine was done before
                break
            interrupted += 1
            self.assertEqual(code, -signal.SIGINT)
            self.assertEqual(sorted(self.dir.iterdir()), left)
        self.assertGreater(interrupted, 0)

    # what people see

    def test_report_plot_and_help(self):
        self.save("a.npy", with_spectrum(400, 60, 1 / np.arange(1, 61.0)))
        text = self.panther("svd", "a.npy", "-o", "o.npy", "--rank", 20, "--plot", "s.svg", "--check")
        for piece in ("400 x 60", "f64", "rank", "20", "true", "time", "GFLOP/s", "memory", "o.vt.npy", "s.svg"):
            self.assertIn(piece, text)
        self.assertLess(len(text.splitlines()), 24)
        drawing = xml.parse(self.dir / "s.svg")
        self.assertGreaterEqual(len(list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))), 2)
        overview = self.panther("--help")
        for command in ("qr", "svd", "lstsq", "id", "cur", "nystrom", "sketch"):
            self.assertIn(f"  {command} ", overview)
            help_text = self.panther(command, "--help")
            self.assertIn(f"panther linalg {command} ", help_text)
            self.assertIn("--method", help_text)
        self.assertEqual(self.panther("help", "qr"), self.panther("qr", "--help"))

    def test_equal_seeds_give_equal_files(self):
        self.save("a.npy", np.random.default_rng(10).standard_normal((500, 80)))
        for out, seed in (("x", 1), ("y", 1), ("z", 2)):
            self.panther("svd", "a.npy", "-o", f"{out}.safetensors", "--rank", 5, "--seed", seed)
        x, y, z = ((self.dir / f"{out}.safetensors").read_bytes() for out in "xyz")
        self.assertEqual(x, y)
        self.assertNotEqual(x, z)


if __name__ == "__main__":
    unittest.main(verbosity=2)
