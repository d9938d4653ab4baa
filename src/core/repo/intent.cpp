#include "core/repo/intent.h"

#include "core/base/file.h"
#include "core/base/json.h"

namespace pitr {

namespace {

// The callback in the postmaster reads the file into a fixed buffer of this size.
constexpr std::size_t kMaxIntentSize = 16384;

Result<Intent> ParseIntent(std::string_view text) {
  PITR_ASSIGN_OR_RETURN(const Json json, ParseJson(text, "intent.json", kMaxIntentSize));
  Intent intent;
  PITR_ASSIGN_OR_RETURN(const std::int64_t format, JsonInt(json, "format"));
  if (format != 1) {
    return Status(Code::kForeign,
                  "intent.json has format " + std::to_string(format) + ", this version knows 1");
  }
  const std::pair<const char*, std::string*> texts[] = {
      {"nonce", &intent.nonce},
      {"state", &intent.state},
      {"kind", &intent.kind},
      {"operation", &intent.operation},
      {"branch_name", &intent.branch_name},
      {"outgoing", &intent.outgoing},
      {"incoming", &intent.incoming},
      {"undo_name", &intent.undo_name},
      {"live_directory", &intent.live_directory},
      {"staged_directory", &intent.staged_directory},
      {"role_name", &intent.role_name},
      {"arguments", &intent.arguments},
      {"log_directory", &intent.log_directory},
      {"notes", &intent.notes},
  };
  for (const auto& [member, field] : texts) {
    PITR_ASSIGN_OR_RETURN(*field, JsonText(json, member));
  }
  PITR_ASSIGN_OR_RETURN(intent.preserve, JsonBool(json, "preserve"));
  const std::pair<const char*, bool*> since_0_4[] = {{"below_backup", &intent.below_backup},
                                                     {"reset", &intent.reset}};
  for (const auto& [member, field] : since_0_4) {
    if (json.contains(member)) {
      PITR_ASSIGN_OR_RETURN(*field, JsonBool(json, member));
    }
  }
  PITR_ASSIGN_OR_RETURN(intent.cut_at.micros, JsonInt(json, "cut_at"));
  PITR_ASSIGN_OR_RETURN(intent.undo_directory_seconds, JsonInt(json, "undo_directory_seconds"));
  return intent;
}

}  // namespace

std::string IntentPath(const std::string& data_directory) {
  return JoinPath(JoinPath(data_directory, "pitr"), "intent.json");
}

std::string IntentText(const Intent& intent) {
  Json json;
  json["format"] = 1;
  json["nonce"] = intent.nonce;
  json["state"] = intent.state;
  json["kind"] = intent.kind;
  json["operation"] = intent.operation;
  json["branch_name"] = intent.branch_name;
  json["outgoing"] = intent.outgoing;
  json["incoming"] = intent.incoming;
  json["undo_name"] = intent.undo_name;
  json["preserve"] = intent.preserve;
  json["below_backup"] = intent.below_backup;
  json["reset"] = intent.reset;
  json["live_directory"] = intent.live_directory;
  json["staged_directory"] = intent.staged_directory;
  json["role_name"] = intent.role_name;
  json["arguments"] = intent.arguments.substr(0, 4096);
  json["log_directory"] = intent.log_directory;
  json["cut_at"] = intent.cut_at.micros;
  json["undo_directory_seconds"] = intent.undo_directory_seconds;
  json["notes"] = intent.notes.substr(0, 4096);
  return DumpJson(json);
}

Result<Intent> ReadIntent(const std::string& data_directory) {
  PITR_ASSIGN_OR_RETURN(const std::string text,
                        ReadTextFile(IntentPath(data_directory), kMaxIntentSize));
  return ParseIntent(text);
}

Status WriteIntent(const std::string& data_directory, const Intent& intent) {
  PITR_RETURN_IF_ERROR(MakeDirectories(JoinPath(data_directory, "pitr")));
  return WriteFileDurably(IntentPath(data_directory), AsBytes(IntentText(intent)));
}

Status RemoveIntent(const std::string& data_directory) {
  const std::string path = IntentPath(data_directory);
  if (!PathExists(path)) return Status::Ok();
  PITR_RETURN_IF_ERROR(RemoveFile(path));
  return SyncDirectory(DirectoryName(path));
}

}  // namespace pitr
