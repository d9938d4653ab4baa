#include "pg/ship_file.h"

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/work/living_server.h"
#include "pg/boundary.h"
#include "pg/operation.h"
#include "pg/operation_slots.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::size_t kMaxNote = 4096;
constexpr std::int64_t kShipMillis = 10000;
// Somebody else may have asked in our place.
constexpr std::int64_t kAskAgainMillis = 2000;

// A number of the asker's choice; the answer has it again, and what went wrong behind it.
std::string AskedPath(const std::string& directory) { return JoinPath(directory, "pitr/ship"); }
std::string AnswerPath(const std::string& directory) { return JoinPath(directory, "pitr/shipped"); }

}  // namespace

Status AskToShip(const std::string& directory, std::int64_t patience_ms,
                 const std::function<bool()>& cancelled) {
  PITR_ASSIGN_OR_RETURN(const Bytes random, RandomBytes(16));
  const std::string nonce = ToHex(random);
  const std::int64_t give_up = SystemClock().MonotonicMillis() + patience_ms;
  std::int64_t asked_at = 0;
  for (;;) {
    const std::int64_t now = SystemClock().MonotonicMillis();
    if (now - asked_at >= kAskAgainMillis) {
      PITR_RETURN_IF_ERROR(WriteFileLoosely(AskedPath(directory), AsBytes(nonce)));
      asked_at = now;
    }
    const Result<std::string> answer = ReadTextFile(AnswerPath(directory), kMaxNote);
    if (answer.ok() && answer->starts_with(nonce)) {
      if (answer->size() == nonce.size()) return Status::Ok();
      return Status(Code::kIo, "the source's newest WAL could not be brought into the repository")
          .WithDetail(answer->substr(nonce.size() + 1));
    }
    // It has shipped everything when it has stopped.
    if (!LivingServer(directory)) return Status::Ok();
    if (cancelled()) return Status(Code::kCancelled, "the operation was cancelled");
    if (now >= give_up) {
      return Status(Code::kIo,
                    "the source's server did not bring its newest WAL into the "
                    "repository in time");
    }
    NapOnLatch(20);
    CheckInterrupts();
  }
}

Status AnswerShipFile() {
  const std::string directory = DataDirectory();
  const Result<std::string> nonce = ReadTextFile(AskedPath(directory), kMaxNote);
  if (!nonce.ok()) return Status::Ok();
  PITR_RETURN_IF_ERROR(RemoveFile(AskedPath(directory)));
  const Status shipped = RequestShip(kShipMillis);
  return WriteFileLoosely(AnswerPath(directory),
                          AsBytes(shipped.ok() ? *nonce : *nonce + "\n" + shipped.ToString()));
}

}  // namespace pitr::pg
