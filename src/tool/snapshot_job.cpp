// A snapshot between the server's backup start and stop: copy all files, then, when the worker knows the stop LSN and has its WAL in
// the repository, the manifest. Without the manifest the snapshot does not exist.
#include <optional>
#include <string>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/plan/increment_base.h"
#include "core/repo/layout.h"
#include "core/work/control_file.h"
#include "core/work/snapshot_copy.h"
#include "tool/build.h"
#include "tool/job.h"
#include "tool/job_fields.h"

namespace pitr::tool {

namespace {

Result<Manifest> ManifestOfJob(const Json& job) {
  Manifest manifest;
  PITR_ASSIGN_OR_RETURN(manifest.id, JsonText(job, "snapshot_id"));
  PITR_ASSIGN_OR_RETURN(manifest.name, JsonText(job, "name"));
  PITR_ASSIGN_OR_RETURN(manifest.origin, JsonText(job, "origin"));
  PITR_ASSIGN_OR_RETURN(manifest.branch, JsonText(job, "branch_id"));
  PITR_ASSIGN_OR_RETURN(const std::string identifier, JsonText(job, "system_identifier"));
  manifest.root.system_identifier = std::strtoull(identifier.c_str(), nullptr, 10);
  PITR_ASSIGN_OR_RETURN(manifest.root.server_major, JsonNumber<std::uint32_t>(job, "server_major"));
  PITR_ASSIGN_OR_RETURN(manifest.root.segment_size, JsonNumber<std::uint32_t>(job, "segment_size"));
  PITR_ASSIGN_OR_RETURN(manifest.timeline, JsonNumber<TimelineId>(job, "timeline"));
  PITR_ASSIGN_OR_RETURN(manifest.start_lsn, JsonLsn(job, "start_lsn"));
  PITR_ASSIGN_OR_RETURN(manifest.started_at, JsonTime(job, "started_at"));
  PITR_ASSIGN_OR_RETURN(const auto expires, JsonOptionalText(job, "expires_at"));
  if (expires) {
    PITR_ASSIGN_OR_RETURN(manifest.expires_at, ParseRfc3339(*expires));
  }
  PITR_ASSIGN_OR_RETURN(manifest.from_standby, JsonBool(job, "from_standby"));
  return manifest;
}

Result<SnapshotCopyOptions> CopyOptionsOfJob(const Json& job, const Manifest& manifest) {
  SnapshotCopyOptions options;
  PITR_ASSIGN_OR_RETURN(options.data_directory, JsonText(job, "data_directory"));
  PITR_ASSIGN_OR_RETURN(options.compression_level, JsonNumber<int>(job, "compression_level"));
  PITR_ASSIGN_OR_RETURN(options.workers, JsonNumber<int>(job, "workers"));
  PITR_ASSIGN_OR_RETURN(options.verify_checksums, JsonBool(job, "verify_checksums"));
  if (const Json* excluded = JsonArray(job, "excluded_directories")) {
    for (const Json& name : *excluded) {
      if (name.is_string()) {
        options.excluded_directories.push_back(name.get<std::string>());
      }
    }
  }
  options.snapshot = manifest.id;
  options.start_lsn = manifest.start_lsn;
  return options;
}

Status TakeStop(const Json& answer, Manifest* manifest) {
  const Json* stop = JsonObject(answer, "stop");
  if (stop == nullptr) {
    return Status(Code::kCorrupt, "member \"stop\" is no object");
  }
  PITR_ASSIGN_OR_RETURN(manifest->stop_lsn, JsonLsn(*stop, "stop_lsn"));
  PITR_ASSIGN_OR_RETURN(manifest->backup_label, JsonText(*stop, "backup_label"));
  PITR_ASSIGN_OR_RETURN(manifest->tablespace_map, JsonText(*stop, "tablespace_map"));
  PITR_ASSIGN_OR_RETURN(manifest->finished_at, JsonTime(*stop, "finished_at"));
  return Status::Ok();
}

// Packs that no manifest names would be collected later; a cancelled snapshot need not wait for that.
void RemovePacks(Repository* repo, const Manifest& manifest) {
  const Result<std::vector<ObjectStat>> packs =
      repo->store()->List(layout::PacksPrefix(manifest.id));
  if (packs.ok()) {
    for (const ObjectStat& pack : *packs) {
      (void)repo->store()->Remove(pack.name);
    }
  }
}

// What to base it on; a full snapshot always says why in the log.
Result<std::optional<IncrementBase>> ChooseBase(const Json& job, JobContext* context,
                                                Repository* repo, const std::string& data_directory,
                                                Manifest* manifest) {
  IncrementChoice choice;
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> why_full,
                        JsonOptionalText(job, "full_because"));
  if (why_full) {
    choice.why_full = *why_full;
  } else {
    context->output->Phase("changes");
    PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo));
    PITR_ASSIGN_OR_RETURN(const ControlFile control, ReadControlFile(data_directory));
    manifest->control = control.settings;
    PITR_ASSIGN_OR_RETURN(choice, ChooseIncrementBase(repo, branches, *manifest));
  }
  if (!choice.base) {
    context->output->Log(LogLevel::kInfo,
                         "snapshot \"" + manifest->id + "\" is a full one: " + choice.why_full);
  }
  return std::move(choice.base);
}

