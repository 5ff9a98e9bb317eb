#pragma once
// Comma-separated values, RFC 4180: a header line, quoted fields with doubled quotes and line breaks inside, LF or CRLF. No torch here.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/export.h"

namespace panther::runtime {

struct CsvCell {
  std::string text;  ///< without quotes; spaces around an unquoted cell are removed
  std::int64_t line = 0;    ///< where the cell begins, 1-based
  std::int64_t column = 0;  ///< byte of that line, 1-based
};

/// Walks over a text row by row. Blank lines are skipped, a byte-order mark too.
class PANTHER_RUNTIME_API CsvReader {
 public:
  /// `name` stands for the text in messages; both must outlive the reader.
  CsvReader(std::string_view text, std::string_view name);
  /// The next row into `cells`; false at the end. Throws InvalidArgument with name:line:column for a quote that never closes or text
  /// behind a closing quote.
  bool next(std::vector<CsvCell>& cells);
  /// "table.csv:12:8".
  std::string place(const CsvCell& cell) const;

 private:
  void read_cell(CsvCell& cell);
  void read_quoted(CsvCell& cell);
  bool at_line_end() const;
  void skip_line_end();

  std::string_view text_;
  std::string_view name_;
  std::size_t position_ = 0;
  std::size_t line_begin_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace panther::runtime
