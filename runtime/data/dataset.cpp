#include "runtime/data/dataset.h"

#include "core/fields.h"

namespace panther {
void register_dataset_family(runtime::DatasetRegistry& registry);
}

namespace panther::runtime {

Dataset::~Dataset() = default;

const DatasetRegistry& dataset_registry() {
  static const DatasetRegistry registry = [] {
    DatasetRegistry family("data.kind");
    register_dataset_family(family);
    return family;
  }();
  return registry;
}

void DataConfig::fields(FieldVisitor& v) {
  v.field("kind", kind, {.help = "what the data is", .choices = dataset_registry().names()});
  v.field("path", path, {.help = "file or folder (bytes: any text; csv: one file)"});
  v.field("seq_len", seq_len, {.help = "tokens per sample (bytes)", .unit = "tokens", .min = 1, .max = 1 << 20});
  v.field("val_fraction", val_fraction, {.help = "share of files or rows held out for validation; 0 = none", .min = 0, .max = 0.9});
  v.field("extensions", extensions, {.help = "bytes: comma-separated suffixes to read (\"cpp,h\"), \"\" = every text file"});
  v.field("target", target, {.help = "csv: name of the target column, \"\" = the last one"});
  v.field("task", task, {.help = "csv, synthetic: what is predicted", .choices = {"classification", "regression"}});
  v.field("samples", samples, {.help = "synthetic: rows, validation included", .min = 2});
  v.field("features", features, {.help = "synthetic: inputs per row", .min = 1, .max = 1 << 24});
  v.field("classes", classes, {.help = "synthetic: classes", .min = 2, .max = 1 << 24});
  v.field("prefetch", prefetch, {.help = "prepare batches on a thread of its own"});
}

Datasets make_datasets(const DataConfig& config, std::uint64_t seed, const ConfigOrigin& origin) {
  return dataset_registry().at(config.kind).make(config, seed, origin);
}

}  // namespace panther::runtime
