// Tables: numeric columns predict one column. Inputs (and the target of a regression) are standardised with the mean and the
// standard deviation of the training rows; a row is held out by a hash of its number, so appending rows moves no old one.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"
#include "kernels/philox.h"
#include "runtime/data/csv_reader.h"
#include "runtime/data/dataset.h"

namespace panther {
namespace runtime {
namespace {

struct Table {
  std::vector<std::string> columns;            ///< all, in file order
  std::size_t target = 0;                      ///< index among the columns
  std::int64_t features = 0;
  std::vector<float> inputs;                   ///< rows x features
  std::vector<std::string> labels;             ///< target cells as text (classification)
  std::vector<float> values;                   ///< target cells as numbers (regression)
  std::vector<std::int64_t> rows_train, rows_validation;
  std::int64_t rows() const { return static_cast<std::int64_t>(rows_train.size() + rows_validation.size()); }
};

bool parse_number(std::string_view text, double& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && std::isfinite(value);
}

float number_of(const CsvCell& cell, const std::string& column, const CsvReader& reader) {
  double value = 0;
  if (parse_number(cell.text, value)) return static_cast<float>(value);
  throw Error(ErrorCode::InvalidArgument,
              cell.text.empty() ? concat("the cell of column '", column, "' is empty: fill it or drop the row")
                                : concat("'", cell.text, "' in column '", column, "' is not a finite number: encode or drop the column"),
              reader.place(cell));
}

std::size_t target_index(const std::vector<std::string>& columns, const std::string& target, const ConfigOrigin& origin) {
  if (target.empty()) return columns.size() - 1;
  const auto found = std::find(columns.begin(), columns.end(), target);
  if (found != columns.end()) return static_cast<std::size_t>(found - columns.begin());
  const std::string near = nearest(target, columns);
  throw Error(ErrorCode::InvalidArgument, concat("the table has no column '", target, "'", near.empty() ? "." : concat("; did you mean '", near, "'?"),
                                                 " Columns: ", join(columns)), origin.at("data.target"));
}

void read_header(CsvReader& reader, Table& table, const DataConfig& config, const ConfigOrigin& origin) {
  std::vector<CsvCell> cells;
  if (!reader.next(cells)) {
    throw Error(ErrorCode::InvalidArgument, concat("'", config.path, "' is empty: a table has a header line and rows"), origin.at("data.path"));
  }
  for (const CsvCell& cell : cells) {
    if (std::find(table.columns.begin(), table.columns.end(), cell.text) != table.columns.end()) {
      throw Error(ErrorCode::InvalidArgument, concat("the column '", cell.text, "' stands twice in the header: rename one"), reader.place(cell));
    }
    table.columns.push_back(cell.text);
  }
  if (table.columns.size() < 2) {
    throw Error(ErrorCode::InvalidArgument, concat("the header has one column, '", table.columns[0],
                                                   "': a table needs inputs and a target, separated by commas"), reader.place(cells[0]));
  }
  table.target = target_index(table.columns, config.target, origin);
  table.features = static_cast<std::int64_t>(table.columns.size()) - 1;
}

void read_rows(CsvReader& reader, Table& table, bool regression, double val_fraction) {
  std::vector<CsvCell> cells;
  while (reader.next(cells)) {
    if (cells.size() != table.columns.size()) {
      throw Error(ErrorCode::InvalidArgument, concat("this row has ", cells.size(), " cells and the header ", table.columns.size()),
                  reader.place(cells[std::min(cells.size(), table.columns.size()) - 1]));
    }
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c != table.target) {
        table.inputs.push_back(number_of(cells[c], table.columns[c], reader));
      } else if (regression) {
        table.values.push_back(number_of(cells[c], table.columns[c], reader));
      } else if (!cells[c].text.empty()) {
        table.labels.push_back(cells[c].text);
      } else {
        throw Error(ErrorCode::InvalidArgument, concat("the cell of the target column '", table.columns[c], "' is empty: fill it or drop the row"),
                    reader.place(cells[c]));
      }
    }
    const std::int64_t row = table.rows();
    const std::uint64_t hash = mix64(static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(RandomDomain::split));
    (static_cast<double>(hash >> 11) * 0x1p-53 < val_fraction ? table.rows_validation : table.rows_train).push_back(row);
  }
}

struct Moments {
  double mean = 0;
  double deviation = 1;  ///< 1 for a constant column
};

template <class At>
Moments moments_of(const std::vector<std::int64_t>& rows, At at_row) {
  double sum = 0, squares = 0;
  for (const std::int64_t row : rows) sum += at_row(row);
  const double mean = sum / static_cast<double>(rows.size());
  for (const std::int64_t row : rows) squares += (at_row(row) - mean) * (at_row(row) - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(rows.size()));
  return {mean, deviation > 1e-12 * std::abs(mean) && deviation > 0 ? deviation : 1.0};
}

void standardise(Table& table) {
  for (std::int64_t f = 0; f < table.features; ++f) {
    const Moments m = moments_of(table.rows_train, [&](std::int64_t row) { return static_cast<double>(table.inputs[static_cast<std::size_t>(row * table.features + f)]); });
    for (auto i = static_cast<std::size_t>(f); i < table.inputs.size(); i += static_cast<std::size_t>(table.features)) {
      table.inputs[i] = static_cast<float>((static_cast<double>(table.inputs[i]) - m.mean) / m.deviation);
    }
  }
}

/// Class numbers in the order of the labels: by value when all are numbers, else by spelling.
std::map<std::string, std::int64_t> number_classes(const std::vector<std::string>& labels) {
  std::vector<std::string> names(labels);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  double left = 0, right = 0;
  if (std::all_of(names.begin(), names.end(), [&](const std::string& name) { return parse_number(name, left); })) {
    std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
      return parse_number(a, left) && parse_number(b, right) && left < right;
    });
  }
  std::map<std::string, std::int64_t> numbers;
  for (const std::string& name : names) numbers.emplace(name, static_cast<std::int64_t>(numbers.size()));
  return numbers;
}

