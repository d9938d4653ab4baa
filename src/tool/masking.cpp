#include "tool/masking.h"

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/types/wal_name.h"
#include "core/work/control_file.h"
#include "core/work/sql_script.h"

namespace pitr::tool {

namespace {

Status Failed(int line, const std::string& message, const std::string& sqlstate) {
  return Status(Code::kInvalidArgument,
                "masking_script failed in line " + std::to_string(line) + ": " + message)
      .WithDetail("SQLSTATE " + sqlstate + ". No branch was made.");
}

class Runner {
 public:
  Runner(const ConnectTo& superuser, const Masking& masking, const CancelToken& cancel)
      : superuser_(superuser), masking_(masking), cancel_(cancel) {}

  Status Run() {
    PITR_ASSIGN_OR_RETURN(const std::vector<ScriptStatement> script, SplitScript(masking_.script));
    int line = 1;
    for (const ScriptStatement& statement : script) {
      line = statement.line;
      if (!statement.database.empty()) {
        PITR_RETURN_IF_ERROR(CheckClosed(line));
        PITR_RETURN_IF_ERROR(Connect(statement.database, line));
        continue;
      }
      if (!connection_) PITR_RETURN_IF_ERROR(Connect(masking_.database, line));
      PITR_ASSIGN_OR_RETURN(const std::optional<SqlError> error,
                            connection_->Try(statement.text, cancel_));
      if (error) {
        return Failed(LineOfPosition(statement.text, line, error->position), error->message,
                      error->sqlstate);
      }
    }
    return CheckClosed(line);
  }

 private:
  Status CheckClosed(int line) const {
    if (!connection_ || !connection_->IsInTransaction()) return Status::Ok();
    return Failed(line, "a transaction is left open", "25001");
  }

  Status Connect(const std::string& database, int line) {
    connection_.reset();
    ConnectTo to = superuser_;
    to.databases = {database};
    Result<Connection> owner = Connection::Open(to);
    if (!owner.ok()) return Failed(line, owner.status().message(), "08001");
    for (const char* table : {"pg_statistic", "pg_statistic_ext_data"}) {
      PITR_RETURN_IF_ERROR(owner->Run(std::string("DELETE FROM pg_catalog.") + table, cancel_));
    }
    to.users = {masking_.role};
    to.for_script = true;
    Result<Connection> opened = Connection::Open(to);
    if (!opened.ok()) return Failed(line, opened.status().message(), "08001");
    connection_ = std::move(*opened);
    return Status::Ok();
  }

  const ConnectTo& superuser_;
  const Masking& masking_;
  const CancelToken& cancel_;
  std::optional<Connection> connection_;
};

}  // namespace

Status RunMasking(const ConnectTo& superuser, const Masking& masking, const CancelToken& cancel) {
  PITR_RETURN_IF_ERROR(Runner(superuser, masking, cancel).Run());
  PITR_FAULT("masking.done");
  return Status::Ok();
}

Status RemoveWalOfMasking(const std::string& directory) {
  PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(directory));
  const std::uint64_t first = SegmentNumberOf(control.redo, control.wal_segment_size);
  const std::string folder = JoinPath(directory, "pg_wal");
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(folder));
  for (const std::string& name : names) {
    const auto parsed = ParseWalFileName(name, control.wal_segment_size);
    if (!parsed || parsed->kind == WalFileKind::kHistory) continue;
    if (parsed->kind == WalFileKind::kSegment && parsed->timeline == control.timeline &&
        parsed->segment >= first) {
      continue;
    }
    PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(folder, name)));
    for (const char* state : {".ready", ".done"})
      PITR_RETURN_IF_ERROR(RemoveFile(JoinPath(JoinPath(folder, "archive_status"), name + state)));
  }
  return Status::Ok();
}

}  // namespace pitr::tool
