"""Reads what runtime_observe_test wrote with TensorBoard's own reader and with tbparse, if that is installed."""
import math
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = str(pathlib.Path(sys.argv[1]) / "tb")
assert len(list(pathlib.Path(folder).iterdir())) == 2


def expected(step):
    return 10.0 / (step if step <= 6 else step + 1000)


reader = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
reader.Reload()
tags = reader.Tags()
assert sorted(tags["scalars"]) == ["perf/tokens_per_s", "train/loss", "val/loss"], tags
loss = reader.Scalars("train/loss")
assert [event.step for event in loss] == list(range(1, 301)), [event.step for event in loss][:20]
for event in loss:
    assert math.isclose(event.value, expected(event.step), rel_tol=1e-6), event
assert all(a.wall_time <= b.wall_time for a, b in zip(loss, loss[1:]))
validation = reader.Scalars("val/loss")
assert [event.step for event in validation] == [300] and math.isnan(validation[0].value)
text = reader.Tensors("config")
assert len(text) == 1 and "caf\u00e9" in text[0].tensor_proto.string_val[0].decode(), text
assert reader.SummaryMetadata("config").plugin_data.plugin_name == "text"
print("EventAccumulator agrees")

try:
    from tbparse import SummaryReader
except ImportError:
    print("tbparse is not installed: left out")
    sys.exit(0)
table = SummaryReader(folder)
frame = table.scalars
frame = frame[frame.tag == "train/loss"].sort_values("step")
assert list(frame.step) == list(range(1, 301)), "earlier files lost the steps that were done again"
assert all(math.isclose(v, expected(s), rel_tol=1e-6) for s, v in zip(frame.step, frame.value))
assert list(table.text.tag) == ["config"], table.text
print("tbparse agrees")
