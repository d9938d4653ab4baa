#include "pg/attachment.h"

#include <unistd.h>

#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "core/work/attachment.h"
#include "pg/boundary.h"
#include "pg/look_table.h"
#include "pg/row_builder.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace pitr::pg {

namespace {

constexpr std::string_view kServerPrefix = "pitr_past_";

constinit ExecutorStart_hook_type previous_start = nullptr;
constinit object_access_hook_type previous_object_access = nullptr;

// Links that the current transaction has made.
struct Made {
  std::string link, server;
  bool stays = false;
};
constinit std::vector<Made>* made = nullptr;
// By schema: the look that sessions of postgres_fdw were opened in, by its socket directory.
constinit std::map<Oid, std::string>* entered = nullptr;

// A foreign server of ours, if that is what it is.
struct PastServer {
  Oid schema = InvalidOid;
  std::string host, point;
};

std::string LinkOf(Oid schema) {
  return JoinPath(AttachmentDirectory(), AttachmentName(MyDatabaseId, schema));
}

Oid SchemaOfServer(std::string_view name) {
  if (!name.starts_with(kServerPrefix)) return InvalidOid;
  Oid schema = InvalidOid;
  const char* end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + kServerPrefix.size(), end, schema);
  return read.ec == std::errc() && read.ptr == end ? schema : InvalidOid;
}

std::optional<PastServer> FindServer(Oid server) {
  const ForeignServer* found =
      Call([&] { return GetForeignServerExtended(server, FSV_MISSING_OK); });
  if (found == nullptr || found->owner != BOOTSTRAP_SUPERUSERID) return std::nullopt;
  PastServer past;
  past.schema = SchemaOfServer(found->servername);
  if (past.schema == InvalidOid || found->serverversion == nullptr) return std::nullopt;
  past.point = found->serverversion;
  const char* host = Call([&] {
    const ListCell* cell = nullptr;
    foreach (cell, found->options) {
      DefElem* option = static_cast<DefElem*>(lfirst(cell));
      if (std::strcmp(option->defname, "host") == 0)
        return const_cast<const char*>(defGetString(option));
    }
    return "";
  });
  past.host = host;
  return past;
}

bool IsForeign(const RangeTblEntry* entry) {
  return entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_FOREIGN_TABLE;
}

bool ReadsForeign(const List* entries) {
  const ListCell* cell = nullptr;
  foreach (cell, entries) {
    if (IsForeign(static_cast<const RangeTblEntry*>(lfirst(cell)))) return true;
  }
  return false;
}

// Sessions in a look that has ended are not tried first.
void ForgetSessions(Oid schema, const Look& look) {
  if (entered == nullptr) entered = new std::map<Oid, std::string>;
  std::string& known = (*entered)[schema];
  if (known == look.socket_directory) return;
  known = look.socket_directory;
  Call([] { CallSyscacheCallbacks(FOREIGNSERVEROID, 0); });
}

// The look of the schema is there when this returns.
Status MakeReady(const PastServer& past) {
  // The database that this one was copied from may be another's to see.
  if (past.host != PastHost(past.schema)) {
    return Status(Code::kNotReady,
                  "the schema was attached elsewhere, in the database that this one is a copy of")
        .WithHint("Attach it here with pitr_attach_schema().");
  }
  PITR_ASSIGN_OR_RETURN(const std::string place, BranchDirectory());
  std::optional<Look> look = LookOfAttachment(LinkOf(past.schema), place);
  if (!look || !IsServing(*look)) {
    PITR_ASSIGN_OR_RETURN(HeldLook held, HoldLook(past.point));
    PITR_RETURN_IF_ERROR(AttachToLook(past.schema, held.look));
    look = std::move(held.look);
  }
  ForgetSessions(past.schema, *look);
  return Status::Ok();
}

Status MakeAllReady(const List* entries) {
  const ListCell* cell = nullptr;
  foreach (cell, entries) {
    const auto* entry = static_cast<const RangeTblEntry*>(lfirst(cell));
    if (!IsForeign(entry)) continue;
    const Oid server = Call([&] { return GetForeignServerIdByRelId(entry->relid); });
    const std::optional<PastServer> past = FindServer(server);
    if (past) PITR_RETURN_IF_ERROR(MakeReady(*past));
  }
  return Status::Ok();
}

// Even if that is rolled back: who reads from it then makes the link again.
Status DropLinks(Oid class_id, Oid object) {
  if (class_id == DatabaseRelationId) {
    DropAttachments(AttachmentDirectory(), AttachmentPrefix(object));
    return Status::Ok();
  }
  const std::optional<PastServer> past = FindServer(object);
  return past ? RemoveFile(LinkOf(past->schema)) : Status::Ok();
}

extern "C" {

static void StartWithPast(QueryDesc* query, int flags) {
  const List* entries = query->plannedstmt->rtable;
  if ((flags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && !IsParallelWorker() && ReadsForeign(entries)) {
    Report report;
    const Outcome outcome = Run([&] { return MakeAllReady(entries); }, &report);
    if (outcome != Outcome::kOk) Raise(outcome, report);
  }
  const ExecutorStart_hook_type next =
      previous_start != nullptr ? previous_start : standard_ExecutorStart;
  next(query, flags);
}

static void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object, int sub_id,
                           void* argument) {
  if (previous_object_access != nullptr)
    previous_object_access(access, class_id, object, sub_id, argument);
  if (access != OAT_DROP || (class_id != ForeignServerRelationId && class_id != DatabaseRelationId))
    return;
  Report report;
  const Outcome outcome = Run([&] { return DropLinks(class_id, object); }, &report);
  if (outcome != Outcome::kOk) Raise(outcome, report);
}

// Whatever drops a foreign server, and a subtransaction that is rolled back, has been before this.
static void OnEndOfTransaction(XactEvent event, void*) {
  if (made->empty()) return;
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
      for (Made& one : *made)
        one.stays = OidIsValid(get_foreign_server_oid(one.server.c_str(), true));
      break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
      for (const Made& one : *made) {
        if (event != XACT_EVENT_COMMIT || !one.stays) (void)unlink(one.link.c_str());
      }
      made->clear();
      break;
    default:
      break;
  }
}
}

}  // namespace

void AttachmentInit() {
  previous_start = ExecutorStart_hook;
  ExecutorStart_hook = StartWithPast;
  previous_object_access = object_access_hook;
  object_access_hook = OnObjectAccess;
}

std::string PastServerName(Oid schema) {
  return std::string(kServerPrefix) + std::to_string(schema);
}

std::string PastHost(Oid schema) {
  return "/proc/self/cwd/pitr/cache/" + AttachmentName(MyDatabaseId, schema);
}

std::string AttachmentDirectory() { return CacheDirectory(); }

std::string PointOfLook(const Look& look) { return look.line + "@" + look.record_end.ToString(); }

Status AttachToLook(Oid schema, const Look& look) {
  if (made == nullptr) {
    Call([] { RegisterXactCallback(OnEndOfTransaction, nullptr); });
    made = new std::vector<Made>;
  }
  const std::string link = LinkOf(schema);
  PITR_RETURN_IF_ERROR(MakeDirectories(AttachmentDirectory()));
  made->push_back({link, PastServerName(schema)});
  return SetAttachment(link, look);
}

}  // namespace pitr::pg
