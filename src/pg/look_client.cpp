#include "pg/look_client.h"

#include <libpq-fe.h>

#include <array>
#include <cstring>

#include "pg/boundary.h"
#include "pg/log.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace pitr::pg {

namespace {

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

// Without "connection to server on socket … failed: FATAL:  " and what follows the first line.
std::string Reason(const std::string& text) {
  constexpr std::string_view kFatal = "FATAL:  ";
  const std::size_t at = text.find(kFatal);
  const std::string reason = at == std::string::npos ? text : text.substr(at + kFatal.size());
  return reason.substr(0, reason.find('\n'));
}

[[noreturn]] void RaiseText(const char* sqlstate, const std::string& message) {
  ForeignError error{};
  error.sqlstate = sqlstate;
  error.message = message.c_str();
  Call([&] { RaiseForeign(error); });
  pg_unreachable();
}

// What it says is for whoever asked.
void PassNotice(void*, const PGresult* result) {
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (message != nullptr) QuietLog(NOTICE, message, nullptr, nullptr);
}

// The session was ended with its server, which is not the caller's.
bool IsEndOfServer(const char* sqlstate) {
  return sqlstate == nullptr || std::strncmp(sqlstate, "57P", 3) == 0;
}

}  // namespace

void ResultFree::operator()(pg_result* result) const noexcept { PQclear(result); }

LookClient::~LookClient() { Drop(); }

void LookClient::DropCopied() noexcept {
  if (copied_ != nullptr) PQfreemem(copied_);
  copied_ = nullptr;
}

void LookClient::Drop() noexcept {
  DropCopied();
  if (is_busy_) {
    PGcancel* cancel = PQgetCancel(connection_);
    char text[256];
    if (cancel != nullptr) (void)PQcancel(cancel, text, sizeof text);
    PQfreeCancel(cancel);
  }
  PQfinish(connection_);
  connection_ = nullptr;
  is_busy_ = false;
}

Status LookClient::Lost() const {
  return Status(Code::kUnavailable, "the server of the past has ended").WithHint("Ask again.");
}

Status LookClient::Wait(bool to_write) {
  const int socket = PQsocket(connection_);
  if (socket < 0) return Lost();
  Call([&] {
    const int ready = to_write ? WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE;
    WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | ready, socket, -1L,
                      PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
  return Status::Ok();
}

Status LookClient::FailedToConnect(const std::string& database) const {
  const std::string reason = Reason(PQerrorMessage(connection_));
  if (Contains(reason, "did not exist at that point")) RaiseText("42704", reason);
  if (Contains(reason, "permission denied")) RaiseText("42501", reason);
  if (Contains(reason, "does not exist"))
    RaiseText("3D000", "database \"" + database + "\" did not exist at that point");
  if (Contains(reason, "not currently accepting connections")) RaiseText("55000", reason);
  if (Contains(reason, "too many") || Contains(reason, "connection slots"))
    RaiseText("53300", reason);
  return Status(Code::kUnavailable, "the server of the past cannot be reached")
      .WithDetail(reason)
      .WithHint("Ask again.");
}

Status LookClient::Connect(const Look& look, const std::string& role, const std::string& database) {
  const std::string port = std::to_string(look.port);
  const char* encoding = Call([] { return GetDatabaseEncodingName(); });
  // What is not named here may come from the environment of the server and from files of its user.
  const std::array<const char*, 11> names = {
      "host",       "port",    "user",    "dbname",           "client_encoding",
      "gssencmode", "sslmode", "options", "application_name", "target_session_attrs",
      nullptr};
  const std::array<const char*, 11> values = {look.socket_directory.c_str(),
                                              port.c_str(),
                                              role.c_str(),
                                              database.c_str(),
                                              encoding,
                                              "disable",
                                              "disable",
                                              "-c search_path=pg_catalog",
                                              "pitr_query_at",
                                              "any",
                                              nullptr};
  connection_ = PQconnectStartParams(names.data(), values.data(), 0);
  if (connection_ == nullptr) return Status(Code::kOutOfMemory, "out of memory");
  for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;
       state = PQconnectPoll(connection_)) {
    if (state == PGRES_POLLING_FAILED || PQstatus(connection_) == CONNECTION_BAD) {
      return FailedToConnect(database);
    }
    PITR_RETURN_IF_ERROR(Wait(state == PGRES_POLLING_WRITING));
  }
  PQsetNoticeReceiver(connection_, PassNotice, nullptr);
  return Status::Ok();
}

// What the server says against it, as if it were said here.
Status LookClient::Check(const pg_result* result) {
  const ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE) return Status::Ok();
  is_busy_ = false;
  const auto field = [&](int code) { return PQresultErrorField(result, code); };
  const char* sqlstate = field(PG_DIAG_SQLSTATE);
  if (IsEndOfServer(sqlstate)) return Lost();
  const char* position = field(PG_DIAG_STATEMENT_POSITION);
  ForeignError error = {sqlstate,
                        field(PG_DIAG_MESSAGE_PRIMARY),
                        field(PG_DIAG_MESSAGE_DETAIL),
                        field(PG_DIAG_MESSAGE_HINT),
                        field(PG_DIAG_CONTEXT),
                        query_.c_str(),
                        position == nullptr ? 0 : std::atoi(position)};
  Call([&] { RaiseForeign(error); });
  return Status::Ok();
}

