#include "runtime/observe/wide_csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/atomic_file.h"
#include "core/json_text.h"
#include "core/text.h"

namespace panther::runtime {
namespace {

constexpr std::string_view kFixedColumns = "step,time";

bool keep_row(std::string_view line, std::int64_t from_step) {
  if (line.starts_with(kFixedColumns)) return true;
  std::int64_t step = 0;
  const auto parsed = std::from_chars(line.data(), line.data() + line.size(), step);
  return parsed.ec == std::errc() && from_step > 0 && step <= from_step;
}

std::string column_name(std::string tag) {
  std::replace_if(tag.begin(), tag.end(), [](char c) { return c == ',' || c == '"' || c == '\n' || c == '\r'; }, '_');
  return tag;
}

std::string cell(double value) { return std::isnan(value) ? "nan" : std::isinf(value) ? (value > 0 ? "inf" : "-inf") : json_number(value); }

}  // namespace

WideCsv::WideCsv(std::filesystem::path path, std::int64_t from_step) : path_(std::move(path)) {
  const std::string kept = keep_lines(path_, keep_row, from_step);
  const std::string first = kept.substr(0, kept.find('\n'));
  if (first.starts_with(kFixedColumns)) {
    std::string tag;
    for (const char c : first.substr(std::min(first.size(), kFixedColumns.size() + 1)) + ",") {
      if (c != ',') {
        tag += c;
      } else if (!tag.empty()) {
        tags_.push_back(std::move(tag));
        tag.clear();
      }
    }
  } else {
    write_file_atomic(path_, header());
  }
  file_ = std::make_unique<AppendFile>(path_);
}

std::string WideCsv::header() const {
  std::string line(kFixedColumns);
  for (const std::string& tag : tags_) line.append(",").append(tag);
  return line + "\n";
}

void WideCsv::add_columns(const Scalars& scalars) {
  const std::size_t before = tags_.size();
  for (const auto& [tag, value] : scalars) {
    const std::string name = column_name(tag);
    if (std::find(tags_.begin(), tags_.end(), name) == tags_.end()) tags_.push_back(name);
  }
  if (tags_.size() == before) return;
  const std::string old = read_file(path_);
  const std::string padding(tags_.size() - before, ',');
  std::string text = header();
  std::size_t begin = old.find('\n') + 1;
  for (std::size_t end = old.find('\n', begin); end != std::string::npos; begin = end + 1, end = old.find('\n', begin)) {
    text.append(old, begin, end - begin).append(padding).append("\n");
  }
  write_file_atomic(path_, text);
  file_ = std::make_unique<AppendFile>(path_);
}

void WideCsv::write(std::int64_t step, double time, const Scalars& scalars) {
  add_columns(scalars);
  std::vector<std::string> cells(tags_.size());
  for (const auto& [tag, value] : scalars) {
    cells[static_cast<std::size_t>(std::find(tags_.begin(), tags_.end(), column_name(tag)) - tags_.begin())] = cell(value);
  }
  std::string line = concat(step, ",", json_number(time));
  for (const std::string& text : cells) line.append(",").append(text);
  file_->append(line + "\n");
}

}  // namespace panther::runtime
