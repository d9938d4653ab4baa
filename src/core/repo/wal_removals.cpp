#include "core/repo/wal_removals.h"

#include "core/base/json.h"
#include "core/repo/catalogue.h"
#include "core/repo/layout.h"
#include "core/types/wal_name.h"

namespace pitr {

namespace {

constexpr std::string_view kDocument = "wal_removals";
constexpr std::string_view kBranches = "branches/", kWal = "wal/", kTail = "tail/";

Result<LsnRanges> DecodeRanges(const Json& json, const char* member) {
  LsnRanges ranges;
  const Json* list = JsonArray(json, member);
  if (list == nullptr) {
    return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" is no list");
  }
  for (const Json& pair : *list) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return Status(Code::kCorrupt, "member \"" + std::string(member) + "\" holds no pairs");
    }
    LsnRange range;
    PITR_ASSIGN_OR_RETURN(range.begin, Lsn::Parse(pair[0].get<std::string>()));
    PITR_ASSIGN_OR_RETURN(range.end, Lsn::Parse(pair[1].get<std::string>()));
    ranges.push_back(range);
  }
  return SortedRanges(std::move(ranges));
}

Json EncodeRanges(const LsnRanges& ranges) {
  Json list = Json::array();
  for (const LsnRange& range : ranges) {
    list.push_back(Json::array({range.begin.ToString(), range.end.ToString()}));
  }
  return list;
}

Result<WalRemoval> Decode(const Json& json) {
  WalRemoval removal;
  PITR_ASSIGN_OR_RETURN(removal.segment_size, JsonUint(json, "segment_size"));
  if (!IsValidSegmentSize(removal.segment_size)) {
    return Status(Code::kCorrupt, "member \"segment_size\" is none");
  }
  PITR_ASSIGN_OR_RETURN(removal.going, DecodeRanges(json, "going"));
  PITR_ASSIGN_OR_RETURN(removal.marked_at.micros, JsonInt(json, "marked_at"));
  PITR_ASSIGN_OR_RETURN(removal.removed, DecodeRanges(json, "removed"));
  return removal;
}

}  // namespace

Result<WalRemovals> DecodeWalRemovals(const Json& document) {
  WalRemovals removals;
  for (const auto& [id, json] : document.items()) {
    if (!IsBranchId(id)) {
      continue;
    }
    Result<WalRemoval> removal =
        json.is_object() ? Decode(json)
                         : Result<WalRemoval>(Status(Code::kCorrupt, "it is no object"));
    if (!removal.ok()) {
      return Status(Code::kCorrupt,
                    "removed WAL of branch \"" + id + "\": " + removal.status().message());
    }
    removals.emplace(id, *std::move(removal));
  }
  return removals;
}

Result<WalRemovals> ReadWalRemovals(Repository* repo) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDocument));
  return DecodeWalRemovals(document);
}

Status UpdateWalRemoval(Repository* repo, const BranchId& branch,
                        const std::function<void(WalRemoval*)>& change) {
  return UpdateDocument(repo, kDocument, [&](Json* document) -> Status {
    PITR_ASSIGN_OR_RETURN(WalRemovals removals, DecodeWalRemovals(*document));
    WalRemoval& removal = removals[branch];
    change(&removal);
    Json& entry = (*document)[branch];
    if (!entry.is_object()) {
      entry = Json::object();
    }
    entry["segment_size"] = removal.segment_size;
    entry["going"] = EncodeRanges(removal.going);
    entry["marked_at"] = removal.marked_at.micros;
    entry["removed"] = EncodeRanges(removal.removed);
    return Status::Ok();
  });
}

bool IsRemovedWal(const WalRemovals& removals, std::string_view object) {
  const std::size_t slash = object.find('/', kBranches.size());
  if (!object.starts_with(kBranches) || slash == std::string_view::npos) {
    return false;
  }
  const auto found =
      removals.find(BranchId(object.substr(kBranches.size(), slash - kBranches.size())));
  const std::string_view rest = object.substr(slash + 1);
  if (found == removals.end() || (!rest.starts_with(kWal) && !rest.starts_with(kTail))) {
    return false;
  }
  const std::uint64_t size = found->second.segment_size;
  std::uint64_t number = 0;
  if (const auto piece = layout::ParseTailName(layout::LastPart(object), size)) {
    number = piece->segment.number;
  } else if (const auto file = ParseWalFileName(layout::LastPart(object), size);
             file && file->kind != WalFileKind::kHistory) {
    number = file->segment;
  } else {
    return false;
  }
  return Covers(found->second.removed,
                {SegmentStart(number, size), SegmentStart(number + 1, size)});
}

}  // namespace pitr
