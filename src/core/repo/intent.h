// The intent of an exchange: `pitr/intent.json`, the same text in both directories, written durably before sessions are
// cut and removed when everything that follows is done. Whatever kills the machine in between, the next start reads it and
// the directory's identity: if that is `incoming`, the exchange has happened, if it is `outgoing`, it has not.
#pragma once

#include <optional>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/repo/branches.h"

namespace pitr {

struct Intent {
  std::string nonce;  // 32 hex digits; the postmaster's callback looks for exactly this text
  std::string state = "armed";   // armed -> confirmed
  std::string kind = "restore";  // restore, undo, finalize
  OperationId operation;
  std::string branch_name;  // the name that moves
  BranchId outgoing,
      incoming;           // lines; identity.json of the live and of the staged directory when armed
  std::string undo_name;  // what `outgoing` is called afterwards
  bool preserve = true;   // false: outgoing and its directory go
  bool below_backup = false;         // outgoing becomes the parent of incoming
  bool reset = false;                // the time to live begins anew
  std::string live_directory;        // real path of the data directory
  std::string staged_directory;      // real path of the other one
  std::string role_name, arguments;  // for the audit row
  std::string log_directory;         // relative directory of the logging collector, or empty
  Timestamp cut_at;                  // when the name moves
  std::int64_t undo_directory_seconds = 86400;
  std::string notes;  // roles gone and the like
};

std::string IntentPath(const std::string& data_directory);
Result<Intent> ReadIntent(const std::string& data_directory);  // kNotFound when there is none
Status WriteIntent(const std::string& data_directory, const Intent& intent);  // DURABLE
Status RemoveIntent(const std::string& data_directory);  // DURABLE, absent is OK
std::string IntentText(const Intent& intent);

}  // namespace pitr