class CsvDataset final : public Dataset {
 public:
  CsvDataset(at::Tensor inputs, at::Tensor targets, DataShape shape, std::string note)
      : inputs_(std::move(inputs)), targets_(std::move(targets)), shape_(shape), note_(std::move(note)) {}

  std::int64_t size() const override { return inputs_.size(0); }
  DataShape shape() const override { return shape_; }
  Batch collate(std::span<const SampleRef> samples) const override {
    const auto rows = static_cast<std::int64_t>(samples.size());
    at::Tensor index = at::empty({rows}, at::kLong);
    Batch batch{{}, {}, at::empty({rows}, at::kLong)};
    for (std::int64_t i = 0; i < rows; ++i) {
      index.mutable_data_ptr<std::int64_t>()[i] = samples[static_cast<std::size_t>(i)].index;
      batch.sample_ids.mutable_data_ptr<std::int64_t>()[i] = samples[static_cast<std::size_t>(i)].position;
    }
    batch.inputs = inputs_.index_select(0, index);
    batch.targets = targets_.index_select(0, index);
    return batch;
  }
  std::string summary() const override { return concat(size(), " rows of ", shape_.features, " columns, ", note_); }

 private:
  at::Tensor inputs_;
  at::Tensor targets_;
  DataShape shape_;
  std::string note_;
};

struct Targets {
  at::Tensor all;  ///< one per row
  DataShape shape;
  std::string note;
};

Targets regression_targets(Table& table) {
  const Moments m = moments_of(table.rows_train, [&](std::int64_t row) { return static_cast<double>(table.values[static_cast<std::size_t>(row)]); });
  at::Tensor all = at::empty({table.rows()}, at::kFloat);
  for (std::int64_t row = 0; row < table.rows(); ++row) {
    all.mutable_data_ptr<float>()[row] = static_cast<float>((static_cast<double>(table.values[static_cast<std::size_t>(row)]) - m.mean) / m.deviation);
  }
  return {all, {.vocabulary = 1, .features = table.features, .sequence = 0, .regression = true},
          concat("target '", table.columns[table.target], "' standardised (mean ", m.mean, ", deviation ", m.deviation, ")")};
}

Targets class_targets(const Table& table, const DataConfig& config, const ConfigOrigin& origin) {
  const auto numbers = number_classes(table.labels);
  if (numbers.size() < 2 || (numbers.size() == table.labels.size() && numbers.size() > 2)) {
    throw Error(ErrorCode::InvalidArgument,
                concat("the target column '", table.columns[table.target], "' of '", config.path, "' has ", numbers.size(), " different values in ",
                       table.labels.size(), " rows, which are no classes: choose another data.target, or data.task = \"regression\""),
                origin.at("data.target"));
  }
  at::Tensor all = at::empty({table.rows()}, at::kLong);
  for (std::int64_t row = 0; row < table.rows(); ++row) {
    all.mutable_data_ptr<std::int64_t>()[row] = numbers.at(table.labels[static_cast<std::size_t>(row)]);
  }
  return {all, {.vocabulary = static_cast<std::int64_t>(numbers.size()), .features = table.features, .sequence = 0, .regression = false},
          concat(numbers.size(), " classes of '", table.columns[table.target], "'")};
}

std::string read_table_file(const DataConfig& config, const ConfigOrigin& origin) {
  std::error_code error;
  if (config.path.empty() || !std::filesystem::is_regular_file(config.path, error)) {
    throw Error(ErrorCode::InvalidArgument, concat(config.path.empty() ? "data.path is not set" : concat("'", config.path, "' is not a file"),
                                                   ": data.kind = \"csv\" reads one file with a header line"), origin.at("data.path"));
  }
  try {
    return read_file(config.path);
  } catch (const Error& failure) {
    throw failure.with(origin.at("data.path"));
  }
}

Datasets make_csv(const DataConfig& config, std::uint64_t, const ConfigOrigin& origin) {
  const std::string text = read_table_file(config, origin);
  const bool regression = config.task == "regression";
  CsvReader reader(text, config.path);
  Table table;
  read_header(reader, table, config, origin);
  read_rows(reader, table, regression, config.val_fraction);
  if (table.rows_train.empty() || (config.val_fraction > 0 && table.rows_validation.empty())) {
    throw Error(ErrorCode::InvalidArgument, concat("of the ", table.rows(), " rows in '", config.path, "' ", table.rows_train.size(),
                                                   " are left to train on and ", table.rows_validation.size(),
                                                   " to validate: give more rows, change data.val_fraction, or set it to 0"), origin.at("data.path"));
  }
  standardise(table);
  const Targets targets = regression ? regression_targets(table) : class_targets(table, config, origin);
  const at::Tensor inputs = at::from_blob(table.inputs.data(), {table.rows(), table.features}, at::kFloat);
  const auto part = [&](std::vector<std::int64_t>& rows) {
    const at::Tensor index = at::from_blob(rows.data(), {static_cast<std::int64_t>(rows.size())}, at::kLong);
    return std::make_shared<CsvDataset>(inputs.index_select(0, index), targets.all.index_select(0, index), targets.shape, targets.note);
  };
  Datasets result;
  result.train = part(table.rows_train);
  if (!table.rows_validation.empty()) result.validation = part(table.rows_validation);
  return result;
}

}  // namespace
}  // namespace runtime

void register_csv(runtime::DatasetRegistry& registry) { registry.add("csv", {&runtime::make_csv}); }

}  // namespace panther
