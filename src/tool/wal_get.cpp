// Exit status of wal-get, the one promise that recovery rests on: the server takes any failing status up to 125 for "there is no
// such file" and then believes that the WAL ends here, so a time-out told as 1 would end a recovery early and lose data
// (src/backend/access/transam/xlogarchive.c, 15). Hence 0 delivered; 1 only when the store answered that the object does not exist;
// 200 for everything else, wrong usage included. Nothing slow before the first read: a server runs this once a segment.
#include "tool/wal_get.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/base/file.h"
#include "core/codec/envelope.h"
#include "core/repo/layout.h"
#include "core/repo/wal_archive.h"
#include "core/types/wal_name.h"
#include "core/work/used_timelines.h"
#include "tool/command_line.h"
#include "tool/commands.h"
#include "tool/exit_codes.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kMaxConfigSize = 16U << 20;
constexpr std::size_t kMaxTextSize = 1U << 20;  // history and backup label files
// Longer than any segment takes to decompress; beyond it we fetch the segment ourselves.
constexpr auto kPartPatience = std::chrono::seconds(3);

// Takes over what read-ahead has made or is making. False when there is nothing to take.
Result<bool> TakeFromSpool(const WalSource& source, const std::string& name,
                           const std::string& path) {
  const std::string ready = SpoolFile(source.spool, name);
  const std::string part = SpoolPartFile(source.spool, name);
  const auto give_up = std::chrono::steady_clock::now() + kPartPatience;
  // In this order, since the part becomes the ready file by a rename.
  while (PathExists(part) && !PathExists(ready) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (::rename(ready.c_str(), path.c_str()) == 0) {
    if (source.durable) {
      PITR_ASSIGN_OR_RETURN(File file, File::Open(path, O_RDONLY));
      PITR_RETURN_IF_ERROR(file.Sync());
      PITR_RETURN_IF_ERROR(SyncDirectory(DirectoryName(path)));
    }
    return true;
  }
  // Not there, or on another file system: the long way is right in both cases.
  if (errno == ENOENT || errno == EXDEV) {
    return false;
  }
  return Status::FromErrno(errno, "rename \"" + ready + "\" to \"" + path + "\"");
}

// What the store has under a name; nothing = it answered that there is no such object. Only answers of the store may become
// "absent", so errors of local files never pass through here.
using Found = std::optional<Bytes>;

template <typename T>
Result<Found> FromAnswer(Result<T> answer) {
  if (answer.ok()) {
    return Found(Bytes(answer->begin(), answer->end()));
  }
  if (answer.status().code() == Code::kNotFound) {
    return Found();
  }
  return std::move(answer).status();
}

Result<Found> FindSegment(const WalReader& reader, SegmentId segment) {
  PITR_ASSIGN_OR_RETURN(Found bytes, FromAnswer(reader.ReadSegment(segment)));
  if (bytes && bytes->size() != reader.segment_size()) {
    return Status(Code::kCorrupt, "segment has " + std::to_string(bytes->size()) + " bytes, not " +
                                      std::to_string(reader.segment_size()));
  }
  return bytes;
}

// Promotion probes for the first free number and looks at nothing but existence (timeline.c existsTimeLineHistory, 15).
constexpr std::string_view kHistoryPlaceholder = "# in use by another line of history\n";

// What a build's recovery asks beyond its own timeline is for that only, and costs no request.
bool IsProbe(const WalSource& source, const WalFileName& parsed) {
  return parsed.kind == WalFileKind::kHistory && source.target_timeline != 0 &&
         parsed.timeline > source.target_timeline;
}

bool IsUsed(const WalSource& source, TimelineId timeline) {
  return std::find(source.used_timelines.begin(), source.used_timelines.end(), timeline) !=
         source.used_timelines.end();
}

Result<Found> FindHistory(const WalSource& source, const WalReader& reader, TimelineId timeline) {
  PITR_ASSIGN_OR_RETURN(Found text, FromAnswer(reader.ReadHistory(timeline)));
  for (std::size_t at = 0; !text && at < source.family.size(); at++) {
    Branch alone = source.line.front();
    alone.id = source.family[at];
    alone.ancestor.reset();
    PITR_ASSIGN_OR_RETURN(text,
                          FromAnswer(WalReader(reader.repo(), {alone}).ReadHistory(timeline)));
  }
  if (!text && timeline > source.target_timeline) {
    text = Bytes(kHistoryPlaceholder.begin(), kHistoryPlaceholder.end());
  }
  return text;
}

Result<Found> FindBackupLabel(const WalSource& source, Repository* repo, const WalFileName& parsed,
                              const std::string& name) {
  for (const Branch& branch : source.line) {
    const std::string object = layout::WalObject(branch.id, parsed, name);
    PITR_ASSIGN_OR_RETURN(Found text, FromAnswer(ReadEnvelope(repo->store(), object,
                                                              ObjectKind::kText, kMaxTextSize)));
    if (text) {
      return text;
    }
  }
  return Found();
}

Result<Found> FindFile(const WalSource& source, Repository* repo, const WalFileName& parsed,
                       const std::string& name) {
  const WalReader reader(repo, source.line);
  switch (parsed.kind) {
    case WalFileKind::kSegment:
      return FindSegment(reader, {parsed.timeline, parsed.segment});
    case WalFileKind::kHistory:
      return FindHistory(source, reader, parsed.timeline);
    case WalFileKind::kBackupLabel:
      return FindBackupLabel(source, repo, parsed, name);
    case WalFileKind::kPartial:
      // Never asked for by a server; its content stands in for the segment in ReadSegment.
      break;
  }
  return Status(Code::kInvalidArgument, "\"" + name + "\" is not delivered under that name");
}

// True when the file was delivered from the repository.
Result<bool> DeliverFromRepository(const WalSource& source, const WalFileName& parsed,
                                   const std::string& name, const std::string& path) {
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(source.repository, false));
  PITR_ASSIGN_OR_RETURN(const Found content, FindFile(source, repo.get(), parsed, name));
  if (content) {
    PITR_RETURN_IF_ERROR(PublishFile(path, *content, source.durable));
    return true;
  }
  // A folder that was unmounted meanwhile has no objects either: absence counts only while the repository itself is there.
  PITR_RETURN_IF_ERROR(repo->store()->Stat(std::string(layout::kRepositoryObject)).status());
  return false;
}

