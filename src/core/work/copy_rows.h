// Counts rows in the text that pg_restore makes of a dump: what stands between "COPY … FROM stdin;" and "\.", a line a row.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"

namespace pitr {

struct CopiedTable {
  std::string schema, name;  // bytes as they stand in the text, without quotes
  std::uint64_t rows = 0;
};

// Takes the text in pieces cut anywhere. Memory: a line outside of rows, nothing for rows.
class CopyRows {
 public:
  void Add(ByteView text);
  // In the order of the text.
  const std::vector<CopiedTable>& tables() const { return tables_; }
  std::uint64_t large_objects() const { return large_objects_; }
  // The text did not end in the middle of a table's rows.
  bool is_complete() const { return !in_rows_; }

 private:
  std::string_view TakeRows(std::string_view text);
  void TakeLine(std::string_view line);

  std::vector<CopiedTable> tables_;
  std::uint64_t large_objects_ = 0;
  bool in_rows_ = false;
  std::string begun_;             // the first part of a line
  std::uint64_t begun_size_ = 0;  // of which so much was seen
};

}  // namespace pitr