Result<ResultPtr> LookClient::NextResult() {
  while (PQisBusy(connection_) != 0) {
    PITR_RETURN_IF_ERROR(Wait(false));
    if (PQconsumeInput(connection_) != 1) return Lost();
  }
  ResultPtr result(PQgetResult(connection_));
  if (result == nullptr) is_busy_ = false;
  return result;
}

// Of a command that has one result.
Result<ResultPtr> LookClient::LastResult() {
  ResultPtr last;
  for (;;) {
    PITR_ASSIGN_OR_RETURN(ResultPtr next, NextResult());
    if (next == nullptr) break;
    PITR_RETURN_IF_ERROR(Check(next.get()));
    last = std::move(next);
  }
  if (last == nullptr) return Lost();
  return last;
}

Status LookClient::Sent(int done) {
  if (done != 1) return Lost();
  is_busy_ = true;
  return Status::Ok();
}

Result<ResultPtr> LookClient::Query(const std::string& command,
                                    const std::vector<std::string>& values) {
  std::vector<const char*> texts;
  texts.reserve(values.size());
  for (const std::string& value : values)
    texts.push_back(value.c_str());
  PITR_RETURN_IF_ERROR(
      Sent(PQsendQueryParams(connection_, command.c_str(), static_cast<int>(texts.size()), nullptr,
                             texts.data(), nullptr, nullptr, 0)));
  return LastResult();
}

Result<ResultPtr> LookClient::Prepare(const std::string& query) {
  query_ = query;
  PITR_RETURN_IF_ERROR(Sent(PQsendPrepare(connection_, "", query_.c_str(), 0, nullptr)));
  PITR_RETURN_IF_ERROR(LastResult().status());
  PITR_RETURN_IF_ERROR(Sent(PQsendDescribePrepared(connection_, "")));
  return LastResult();
}

Status LookClient::Start() {
  PITR_RETURN_IF_ERROR(Sent(PQsendQueryPrepared(connection_, "", 0, nullptr, nullptr, nullptr, 0)));
#ifdef LIBPQ_HAS_CHUNK_MODE
  constexpr int kRows = 256;
  (void)PQsetChunkedRowsMode(connection_, kRows);
#else
  (void)PQsetSingleRowMode(connection_);
#endif
  return Status::Ok();
}

Result<ResultPtr> LookClient::Next() {
  PITR_ASSIGN_OR_RETURN(ResultPtr result, NextResult());
  if (result != nullptr) PITR_RETURN_IF_ERROR(Check(result.get()));
  return result;
}

Status LookClient::StartCopy(const std::string& command) {
  query_.clear();
  PITR_RETURN_IF_ERROR(Sent(PQsendQuery(connection_, command.c_str())));
  PITR_ASSIGN_OR_RETURN(const ResultPtr begun, NextResult());
  if (begun == nullptr) return Lost();
  PITR_RETURN_IF_ERROR(Check(begun.get()));
  return PQresultStatus(begun.get()) == PGRES_COPY_OUT
             ? Status::Ok()
             : Status(Code::kInternal, "a copy from the past began as something else");
}

Result<std::string_view> LookClient::NextOfCopy() {
  bool has_looked = false;
  for (;;) {
    DropCopied();
    const int size = PQgetCopyData(connection_, &copied_, 1);
    if (size > 0) return std::string_view(copied_, static_cast<std::size_t>(size));
    if (size == 0) {
      // Mostly there is more already, and waiting costs more than looking.
      if (has_looked) PITR_RETURN_IF_ERROR(Wait(false));
      has_looked = true;
      if (PQconsumeInput(connection_) != 1) return Lost();
    } else {
      PITR_RETURN_IF_ERROR(LastResult().status());
      return std::string_view();
    }
  }
}

}  // namespace pitr::pg