// Without wal-get.json: the two variables of who runs a recovery by hand.
Result<WalSource> SourceFromEnvironment() {
  const char* repository = std::getenv("PITR_REPOSITORY");
  const char* branch_name = std::getenv("PITR_BRANCH");
  if (repository == nullptr || branch_name == nullptr) {
    return Status(Code::kNotReady,
                  "neither PITR_WAL_GET_CONFIG nor PITR_REPOSITORY and PITR_BRANCH are set");
  }
  WalSource source;
  source.repository = {repository, KeysOfEnvironment()};
  PITR_ASSIGN_OR_RETURN(const auto repo, Repository::OpenAddress(source.repository, false));
  PITR_ASSIGN_OR_RETURN(const BranchSet branches, ReadBranches(repo.get()));
  PITR_ASSIGN_OR_RETURN(const Branch* branch, branches.Find(branch_name));
  PITR_ASSIGN_OR_RETURN(const std::vector<const Branch*> line, branches.AncestryOf(branch->id));
  for (const Branch* each : line) {
    source.line.push_back(*each);
  }
  for (const Branch* each : branches.FamilyOf(branch->id)) {
    source.family.push_back(each->id);
  }
  PITR_ASSIGN_OR_RETURN(source.used_timelines,
                        UsedTimelines(repo.get(), branches.FamilyOf(branch->id)));
  return source;
}

Result<WalSource> LoadSource() {
  const char* config = std::getenv("PITR_WAL_GET_CONFIG");
  if (config == nullptr) {
    return SourceFromEnvironment();
  }
  Result<std::string> text = ReadTextFile(config, kMaxConfigSize);
  if (!text.ok()) {
    return std::move(text).status();
  }
  return ParseWalSource(*text);
}

}  // namespace

Result<bool> DeliverWal(const WalSource& source, const std::string& name, const std::string& path) {
  const std::uint64_t segment_size = source.line.front().root.segment_size;
  const std::optional<WalFileName> parsed = ParseWalFileName(name, segment_size);
  if (!parsed) {
    return Status(Code::kInvalidArgument, "\"" + name + "\" is no name of a WAL file");
  }
  if (parsed->kind == WalFileKind::kHistory && !IsUsed(source, parsed->timeline)) {
    return false;
  }
  if (IsProbe(source, *parsed)) {
    PITR_RETURN_IF_ERROR(PublishFile(path, AsBytes(kHistoryPlaceholder), source.durable));
    return true;
  }
  const bool spooled = parsed->kind == WalFileKind::kSegment && !source.spool.empty();
  bool delivered = false;
  if (spooled) {
    PITR_ASSIGN_OR_RETURN(delivered, TakeFromSpool(source, name, path));
  }
  if (!delivered) {
    PITR_ASSIGN_OR_RETURN(delivered, DeliverFromRepository(source, *parsed, name, path));
  }
  if (delivered && spooled) {
    // Without it read-ahead is slower, not wrong: the file is there.
    (void)MoveSpoolPosition(source.spool, name);
  }
  return delivered;
}

int WalGetMain(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) {
    std::fputs("pitr wal-get: usage: pitr wal-get NAME PATH\n", stderr);
    return kExitFailed;  // not kExitUsage, which recovery would read as "not in the archive"
  }
  const Result<WalSource> source = LoadSource();
  const Result<bool> delivered =
      source.ok() ? DeliverWal(*source, arguments[0], arguments[1]) : Result<bool>(source.status());
  if (delivered.ok()) {
    return *delivered ? kExitDone : kExitAbsent;
  }
  std::fprintf(stderr, "pitr wal-get %s: %s\n", arguments[0].c_str(),
               delivered.status().ToString().c_str());
  return kExitFailed;
}

}  // namespace pitr::tool
