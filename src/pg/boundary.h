// The line between PostgreSQL and C++, and the only place where either is crossed (src/pg/README.md).
//
// A *shell* is an extern "C" function that PostgreSQL calls; it may raise, and its locals are trivially destructible. A *body* is
// ordinary C++: it may own anything, never raises, and may be unwound by a C++ exception. A *call* is a lambda handed to Call(): it
// holds PostgreSQL calls and trivial locals and may raise. On the stack: shell -> Run -> body -> Call -> PostgreSQL.
//
// Invariant: no PostgreSQL error jumps over a C++ frame that owns something, and no C++ exception reaches a frame of the server.
// An error that PostgreSQL raised inside a Call stays on PostgreSQL's own error stack, as in a PG_CATCH block, while an empty C++
// exception unwinds the frames up to Run; the shell then continues it untouched. While it is in flight nothing else that can
// raise may be called, so destructors call nothing of the server that can.
#pragma once

#include <csetjmp>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include "core/base/result.h"
#include "core/base/status.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

// What an error says, in fixed buffers: it outlives every C++ object of the body. Filled by FillReport (error_map.h).
struct Report {
  int sqlstate;
  char message[2048];
  char detail[4096];
  char hint[1024];
};

enum class Outcome {
  kOk,
  kRaise,    // the report says what
  kReraise,  // a PostgreSQL error is on the server's error stack
};

// Unwinds C++ frames while a PostgreSQL error is in flight. Not derived from std::exception, so that nobody swallows it.
struct ErrorInFlight {};

namespace internal {

// What raising an error changes (src/backend/utils/error/elog.c of 15: errfinish zeroes the two counters before it jumps).
class ServerState {
 public:
  ServerState() noexcept
      : exception_stack_(PG_exception_stack),
        context_stack_(error_context_stack),
        memory_context_(CurrentMemoryContext),
        interrupt_holdoff_(InterruptHoldoffCount),
        cancel_holdoff_(QueryCancelHoldoffCount) {}
  // Right after a normal return, after a jump and after a C++ exception alike.
  ~ServerState() {
    PG_exception_stack = exception_stack_;
    error_context_stack = context_stack_;
  }
  ServerState(const ServerState&) = delete;
  ServerState& operator=(const ServerState&) = delete;

  void RestoreAfterError() const noexcept {
    CurrentMemoryContext = memory_context_;
    InterruptHoldoffCount = interrupt_holdoff_;
    QueryCancelHoldoffCount = cancel_holdoff_;
  }

 private:
  sigjmp_buf* const exception_stack_;
  ErrorContextCallback* const context_stack_;
  const MemoryContext memory_context_;
  const uint32 interrupt_holdoff_;
  const uint32 cancel_holdoff_;
};

void FillReportFromStatus(const Status& status, Report* report) noexcept;
void FillReportFromException(const std::exception* error, Report* report) noexcept;
void FillReportOutOfMemory(Report* report) noexcept;

}  // namespace internal

// Runs PostgreSQL calls inside C++: `call` is one or a few of them, guarded as closely as possible. REQUIRES: its captures and
// locals are trivially destructible, its result trivially copyable; no error is in flight; not in a destructor. THROWS:
// ErrorInFlight when PostgreSQL raised.
template <typename F>
__attribute__((noinline)) auto Call(F&& call) -> std::invoke_result_t<F&> {
  using Function = std::remove_reference_t<F>;
  using Value = std::invoke_result_t<F&>;
  static_assert(
      std::is_trivially_destructible_v<Function>,
      "a jump would leak what the lambda owns: capture by reference or plain values only");
  static_assert(std::is_void_v<Value> || std::is_trivially_copyable_v<Value>,
                "a jump would leak the result: return plain values only");
  const internal::ServerState saved;
  sigjmp_buf buffer;
  // The signal mask is not saved: that is a system call each time, and PostgreSQL's handlers do not jump.
  if (sigsetjmp(buffer, 0) == 0) {
    PG_exception_stack = &buffer;
    return call();
  }
  saved.RestoreAfterError();
  throw ErrorInFlight{};
}

namespace internal {
// Drops the error in flight if it is about a value (class 22).
bool DropDataError() noexcept;
}  // namespace internal

// As Call, for input functions of data types and nothing else: they hold nothing that a rollback would have to give back. False:
// they refused the value. THROWS: ErrorInFlight for any other error.
template <typename F>
bool CallInput(F&& call) {
  try {
    Call(call);
    return true;
  } catch (const ErrorInFlight&) {
    if (!internal::DropDataError()) {
      throw;
    }
    return false;
  }
}

