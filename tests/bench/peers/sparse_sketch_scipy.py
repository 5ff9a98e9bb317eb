"""sparse_sketch_scipy.py: the SASO of bench_sparse_sketch with a stored S in scipy: csr @ A and csc @ A, one JSON line each.

131072 x 1024 to 1280, 4 entries +-1 a column. scipy's product uses one thread and wants A row-major (a column-major A is copied first, which is
timed). Drawing S is timed apart: our operator draws it in every product.
"""
import json
import statistics
import time

import numpy
import scipy
import scipy.sparse

ROWS, COLUMNS, SKETCH, NONZEROS = 131072, 1024, 1280, 4


def draw(generator):
    places = numpy.stack([generator.choice(SKETCH, NONZEROS, replace=False) for _ in range(ROWS)]).ravel()
    signs = generator.choice([-1.0, 1.0], ROWS * NONZEROS)
    return scipy.sparse.csc_matrix((signs, places, numpy.arange(0, ROWS * NONZEROS + 1, NONZEROS)), shape=(SKETCH, ROWS))


def seconds(body, runs=3):
    body()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        body()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main():
    generator = numpy.random.default_rng(1)
    begin = time.perf_counter()
    csc = draw(generator)
    drawn = time.perf_counter() - begin
    for dtype in (numpy.float64, numpy.float32):
        a = generator.standard_normal((ROWS, COLUMNS), dtype=dtype)
        for order in ("C", "F"):
            data = numpy.asarray(a, order=order)
            for kind, sketch in (("csr", csc.tocsr().astype(dtype)), ("csc", csc.astype(dtype))):
                print(json.dumps({"name": "saso.scipy", "format": kind, "layout": "rows" if order == "C" else "columns", "dtype": numpy.dtype(dtype).name,
                                  "shape": f"{ROWS}x{COLUMNS}->{SKETCH}", "threads": 1, "median_s": seconds(lambda: sketch @ data), "drawing_s": drawn,
                                  "version": scipy.__version__}), flush=True)


if __name__ == "__main__":
    main()
