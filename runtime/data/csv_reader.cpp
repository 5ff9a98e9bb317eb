#include "runtime/data/csv_reader.h"

#include "core/error.h"

namespace panther::runtime {
namespace {

void trim(std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) {
    text.clear();
    return;
  }
  text = text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

CsvReader::CsvReader(std::string_view text, std::string_view name) : text_(text), name_(name) {
  if (text_.starts_with("\xEF\xBB\xBF")) position_ = line_begin_ = 3;
}

std::string CsvReader::place(const CsvCell& cell) const { return concat(name_, ":", cell.line, ":", cell.column); }

bool CsvReader::at_line_end() const {
  return position_ >= text_.size() || text_[position_] == '\n' || text_.substr(position_).starts_with("\r\n");
}

void CsvReader::skip_line_end() {
  if (position_ >= text_.size()) return;
  position_ += text_[position_] == '\r' ? 2 : 1;
  line_begin_ = position_;
  ++line_;
}

bool CsvReader::next(std::vector<CsvCell>& cells) {
  cells.clear();
  while (position_ < text_.size() && at_line_end()) skip_line_end();
  if (position_ >= text_.size()) return false;
  while (true) {
    CsvCell& cell = cells.emplace_back();
    cell.line = line_;
    cell.column = static_cast<std::int64_t>(position_ - line_begin_) + 1;
    read_cell(cell);
    if (at_line_end()) break;
    ++position_;  // the comma
  }
  skip_line_end();
  return true;
}

void CsvReader::read_cell(CsvCell& cell) {
  if (position_ < text_.size() && text_[position_] == '"') {
    read_quoted(cell);
    return;
  }
  while (!at_line_end() && text_[position_] != ',') cell.text += text_[position_++];
  trim(cell.text);
}

void CsvReader::read_quoted(CsvCell& cell) {
  ++position_;
  while (true) {
    if (position_ >= text_.size()) {
      throw Error(ErrorCode::InvalidArgument, "a quote opens here and never closes: close it or double the quotes inside the field", place(cell));
    }
    const char c = text_[position_++];
    if (c == '"') {
      if (position_ >= text_.size() || text_[position_] != '"') break;
      ++position_;
    } else if (c == '\n') {
      line_begin_ = position_;
      ++line_;
    }
    cell.text += c;
  }
  if (!at_line_end() && text_[position_] != ',') {
    throw Error(ErrorCode::InvalidArgument, "text follows the closing quote of a field: put a comma there or double the quotes inside the field",
                concat(name_, ":", line_, ":", position_ - line_begin_ + 1));
  }
}

}  // namespace panther::runtime
