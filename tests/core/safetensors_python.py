"""The other side of safetensors_python_test.cpp: writes or checks the reference file with the Python package.

Usage: write FILE | check FILE [torch]. Exits 77 when a package is missing.
Values are functions of the index, so both sides compute them on their own.
"""
import sys

try:
    import numpy
    import safetensors
    import safetensors.numpy
except ImportError as missing:
    print(missing)
    sys.exit(77)

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


def expected():
    tensors = {name.lower(): (numpy.arange(6) * 3 - (0 if name == "U8" else 4)).astype(code).reshape(2, 3)
               for name, code in DTYPES.items()}
    tensors["scalar"] = numpy.array(2.5, dtype="<f4")
    tensors["empty"] = numpy.zeros((0, 4), dtype="<f4")
    return tensors


def bf16_bits():
    """1.0, -2.0, 0.5, 3.0: the upper halves of their f32 forms."""
    return numpy.array([1.0, -2.0, 0.5, 3.0], dtype="<f4").view("<u4") >> 16


def check(path, with_torch):
    loaded = {}
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt", "made by": "panther"}, file.metadata()
        assert set(file.keys()) == set(expected()) | {"bf16"}, file.keys()
        loaded = {name: file.get_tensor(name) for name in expected()}
    for name, tensor in expected().items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape, name
        assert loaded[name].tobytes() == tensor.tobytes(), name
    with open(path, "rb") as raw:
        entry = dict(safetensors.deserialize(raw.read()))["bf16"]
    assert entry["dtype"] == "BF16" and list(entry["shape"]) == [2, 2], entry
    assert bytes(entry["data"]) == bf16_bits().astype("<u2").tobytes()
    if with_torch:
        try:
            import torch
            from safetensors.torch import load_file
        except (ImportError, OSError) as missing:
            print(missing)
            sys.exit(77)
        tensor = load_file(path)["bf16"]
        assert tensor.dtype == torch.bfloat16 and tensor.tolist() == [[1.0, -2.0], [0.5, 3.0]], tensor


def write(path):
    arrays = {name: (tensor.dtype.name, tensor) for name, tensor in expected().items()}
    arrays["bf16"] = ("bfloat16", bf16_bits().astype("<u2").reshape(2, 2))
    with open(path, "wb") as out:
        out.write(safetensors.serialize({name: spec(*pair) for name, pair in arrays.items()}, {"format": "pt", "made by": "python"}))


def spec(dtype, array):
    """What `serialize` takes: a TensorSpec of an address since 0.8 (the caller keeps the array alive), a dict before."""
    if hasattr(safetensors, "TensorSpec"):
        return safetensors.TensorSpec(dtype=dtype, shape=array.shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
    return {"dtype": dtype, "shape": list(array.shape), "data": array.tobytes()}


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2])
    elif sys.argv[1] == "check":
        check(sys.argv[2], sys.argv[3:] == ["torch"])