// Whoever deletes the base looks afterwards who else refers to its packs, and has seen our manifest or removed its own before we look.
Status CheckBaseIsThere(Repository* repo, const Manifest& manifest) {
  PITR_FAULT("snapshot.manifest.before_look_at_base");
  const Status there = repo->store()->Stat(layout::ManifestObject(*manifest.based_on)).status();
  if (there.code() != Code::kNotFound) {
    return there;
  }
  PITR_RETURN_IF_ERROR(repo->store()->Remove(layout::ManifestObject(manifest.id)));
  return Status(Code::kNotReady, "snapshot \"" + *manifest.based_on +
                                     "\", on which this one was based, was deleted meanwhile");
}

Status CopyAndPublish(const Json& job, JobContext* context, Repository* repo, Manifest* manifest,
                      SnapshotCopyFigures* figures) {
  PITR_ASSIGN_OR_RETURN(SnapshotCopyOptions options, CopyOptionsOfJob(job, *manifest));
  PITR_ASSIGN_OR_RETURN(const std::optional<IncrementBase> base,
                        ChooseBase(job, context, repo, options.data_directory, manifest));
  if (base) {
    options.base = &base->manifest;
    options.changed = &base->changed;
    options.base_pack_sizes = base->pack_sizes;
  }
  options.figures = figures;
  options.pace = context->pace;
  context->output->Phase("copy");
  OnePhase progress(context->output);
  PITR_RETURN_IF_ERROR(CopySnapshot(repo, options, manifest, &progress, context->cancel));
  PITR_ASSIGN_OR_RETURN(const Json answer, context->Ask("stop"));
  PITR_RETURN_IF_ERROR(TakeStop(answer, manifest));
  PITR_RETURN_IF_ERROR(WriteManifest(repo, *manifest));
  return manifest->based_on ? CheckBaseIsThere(repo, *manifest) : Status::Ok();
}

}  // namespace

Result<Json> RunSnapshotJob(const Json& job, JobContext* context) {
  PITR_ASSIGN_OR_RETURN(Manifest manifest, ManifestOfJob(job));
  PITR_ASSIGN_OR_RETURN(const RepositoryAccess access, AccessFrom(job));
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(access, false));
  SnapshotCopyFigures figures;
  Status status = CopyAndPublish(job, context, repo.get(), &manifest, &figures);
  if (status.ok() && context->cancel->IsCancelled()) {
    // Too late to stop the manifest, and whoever cancelled has been told that there is no snapshot.
    PITR_RETURN_IF_ERROR(repo->store()->Remove(layout::ManifestObject(manifest.id)));
    status = Status(Code::kCancelled, "cancelled");
  }
  if (!status.ok()) {
    // Not when the manifest may be there in spite of the error.
    if (repo->store()->Stat(layout::ManifestObject(manifest.id)).status().code() ==
        Code::kNotFound) {
      RemovePacks(repo.get(), manifest);
    }
    return status;
  }
  Json line;
  Json& done = line["done"];
  done["snapshot_id"] = manifest.id;
  done["snapshot_kind"] = manifest.kind;
  done["read_bytes"] = figures.read_bytes;
  done["compacted_bytes"] = figures.compacted_bytes;
  done["database_bytes"] = manifest.database_bytes;
  done["new_bytes"] = manifest.new_bytes;
  done["stored_bytes"] = manifest.stored_bytes;
  done["bad_pages"] = manifest.bad_pages.size();
  return line;
}

}  // namespace pitr::tool
