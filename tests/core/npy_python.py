"""The other side of npy_python_test.cpp: NumPy writes files that we read, and reads the ones we wrote.

Usage: write FOLDER | check FOLDER. Exits 77 when NumPy is missing. Element i of every array is 3 i - 4 (3 i for u1).
"""
import pathlib
import sys

try:
    import numpy
except ImportError as missing:
    print(missing)
    sys.exit(77)

CODES = ["f8", "f4", "f2", "i8", "i4", "u1"]
SHAPES = {"matrix": (2, 3), "vector": (6,), "cube": (1, 2, 3), "empty": (0, 3), "scalar": ()}


def expected(code, shape):
    count = int(numpy.prod(shape))
    return (numpy.arange(count) * 3 - (0 if code == "u1" else 4)).astype(code).reshape(shape)


def arrays():
    for code in CODES:
        for name, shape in SHAPES.items():
            for order in "CF":
                yield f"{code}_{name}_{order}", numpy.array(expected(code, shape), order=order, copy=True)


def write(folder):
    for name, array in arrays():
        numpy.save(folder / f"{name}.npy", array)
    for version in (1, 2, 3):
        with open(folder / f"version_{version}.npy", "wb") as out:
            numpy.lib.format.write_array(out, expected("f8", (2, 3)), version=(version, 0))
    numpy.save(folder / "big_endian.npy", expected("f8", (2, 3)).astype(">f8"))
    numpy.save(folder / "complex.npy", expected("f8", (2, 3)).astype("c16"))


def check(folder):
    count = 0
    for name, array in arrays():
        loaded = numpy.load(folder / f"{name}.npy")
        assert loaded.dtype == array.dtype and loaded.shape == array.shape and loaded.tobytes() == array.tobytes(), name
        if array.ndim == 2 and array.size:
            assert loaded.flags["F_CONTIGUOUS" if name.endswith("F") else "C_CONTIGUOUS"], name
        mapped = numpy.load(folder / f"{name}.npy", mmap_mode="r") if array.size else array
        assert numpy.array_equal(mapped, array), name
        count += 1
    assert count == 60


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
