// A session of a look: libpq (replication_client.h says why), entered as one role. Texts are in the encoding of this database in both directions.
// Waiting hears interrupts; a session that is dropped in the middle of a query cancels it.
//
// All of it may THROW ErrorInFlight.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/status.h"
#include "core/work/look.h"

struct pg_conn;
struct pg_result;

namespace pitr::pg {

struct ResultFree {
  void operator()(pg_result* result) const noexcept;
};
using ResultPtr = std::unique_ptr<pg_result, ResultFree>;

class LookClient {
 public:
  LookClient() = default;
  ~LookClient();
  LookClient(const LookClient&) = delete;
  LookClient& operator=(const LookClient&) = delete;

  // As `role`, which was there then; with search path pg_catalog. kUnavailable: the look has ended, or ends. RAISES inside: 42704, 42501, 3D000.
  Status Connect(const Look& look, const std::string& role, const std::string& database);

  // One command of ours; RAISES inside what the server says against it.
  Result<ResultPtr> Query(const std::string& command, const std::vector<std::string>& values = {});

  // A statement of somebody else's: errors have their place in it. What it returns, before it is run.
  Result<ResultPtr> Prepare(const std::string& query);
  // Rows come one by one, or some at a time; null behind the last.
  Status Start();
  Result<ResultPtr> Next();

  // COPY ... TO STDOUT. Its bytes a row at a time, good until the next call; empty behind the last.
  Status StartCopy(const std::string& command);
  Result<std::string_view> NextOfCopy();

 private:
  Status Wait(bool to_write);
  Result<ResultPtr> NextResult();
  Result<ResultPtr> LastResult();
  Status Check(const pg_result* result);
  Status Sent(int done);
  Status Lost() const;
  Status FailedToConnect(const std::string& database) const;
  void DropCopied() noexcept;
  void Drop() noexcept;

  pg_conn* connection_ = nullptr;  // owned
  std::string query_;              // of Prepare
  bool is_busy_ = false;
  char* copied_ = nullptr;  // owned: what NextOfCopy gave
};

}  // namespace pitr::pg
