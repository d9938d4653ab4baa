// The parts of the boundary that need no template. The only file that may raise.
#include "pg/boundary.h"

#include <cstring>
#include <string_view>

#include "pg/error_map.h"
#include "pg/undo_failed.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
}

namespace pitr::pg {

namespace internal {

void FillReportFromStatus(const Status& status, Report* report) noexcept {
  FillReport(status.code(), status.message(), status.detail(), status.hint(), report);
}

void FillReportFromException(const std::exception* error, Report* report) noexcept {
  const char* what = error != nullptr ? error->what() : nullptr;
  FillReport(Code::kInternal, "unexpected C++ exception",
             what != nullptr ? std::string_view(what) : std::string_view(), {}, report);
}

void FillReportOutOfMemory(Report* report) noexcept {
  FillReport(Code::kOutOfMemory, "out of memory", {}, {}, report);
}

bool DropDataError() noexcept {
  if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION) {
    return false;
  }
  FlushErrorState();
  return true;
}

}  // namespace internal

void Raise(Outcome outcome, const Report& report) {
  if (outcome == Outcome::kReraise) {
    PG_RE_THROW();
  }
  if (report.sqlstate == ERRCODE_QUERY_CANCELED) {
    CHECK_FOR_INTERRUPTS();
  }
  Report text = report;
  ToServerEncoding(&text);
  ereport(ERROR, (errcode(text.sqlstate), errmsg_internal("%s", text.message),
                  text.detail[0] != '\0' ? errdetail_internal("%s", text.detail) : 0,
                  text.hint[0] != '\0' ? errhint("%s", text.hint) : 0));
}

[[noreturn]] void RaiseFatal(int sqlstate, const char* message, const char* hint) {
  ereport(FATAL, (errcode(sqlstate), errmsg_internal("%s", message), errhint("%s", hint)));
  pg_unreachable();
}

[[noreturn]] void RaiseForeign(const ForeignError& error) {
  const char* state = error.sqlstate;
  const int code = state != nullptr && std::strlen(state) == 5
                       ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])
                       : ERRCODE_INTERNAL_ERROR;
  ereport(ERROR,
          (errcode(code), errmsg_internal("%s", error.message != nullptr ? error.message : "error"),
           error.detail != nullptr ? errdetail_internal("%s", error.detail) : 0,
           error.hint != nullptr ? errhint("%s", error.hint) : 0,
           error.context != nullptr ? errcontext("%s", error.context) : 0,
           error.position > 0 ? internalerrposition(error.position) : 0,
           error.position > 0 ? internalerrquery(error.query) : 0));
  pg_unreachable();
}

void UndoFailed(MemoryContext context, ResourceOwnerData* owner, char* message, std::size_t size) {
  MemoryContextSwitchTo(context);
  ErrorData* error = CopyErrorData();
  FlushErrorState();
  RollbackAndReleaseCurrentSubTransaction();
  MemoryContextSwitchTo(context);
  CurrentResourceOwner = owner;
  if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
    ReThrowError(error);
  CopyText(error->message, message, size);
}

[[noreturn]] void RaisePanic(int errnum, const char* message) {
  errno = errnum;
  ereport(PANIC, (errcode_for_file_access(), errmsg_internal("%s: %m", message)));
  pg_unreachable();
}

void LogAndDrop(Outcome outcome, const Report& report, int level) noexcept {
  if (outcome == Outcome::kRaise) {
    QuietLog(level, report.message, report.detail, report.hint);
    return;
  }
  // Not EmitErrorReport: that would go to a client as an ERROR, which the statement then does not end with.
  HOLD_INTERRUPTS();
  ErrorData* error = nullptr;
  try {
    error = Call([] {
      if (CurrentMemoryContext == ErrorContext) {
        MemoryContextSwitchTo(TopMemoryContext);
      }
      return CopyErrorData();
    });
  } catch (const ErrorInFlight&) {
    // Dropped with the one that could not be copied.
  }
  FlushErrorState();
  // As every error handler of the server ends: no lock, nothing held (pgarch.c of 17).
  LWLockReleaseAll();
  InterruptHoldoffCount = 0;
  QueryCancelHoldoffCount = 0;
  if (error != nullptr) {
    QuietLog(level, error->message, error->detail, error->hint);
    FreeErrorData(error);
  } else {
    QuietLog(level, "an error could not be reported", nullptr, nullptr);
  }
}

void CheckInterrupts() {
  Call([] { CHECK_FOR_INTERRUPTS(); });
}

void QuietLog(int level, const char* message, const char* detail, const char* hint) noexcept {
  // A second error on top of one in flight would overwrite it (FlushErrorState below).
  if (level >= ERROR || std::uncaught_exceptions() > 0) {
    return;
  }
  // The last act of ereport is an interrupt check, even below ERROR (elog.c of 15, errfinish).
  HOLD_INTERRUPTS();
  try {
    Call([&] {
      if (!message_level_is_interesting(level)) {
        return;
      }
      Report text;
      CopyText(message, text.message, sizeof text.message);
      CopyText(detail, text.detail, sizeof text.detail);
      CopyText(hint, text.hint, sizeof text.hint);
      ToServerEncoding(&text);
      ereport(level, (errmsg_internal("%s", text.message),
                      text.detail[0] != '\0' ? errdetail_internal("%s", text.detail) : 0,
                      text.hint[0] != '\0' ? errhint("%s", text.hint) : 0));
    });
  } catch (const ErrorInFlight&) {
    FlushErrorState();
  }
  RESUME_INTERRUPTS();
}

Datum RunFunction(FunctionCallInfo fcinfo, FunctionBody body) {
  Datum out = 0;
  Report report;
  const Outcome outcome = Run(
      [&]() -> Status {
        Result<Datum> result = body(fcinfo);
        if (!result.ok()) {
          return std::move(result).status();
        }
        out = *result;
        return Status::Ok();
      },
      &report);
  if (outcome != Outcome::kOk) {
    Raise(outcome, report);
  }
  return out;
}

void RunWorker(Datum argument, Status (*body)(Datum)) {
  Report report;
  const Outcome outcome = Run([&] { return body(argument); }, &report);
  if (outcome != Outcome::kOk) {
    Raise(outcome, report);
  }
}

}  // namespace pitr::pg
