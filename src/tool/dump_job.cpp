// A dump of databases at a point, from the server that stands there. Without the manifest there is no dump.
#include <algorithm>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/plan/dump_retention.h"
#include "core/repo/access.h"
#include "tool/dump_database.h"
#include "tool/job.h"
#include "tool/job_fields.h"

namespace pitr::tool {

namespace {

Status CheckCancel(const DumpWork& work) {
  return work.cancel->IsCancelled() ? Status(Code::kCancelled, "cancelled") : Status::Ok();
}

// Who is less than half of what the last good one was may be what is left after an accident.
Status Conclude(DumpWork* work) {
  DumpManifest& manifest = work->manifest;
  manifest.stored_bytes = manifest.globals ? manifest.globals->StoredBytes() : 0;
  for (const DumpDatabase& database : manifest.databases) {
    manifest.stored_bytes += database.stored_bytes;
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<DumpManifest> before, ListDumps(work->repo, nullptr));
  manifest.detail = WhatShrank(manifest, before);
  manifest.state = manifest.detail.empty() ? "verified" : "suspicious";
  manifest.finished_at = SystemClock().Now();
  PITR_RETURN_IF_ERROR(CheckCancel(*work));
  PITR_RETURN_IF_ERROR(WriteDump(work->repo, manifest));
  // Too late to stop the manifest, and whoever cancelled is told that there is no dump.
  return CheckCancel(*work);
}

Status Make(DumpWork* work) {
  DumpManifest& manifest = work->manifest;
  PITR_ASSIGN_OR_RETURN(const std::vector<SourceDatabase> sources,
                        DatabasesOf(work->server, manifest.options.database, *work->cancel));
  for (const SourceDatabase& source : sources) {
    PITR_RETURN_IF_ERROR(CheckCancel(*work));
    DumpDatabase database;
    PITR_RETURN_IF_ERROR(DumpOneDatabase(work, source, &database));
    manifest.databases.push_back(std::move(database));
  }
  if (manifest.options.globals) {
    PITR_ASSIGN_OR_RETURN(manifest.globals, DumpGlobals(work, sources.front().database.name));
  }
  return Conclude(work);
}

Result<DumpWork> WorkOfJob(const Json& job, JobContext* context) {
  DumpWork work;
  const Json* start = JsonObject(job, "dump");
  if (start == nullptr) return Status(Code::kCorrupt, "member \"dump\" is no object");
  PITR_ASSIGN_OR_RETURN(work.manifest, DecodeDumpStart(*start));
  PITR_ASSIGN_OR_RETURN(work.server, DumpServerOf(job));
  PITR_ASSIGN_OR_RETURN(work.staging, JsonText(job, "staging"));
  PITR_ASSIGN_OR_RETURN(work.level, JsonNumber<int>(job, "compression_level"));
  work.progress = context->output;
  work.cancel = context->cancel;
  return work;
}

}  // namespace

Result<Json> RunDumpJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(DumpWork work, WorkOfJob(job, context));
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessFrom(job));
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  work.repo = repo.get();
  const Status made = Make(&work);
  const Status cleared = RemoveTree(work.staging);
  if (!made.ok()) {
    // What cannot be removed now is collected later.
    (void)RemoveDumpObjects(repo.get(), work.manifest.id);
    return made;
  }
  if (!cleared.ok()) {
    context->output->Log(LogLevel::kWarning, "a dump left files behind: " + cleared.ToString());
  }
  Json line;
  line["done"]["dump"] = work.manifest.id;
  line["done"]["state"] = work.manifest.state;
  line["done"]["stored_bytes"] = work.manifest.stored_bytes;
  return line;
}

}  // namespace pitr::tool
