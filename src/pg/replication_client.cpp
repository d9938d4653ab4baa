#include "pg/replication_client.h"

#include <libpq-fe.h>

#include <array>

#include "core/base/clock.h"
#include "core/wal/stream_message.h"

namespace pitr::pg {

namespace {

constexpr const char* kCannotConnect = "cannot connect to this server for replication";
constexpr const char* kCannotStart = "cannot start replication";
constexpr const char* kEnded = "the replication connection ended";

// As one line.
std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  for (char& c : text) {
    c = c == '\n' ? ' ' : c;
  }
  return text;
}

}  // namespace

ReplicationClient::~ReplicationClient() { Close(); }

void ReplicationClient::Close() {
  PQfinish(connection_);
  connection_ = nullptr;
  state_ = State::kClosed;
  received_ = Lsn();
  is_reply_wanted_ = wants_to_write_ = false;
}

Status ReplicationClient::Failed(const char* what) const {
  const std::string error =
      connection_ == nullptr ? "out of memory" : Trimmed(PQerrorMessage(connection_));
  return Status(Code::kUnavailable, std::string(what) + ": " + error);
}

Status ReplicationClient::Begin(const ReplicationTarget& target, Lsn from) {
  const std::string port = std::to_string(target.port);
  // What is not named here may come from the environment of the server and from the password file of its user.
  const std::array<const char*, 9> names = {"host",        "port",
                                            "user",        "dbname",
                                            "replication", "application_name",
                                            "gssencmode",  "target_session_attrs",
                                            nullptr};
  const std::array<const char*, 9> values = {target.host.c_str(), port.c_str(), target.user.c_str(),
                                             "replication",       "true",       "pitr",
                                             "disable",           "any",        nullptr};
  connection_ = PQconnectStartParams(names.data(), values.data(), 0);
  if (connection_ == nullptr || PQstatus(connection_) == CONNECTION_BAD) {
    return Failed(kCannotConnect);
  }
  state_ = State::kConnecting;
  from_ = from;
  wants_to_write_ = true;
  return Status::Ok();
}

int ReplicationClient::socket() const { return PQsocket(connection_); }

int ReplicationClient::sender_pid() const {
  return connection_ == nullptr ? 0 : PQbackendPID(connection_);
}

Status ReplicationClient::Advance() {
  switch (state_) {
    case State::kClosed:
      return Status::Ok();
    case State::kConnecting:
      return AdvanceConnecting();
    case State::kStarting:
      return AdvanceStarting();
    case State::kStreaming:
      return AdvanceStreaming();
  }
  return Status::Ok();
}

Status ReplicationClient::AdvanceConnecting() {
  switch (PQconnectPoll(connection_)) {
    case PGRES_POLLING_READING:
    case PGRES_POLLING_ACTIVE:
      wants_to_write_ = false;
      return Status::Ok();
    case PGRES_POLLING_WRITING:
      wants_to_write_ = true;
      return Status::Ok();
    case PGRES_POLLING_OK:
      break;
    case PGRES_POLLING_FAILED:
      return Failed(kCannotConnect);
  }
  const std::string command = "START_REPLICATION PHYSICAL " + from_.ToString();
  if (PQsetnonblocking(connection_, 1) != 0 || PQsendQuery(connection_, command.c_str()) != 1) {
    return Failed(kCannotStart);
  }
  state_ = State::kStarting;
  return Flush();
}

Status ReplicationClient::AdvanceStarting() {
  PITR_RETURN_IF_ERROR(Flush());
  if (PQconsumeInput(connection_) != 1) {
    return Failed(kCannotStart);
  }
  if (PQisBusy(connection_) != 0) {
    return Status::Ok();
  }
  PGresult* result = PQgetResult(connection_);
  const bool is_copying = PQresultStatus(result) == PGRES_COPY_BOTH;
  PQclear(result);
  if (!is_copying) {
    return Failed(kCannotStart);
  }
  state_ = State::kStreaming;
  return AdvanceStreaming();
}

Status ReplicationClient::AdvanceStreaming() {
  PITR_RETURN_IF_ERROR(Flush());
  if (PQconsumeInput(connection_) != 1) {
    return Failed(kEnded);
  }
  // This takes from what was just read and reads nothing itself, so it has an end.
  for (;;) {
    char* data = nullptr;
    const int size = PQgetCopyData(connection_, &data, 1);
    if (size == 0) {
      return Status::Ok();
    }
    if (size < 0) {
      return StreamEnded();
    }
    const Result<wal::StreamMessage> message =
        wal::ParseStreamMessage(AsBytes({data, static_cast<std::size_t>(size)}));
    PQfreemem(data);
    PITR_RETURN_IF_ERROR(message.status());
    if (message->end.valid()) {
      received_ = message->end;
    }
    is_reply_wanted_ = is_reply_wanted_ || message->reply_wanted;
  }
}

Status ReplicationClient::StreamEnded() {
  PGresult* result = PQgetResult(connection_);
  const std::string reason = Trimmed(PQresultErrorMessage(result));
  PQclear(result);
  if (reason.empty()) {
    return Failed(kEnded);
  }
  return Status(Code::kUnavailable, std::string(kEnded) + ": " + reason);
}

Status ReplicationClient::Flush() {
  const int left = PQflush(connection_);
  wants_to_write_ = left > 0;
  return left < 0 ? Failed(kEnded) : Status::Ok();
}

bool ReplicationClient::Confirm(Lsn durable) {
  const Bytes message = wal::StandbyStatus(durable, SystemClock().Now());
  const std::string_view text = AsText(message);
  if (PQputCopyData(connection_, text.data(), static_cast<int>(text.size())) != 1) {
    wants_to_write_ = true;
    return false;
  }
  is_reply_wanted_ = false;
  // A failure shows itself at the next Advance().
  wants_to_write_ = PQflush(connection_) > 0;
  return true;
}

}  // namespace pitr::pg
