// What can go wrong at the line between PostgreSQL and C++, one SQL function each. Every body holds objects that count
// themselves: after each error none may be left.
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "pg/boundary.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/row_builder.h"
#include "pg/version.h"

extern "C" {
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PITR_MODULE_MAGIC("boundary_test", "1.0");
}

namespace pitr::pg {

namespace {

constinit int live_objects = 0;

// Owns memory, so that a leak shows in the resident size too.
class Counted {
 public:
  Counted() : text_(4096, 'x') { live_objects++; }
  ~Counted() { live_objects--; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::string text_;
};

Datum Nothing() { return static_cast<Datum>(0); }

void RaiseFromServer() {
  ereport(ERROR, (errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("server error %d", 42),
                  errdetail("Its detail."), errhint("Its hint."),
                  err_generic_string(PG_DIAG_TABLE_NAME, "its table")));
}

}  // namespace

PITR_FUNCTION(boundary_core_error) {
  const Counted counted;
  return Status(Code::kOutsideWindow, "core error").WithDetail("Its detail.").WithHint("Its hint.");
}

PITR_FUNCTION(boundary_core_text) {
  const Counted counted;
  return Status(Code::kInvalidArgument, TextArg(fcinfo, 0))
      .WithDetail(TextArg(fcinfo, 1))
      .WithHint(TextArg(fcinfo, 2));
}

PITR_FUNCTION(boundary_euro) {
  return Status(Code::kInvalidArgument,
                "10 \xe2\x82\xac, gr\xc3\xb6\xc3\x9f"
                "er");
}

PITR_FUNCTION(boundary_server_error) {
  const Counted counted;
  Call([] { RaiseFromServer(); });
  return Nothing();
}

PITR_FUNCTION(boundary_out_of_memory) {
  const Counted counted;
  // More than any address space; volatile, or the compiler removes the pair of new and delete.
  volatile std::size_t size = std::numeric_limits<std::ptrdiff_t>::max() / 2;
  std::vector<char> too_much(size);
  return Int32GetDatum(too_much[size / 2]);
}

PITR_FUNCTION(boundary_exception) {
  const Counted counted;
  throw std::runtime_error("its what");
}

PITR_FUNCTION(boundary_foreign_exception) {
  const Counted counted;
  throw 42;
}

// An exception leaves a Call: the server's stacks must be right for the error that a later Call raises.
PITR_FUNCTION(boundary_exception_in_call) {
  const Counted counted;
  try {
    Call([] { throw std::bad_alloc(); });
  } catch (const std::bad_alloc&) {
  }
  Call([] { RaiseFromServer(); });
  return Nothing();
}

PITR_FUNCTION(boundary_wait_for_cancel) {
  const Counted counted;
  Call([] {
    for (;;) {
      CHECK_FOR_INTERRUPTS();
      pg_usleep(1000);
    }
  });
  return Nothing();
}

// What core code answers when the token said stop: with an interrupt pending the server's own words, else ours.
PITR_FUNCTION(boundary_cancelled_status) {
  const Counted counted;
  if (BoolArg(fcinfo, 0)) {
    InterruptPending = true;
    QueryCancelPending = true;
    if (!ServerCancel().IsCancelled()) {
      return Status(Code::kInternal, "the token does not see the cancel");
    }
  }
  return Status(Code::kCancelled, "stopped half-way");
}

// A message must not process the cancel; the next look for interrupts does.
PITR_FUNCTION(boundary_notice_while_cancelled) {
  const Counted counted;
  InterruptPending = true;
  QueryCancelPending = true;
  LogQuietly(NOTICE, "quiet notice", "Its detail.", "Its hint.");
  if (!QueryCancelPending) {
    return Status(Code::kInternal, "the notice has processed the cancel");
  }
  CheckInterrupts();
  return BoolGetDatum(true);
}

namespace {

void FailBelow(int depth) {
  const Counted counted;
  if (depth == 0) {
    Call([] { RaiseFromServer(); });
  } else {
    Call([&] { FailBelow(depth - 1); });
  }
}

}  // namespace

PITR_FUNCTION(boundary_nested_call) {
  FailBelow(5);
  return Nothing();
}

// Body -> Call -> shell of another function -> its body -> Call.
PITR_FUNCTION(boundary_nested_shell) {
  const Counted counted;
  Call([] { DirectFunctionCall1(boundary_server_error, 0); });
  return Nothing();
}

// As the archive callback: the error is logged and gone, the process goes on.
PITR_FUNCTION(boundary_drop_error) {
  const Counted counted;
  for (int i = 0; i < 20; i++) {  // more than the server's error stack is deep
    Report report;
    const Outcome outcome = Run([&] { Call([] { RaiseFromServer(); }); }, &report);
    if (outcome != Outcome::kReraise) {
      return Status(Code::kInternal, "the error did not come through");
    }
    LogAndDrop(outcome, report, LOG);
  }
  return BoolGetDatum(live_objects == 1);
}

// Raising an error zeroes the counters; a Call restores them.
PITR_FUNCTION(boundary_holdoff_kept) {
  const Counted counted;
  HOLD_INTERRUPTS();
  HOLD_CANCEL_INTERRUPTS();
  const MemoryContext context = CurrentMemoryContext;
  Report report;
  const Outcome outcome = Run(
      [&] {
        Call([] {
          MemoryContextSwitchTo(TopMemoryContext);
          RaiseFromServer();
        });
      },
      &report);
  const bool kept = outcome == Outcome::kReraise && InterruptHoldoffCount == 1 &&
                    QueryCancelHoldoffCount == 1 && CurrentMemoryContext == context;
  RESUME_CANCEL_INTERRUPTS();
  RESUME_INTERRUPTS();
  FlushErrorState();
  return BoolGetDatum(kept);
}

PITR_FUNCTION(boundary_live_objects) { return Int32GetDatum(live_objects); }

PITR_FUNCTION(boundary_resident_kb) {
  long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%*d %ld", &pages) != 1) {
    pages = 0;
  }
  if (file != nullptr) {
    std::fclose(file);
  }
  return Int64GetDatum(pages * 4);
}

PITR_FUNCTION(boundary_echo) {
  const Counted counted;
  return TextDatum(TextArg(fcinfo, 0));
}

PITR_FUNCTION(boundary_utf8_length) {
  return Int32GetDatum(static_cast<int>(TextArg(fcinfo, 0).size()));
}

PITR_FUNCTION(boundary_arguments) {
  const Counted counted;
  std::string text;
  for (const std::string& element : TextArrayArg(fcinfo, 0)) {
    text += "[" + element + "]";
  }
  PITR_ASSIGN_OR_RETURN(const Timestamp time, TimeArg(fcinfo, 5));
  text += BoolArg(fcinfo, 1) ? " true " : " false ";
  text += std::to_string(Int4Arg(fcinfo, 2)) + " " + std::to_string(Int8Arg(fcinfo, 3)) + " " +
          LsnArg(fcinfo, 4).ToString() + " " + FormatTime(time) + " " +
          std::to_string(IntervalArg(fcinfo, 6));
  return TextDatum(text);
}

PITR_FUNCTION(boundary_rows) {
  const Counted counted;
  RowBuilder rows(fcinfo);
  for (int i = 1; i <= Int4Arg(fcinfo, 0); i++) {
    if (i % 2 == 0) {
      rows.Null().EndRow();
      continue;
    }
    rows.Text("row " + std::to_string(i)).Bool(true).Int4(i).Int8(i * 10'000'000'000LL);
    rows.Lsn({0x1'0000'0000ULL * static_cast<unsigned>(i) + 0x28}).Time({1'700'000'000'123'456});
    rows.Xid(4'000'000'000U).Interval(90'061'000'001LL).TextArray({"a", "b \"c\"", ""});
    rows.Input("192.0.2.1").EndRow();
  }
  return rows.Finish();
}

}  // namespace pitr::pg
