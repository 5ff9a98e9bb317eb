"""Any number of ranks takes the same steps as one rank: 20 steps, global batch 8, uneven shares too."""
import os
import shutil
import unittest

from job import Job, PYTHON, relative_distance

TOLERANCE = {"f64": 1e-12, "f32": 1e-5}
# The gradient of a key's bias is zero in exact arithmetic, because softmax ignores a shift of all scores. In f32 it is rounding noise of the
# size of Adam's epsilon, which Adam turns into steps of full length; so f32 is compared without biases.
EXACT = {"f64": [], "f32": ["--set", "model.bias=false"]}


class WorldSizes(Job):
    def compare(self, dtype, name, **how):
        self.train(name, *EXACT[dtype], dtype=dtype, **how)
        distance = relative_distance(self.reference[dtype], self.model(name, 20))
        self.assertLess(distance, TOLERANCE[dtype], f"{name} in {dtype}")

    def reference_run(self, dtype):
        self.train(f"one_{dtype}", *EXACT[dtype], dtype=dtype)
        self.reference[dtype] = self.model(f"one_{dtype}", 20)

    def setUp(self):
        super().setUp()
        self.reference = {}

    def test_tcp(self):
        for dtype in ("f64", "f32"):
            self.reference_run(dtype)
            for ranks in (2, 3):
                self.compare(dtype, f"tcp_{ranks}_{dtype}", ranks=ranks)

    def test_gloo(self):
        self.reference_run("f64")
        for ranks in (2, 3):
            self.compare("f64", f"gloo_{ranks}", ranks=ranks, edit=lambda text: text + '[comm]\nbackend = "gloo"\n')

    def test_two_levels(self):
        self.reference_run("f64")
        for ranks in (3, 4):  # two nodes of 2 and 1, of 2 and 2
            self.compare("f64", f"levels_{ranks}", ranks=ranks, edit=lambda text: text + '[comm.hierarchy]\nmode = "set"\nnode_ranks = 2\n')

    def test_two_levels_over_mpi(self):
        if shutil.which("mpirun.openmpi") is None:
            self.skipTest("mpirun.openmpi is not installed")
        self.reference_run("f64")
        self.compare("f64", "levels_mpi", prefix=("mpirun.openmpi", "-np", "4"), edit=lambda text: text + '[comm.hierarchy]\nmode = "set"\nnode_ranks = 2\n')

    def test_accumulation(self):
        self.reference_run("f64")
        self.compare("f64", "accumulate", ranks=2, edit=lambda text: text.replace("global_batch = 8", "global_batch = 8\naccumulate = 3"))

    def mpi(self, mpirun):
        if shutil.which(mpirun) is None:
            self.skipTest(f"{mpirun} is not installed")
        self.reference_run("f64")
        for ranks in (2, 3):
            self.compare("f64", f"mpi_{ranks}", prefix=(mpirun, "-np", str(ranks)))

    def test_openmpi(self):
        self.mpi("mpirun.openmpi")

    def test_mpich(self):
        self.mpi("mpirun.mpich")

    def test_torchrun(self):
        torchrun = (PYTHON, "-m", "torch.distributed.run", "--no-python", "--nproc-per-node", "2", "--standalone")
        self.reference_run("f64")
        self.compare("f64", "torchrun", prefix=torchrun, env={"LD_LIBRARY_PATH": os.environ.get("PANTHER_TORCH_LIBRARIES", "")})

    def test_two_runs_give_the_same_bits(self):
        for ranks in (1, 2):
            self.train(f"first_{ranks}", ranks=ranks)
            self.train(f"second_{ranks}", ranks=ranks)
            self.assertEqual(self.model(f"first_{ranks}", 20), self.model(f"second_{ranks}", 20))


if __name__ == "__main__":
    unittest.main(verbosity=2)
