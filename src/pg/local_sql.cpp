#include "pg/local_sql.h"

#include "pg/undo_failed.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
}

namespace pitr::pg {

namespace {

// Of the command that ran last.
std::vector<LocalRow> RowsOfLast() {
  std::vector<LocalRow> rows;
  const SPITupleTable* table = SPI_tuptable;
  if (table == nullptr) return rows;
  for (std::uint64_t row = 0; row < table->numvals; row++) {
    LocalRow& values = rows.emplace_back();
    for (int column = 1; column <= table->tupdesc->natts; column++) {
      const char* value =
          Call([&] { return SPI_getvalue(table->vals[row], table->tupdesc, column); });
      values.push_back(value == nullptr ? std::nullopt : std::optional<std::string>(value));
    }
  }
  return rows;
}

}  // namespace

// An error in the middle leaves SPI to the end of the transaction, which closes it.
Result<LocalResult> RunLocally(const std::string& command, const std::vector<std::string>& values) {
  Call([] { return SPI_connect(); });
  std::vector<Oid> types(values.size(), TEXTOID);
  std::vector<Datum> datums;
  for (const std::string& value : values)
    datums.push_back(Call([&] { return CStringGetTextDatum(value.c_str()); }));
  const int done = Call([&] {
    return SPI_execute_with_args(command.c_str(), static_cast<int>(types.size()), types.data(),
                                 datums.data(), nullptr, false, 0);
  });
  if (done < 0) return Status(Code::kInternal, std::string("SPI: ") + SPI_result_code_string(done));
  LocalResult result;
  result.processed = SPI_processed;
  result.rows = RowsOfLast();
  Call([] { return SPI_finish(); });
  return result;
}

Result<LocalResult> ReadLocally(const std::string& command) {
  Call([] { return SPI_connect(); });
  const int done = Call([&] { return SPI_execute(command.c_str(), true, 0); });
  if (done < 0) return Status(Code::kInternal, std::string("SPI: ") + SPI_result_code_string(done));
  LocalResult result;
  result.processed = SPI_processed;
  result.rows = RowsOfLast();
  Call([] { return SPI_finish(); });
  return result;
}

Result<std::optional<std::string>> AskLocally(const std::string& command,
                                              const std::vector<std::string>& values) {
  PITR_ASSIGN_OR_RETURN(const LocalResult result, RunLocally(command, values));
  if (result.rows.empty() || result.rows[0].empty()) return std::optional<std::string>();
  return result.rows[0][0];
}

Result<std::optional<std::string>> TryLocally(const std::string& command) {
  const MemoryContext context = CurrentMemoryContext;
  const ResourceOwner owner = CurrentResourceOwner;
  Call([&] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
  });
  try {
    PITR_RETURN_IF_ERROR(RunLocally(command).status());
    Call([&] {
      ReleaseCurrentSubTransaction();
      MemoryContextSwitchTo(context);
      CurrentResourceOwner = owner;
    });
    return std::optional<std::string>();
  } catch (const ErrorInFlight&) {
    char message[1024];
    Call([&] { UndoFailed(context, owner, message, sizeof message); });
    return std::optional<std::string>(message);
  }
}

LocalSettings::LocalSettings() : level_(Call([] { return NewGUCNestLevel(); })) {}

void LocalSettings::Set(const char* name, const char* value) {
  Call([&] {
    (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                            false);
  });
}

void LocalSettings::End() {
  Call([&] { AtEOXact_GUC(true, level_); });
}

}  // namespace pitr::pg