// Runs C++ for PostgreSQL: `body` returns nothing or a Status. Every C++ object of the body is gone when this returns. The
// handlers only copy bytes; what they found is raised later, by Raise in the shell's frame.
template <typename F>
Outcome Run(F&& body, Report* report) noexcept {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      body();
      return Outcome::kOk;
    } else {
      const Status status = body();
      if (status.ok()) {
        return Outcome::kOk;
      }
      internal::FillReportFromStatus(status, report);
      return Outcome::kRaise;
    }
  } catch (const ErrorInFlight&) {
    return Outcome::kReraise;
  } catch (const std::bad_alloc&) {
    internal::FillReportOutOfMemory(report);
  } catch (const std::exception& error) {
    internal::FillReportFromException(&error, report);
  } catch (...) {
    internal::FillReportFromException(nullptr, report);
  }
  return Outcome::kRaise;
}

// RAISES: always. Continues the error in flight as it is, or raises the report. A report that says "cancelled" lets the server
// say it first: it knows whether it was a time-out, the user or a shutdown. REQUIRES: a shell's frame; outcome is not kOk.
[[noreturn]] void Raise(Outcome outcome, const Report& report);

// FATAL at once, for hooks that end a session. REQUIRES: a shell's frame without anything to destroy. Texts are ASCII.
[[noreturn]] void RaiseFatal(int sqlstate, const char* message, const char* hint);

// An error of another server as if it were this one's; `position` is in `query`. Texts are in the encoding of the database; null: there is none.
struct ForeignError {
  const char *sqlstate, *message, *detail, *hint, *context, *query;
  int position;
};
// RAISES. REQUIRES: inside a Call.
[[noreturn]] void RaiseForeign(const ForeignError& error);

// PANIC at once: the server goes down and recovers. `errnum` is told with the message.
[[noreturn]] void RaisePanic(int errnum, const char* message);

// For shells that must not raise (archive callback, hooks): one line in the log at `level` (below ERROR), and the error in flight,
// if that is what it is, is dropped. REQUIRES: outcome is not kOk; no transaction that would go on after the error.
void LogAndDrop(Outcome outcome, const Report& report, int level) noexcept;

// CHECK_FOR_INTERRUPTS for bodies. THROWS: ErrorInFlight.
void CheckInterrupts();

// One message below ERROR that neither raises, throws nor processes interrupts; silent while an exception unwinds.
// Texts are UTF-8. See log.h for the form to use.
void QuietLog(int level, const char* message, const char* detail, const char* hint) noexcept;

using FunctionBody = Result<Datum> (*)(FunctionCallInfo);
// The shells behind the macros below. RAISES.
Datum RunFunction(FunctionCallInfo fcinfo, FunctionBody body);
void RunWorker(Datum argument, Status (*body)(Datum));

}  // namespace pitr::pg

// PITR_FUNCTION(pitr_foo) { … return datum; } is the SQL function pitr_foo: shell, export and information record come from the
// macro, the braces are the body `Result<Datum> (FunctionCallInfo fcinfo)`. Use it at namespace level.
#define PITR_FUNCTION(name)                                                                    \
  static ::pitr::Result<Datum> name##_body(FunctionCallInfo fcinfo);                           \
  extern "C" {                                                                                 \
  PGDLLEXPORT Datum name(FunctionCallInfo fcinfo);                                             \
  PG_FUNCTION_INFO_V1(name);                                                                   \
  Datum name(FunctionCallInfo fcinfo) { return ::pitr::pg::RunFunction(fcinfo, name##_body); } \
  }                                                                                            \
  static ::pitr::Result<Datum> name##_body([[maybe_unused]] FunctionCallInfo fcinfo)

// PITR_WORKER(pitr_foo_main) { … return Status::Ok(); } is the entry of a background worker; the body is
// `Status (Datum argument)`. A Status that is not OK ends the worker with an ERROR.
#define PITR_WORKER(name)                                                     \
  static ::pitr::Status name##_body(Datum argument);                          \
  extern "C" {                                                                \
  PGDLLEXPORT void name(Datum argument);                                      \
  void name(Datum argument) { ::pitr::pg::RunWorker(argument, name##_body); } \
  }                                                                           \
  static ::pitr::Status name##_body([[maybe_unused]] Datum argument)
