// Rows of a look as rows of the calling statement: from text by the input functions of its columns, into a tuplestore, which goes to disk behind
// work_mem and minds temp_file_limit there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pg/look_client.h"
#include "pg/postgres_headers.h"

struct ReturnSetInfo;

namespace pitr::pg {

class LookRows {
 public:
  // kInvalidText-like refusals are RAISED inside: a caller that gives no columns. THROWS ErrorInFlight, here and below.
  explicit LookRows(FunctionCallInfo fcinfo);

  // The columns of `described` (of LookClient::Prepare) are those that the caller has named; 42804 says what both are. RAISES inside.
  Status CheckColumns(LookClient* client, const pg_result* described) const;
  // All its rows.
  void Put(const pg_result* rows);
  // One of one column.
  void PutText(const std::string& text);
  // One as COPY writes it.
  Status PutLine(std::string_view line);

 private:
  void PutValues(const std::vector<const char*>& values);

  ReturnSetInfo* info_;
  void* inputs_;  // AttInMetadata
  MemoryContext row_context_;
  std::vector<Datum> datums_;
  std::vector<char> nulls_;
  std::string line_;
  std::vector<const char*> values_;
};

}  // namespace pitr::pg
