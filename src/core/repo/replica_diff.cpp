#include "core/repo/replica_diff.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "core/repo/layout.h"
#include "core/repo/replica_set.h"

namespace pitr {

namespace {

constexpr std::uint64_t kKeptNumbers = 16;  // catalogue.cpp
constexpr std::uint64_t kKeptLeases = 4;    // lease_take.cpp
constexpr std::int64_t kOldMicros =
    3600'000'000;  // no snapshot that is being taken began so long ago without any pack

constexpr std::string_view kPacks = "packs/", kSnapshots = "snapshots/", kDumps = "dumps/",
                           kManifest = "/manifest";

// Up to the last "/", with it.
std::string FolderOf(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? "" : std::string(name.substr(0, slash + 1));
}

// The id in snapshots/<id>/…, packs/<id>/… and dumps/<id>/…
std::string IdBehind(std::string_view name, std::string_view prefix) {
  const std::size_t slash = name.find('/', prefix.size());
  return std::string(name.substr(prefix.size(), slash - prefix.size()));
}

std::optional<std::uint64_t> NumberOf(std::string_view name) {
  if (const auto number = layout::ParseCatalogName(name)) {
    return number;
  }
  const auto number = layout::ParseKeyObject(name);
  return number ? number : layout::ParseLeaseObject(name);
}

bool Less(const ObjectStat& a, const ObjectStat& b) { return a.name < b.name; }

bool Has(const std::vector<ObjectStat>& objects, const std::string& name) {
  return std::binary_search(objects.begin(), objects.end(), ObjectStat{name, 0}, Less);
}

bool HasPrefix(const std::vector<ObjectStat>& objects, const std::string& prefix) {
  const auto at = std::lower_bound(objects.begin(), objects.end(), ObjectStat{prefix, 0}, Less);
  return at != objects.end() && at->name.starts_with(prefix);
}

// Bytes [begin, end) of a segment that a piece of the tail holds, by its name alone.
struct PieceRange {
  std::string segment;
  std::uint64_t begin = 0, end = 0;
};

std::optional<PieceRange> RangeOf(std::string_view last_part) {
  const std::size_t dot = last_part.find('.');
  const std::size_t dash = last_part.find('-');
  if (dot == std::string_view::npos || dash == std::string_view::npos || dash < dot) {
    return std::nullopt;
  }
  PieceRange range = {std::string(last_part.substr(0, dot)), 0, 0};
  const std::string_view begin = last_part.substr(dot + 1, dash - dot - 1);
  const std::string_view end = last_part.substr(dash + 1);
  std::from_chars(begin.data(), begin.data() + begin.size(), range.begin, 16);
  std::from_chars(end.data(), end.data() + end.size(), range.end, 16);
  return range;
}

class Comparison {
 public:
  Comparison(const std::vector<ObjectStat>& hub, const std::vector<ObjectStat>& member,
             Timestamp now, const std::function<bool(const std::string&)>& is_deleted,
             const std::function<bool(const std::string&)>& is_named,
             const std::function<bool(const std::string&)>& is_wal_removed)
      : hub_(hub),
        member_(member),
        now_(now),
        is_deleted_(is_deleted),
        is_named_(is_named),
        is_wal_removed_(is_wal_removed) {
    for (const ObjectStat& object : hub_) {
      if (const auto number = NumberOf(object.name)) {
        newest_[FolderOf(object.name)] = *number;
      }
    }
  }

  // What only the member has: given up at the hub?
  enum class Fate { kBring, kRemove, kLeave };
  Fate FateOf(const std::string& name) const {
    if (layout::IsProbeObject(name)) {
      return Fate::kRemove;
    }
    if (name == layout::kFillingObject) {
      // Left behind by whoever died between the last two steps.
      return Has(member_, std::string(layout::kRepositoryObject)) ? Fate::kRemove : Fate::kLeave;
    }
    if (name == layout::kRepositoryObject) {
      return Fate::kLeave;
    }
    if (const auto number = NumberOf(name)) {
      const auto newest = newest_.find(FolderOf(name));
      const std::uint64_t kept = layout::ParseKeyObject(name)     ? 1
                                 : layout::ParseLeaseObject(name) ? kKeptLeases
                                                                  : kKeptNumbers;
      const bool is_old = newest != newest_.end() && newest->second >= *number + kept;
      return is_old ? Fate::kRemove : Fate::kBring;
    }
    if (layout::IsTailObject(name)) {
      return IsReplaced(name) || is_wal_removed_(name) ? Fate::kRemove : Fate::kBring;
    }
    if (IsWalSegmentObject(name)) {
      return is_wal_removed_(name) ? Fate::kRemove : Fate::kBring;
    }
    if (name.starts_with(kSnapshots) && name.ends_with(kManifest)) {
      return is_deleted_(IdBehind(name, kSnapshots)) ? Fate::kRemove : Fate::kBring;
    }
    if (name.starts_with(kDumps)) {
      return is_deleted_(IdBehind(name, kDumps)) ? Fate::kRemove : Fate::kBring;
    }
    return name.starts_with(kPacks) ? FateOfPack(name) : Fate::kBring;
  }

 private:
  bool IsReplaced(const std::string& name) const {
    const auto range = RangeOf(layout::LastPart(name));
    if (!range) {
      return false;
    }
    // branches/<id>/tail/<TL>/ -> branches/<id>/wal/<TL>/
    const std::string folder = FolderOf(name);
    std::string whole = folder;
    whole.replace(whole.find("/tail/"), 6, "/wal/");
    if (Has(hub_, whole + range->segment)) {
      return true;
    }
    const std::string prefix = folder + range->segment + ".";
    auto at = std::lower_bound(hub_.begin(), hub_.end(), ObjectStat{prefix, 0}, Less);
    for (; at != hub_.end() && at->name.starts_with(prefix); ++at) {
      const auto other = RangeOf(layout::LastPart(at->name));
      if (other && other->begin <= range->begin && other->end >= range->end) {
        return true;
      }
    }
    return false;
  }

  Fate FateOfPack(const std::string& name) const {
    const std::string id = IdBehind(name, kPacks);
    if (is_deleted_(id)) {
      return is_named_(name) ? Fate::kBring : Fate::kRemove;
    }
    const std::string manifest = layout::ManifestObject(id);
    if (Has(hub_, manifest) || Has(member_, manifest)) {
      return Fate::kBring;
    }
    // Of a snapshot that was given up, or that is being taken.
    std::string began = FormatTime({now_.micros - kOldMicros}, 0);
    std::erase_if(began, [](char c) { return c == '-' || c == ':' || c == 'Z'; });
    const bool is_old = id < "sn-" + began;
    if (!is_old || HasPrefix(hub_, layout::PacksPrefix(id))) {
      return Fate::kLeave;
    }
    return is_named_(name) ? Fate::kBring : Fate::kRemove;
  }

  const std::vector<ObjectStat>& hub_;
  const std::vector<ObjectStat>& member_;
  const Timestamp now_;
  const std::function<bool(const std::string&)>& is_deleted_;
  const std::function<bool(const std::string&)>& is_named_;
  const std::function<bool(const std::string&)>& is_wal_removed_;
  std::map<std::string, std::uint64_t> newest_;  // number of each kind at the hub
};

void SortForCopy(std::vector<ObjectStat>* objects) {
  std::stable_sort(objects->begin(), objects->end(), [](const ObjectStat& a, const ObjectStat& b) {
    return CopyOrder(a.name) < CopyOrder(b.name);
  });
}

bool IsCopied(const std::string& name) {
  return !layout::IsProbeObject(name) && name != layout::kFillingObject &&
         name != layout::kRepositoryObject;
}

}  // namespace

bool IsWalSegmentObject(const std::string& name) {
  return name.starts_with("branches/") && name.find("/wal/") != std::string::npos;
}

int CopyOrder(const std::string& name) {
  if (layout::ParseKeyObject(name)) {
    return 0;
  }
  if (IsWalSegmentObject(name)) {
    return 2;
  }
  if (layout::IsTailObject(name)) {
    return 3;
  }
  if (name.starts_with(kSnapshots) || (name.starts_with(kDumps) && name.ends_with(kManifest))) {
    return 4;
  }
  return layout::ParseCatalogName(name) ? 5 : 1;
}

ReplicaDiff CompareReplicas(const std::vector<ObjectStat>& hub,
                            const std::vector<ObjectStat>& member, Timestamp now,
                            const std::function<bool(const std::string&)>& is_deleted,
                            const std::function<bool(const std::string&)>& is_named,
                            const std::function<bool(const std::string&)>& is_wal_removed) {
  const Comparison comparison(hub, member, now, is_deleted, is_named, is_wal_removed);
  ReplicaDiff diff;
  auto mine = hub.begin();
  auto theirs = member.begin();
  while (mine != hub.end() || theirs != member.end()) {
    if (theirs == member.end() || (mine != hub.end() && mine->name < theirs->name)) {
      if (IsCopied(mine->name)) {
        diff.to_copy.push_back(*mine);
        diff.behind_bytes += mine->size;
        diff.behind_segments += IsWalSegmentObject(mine->name) ? 1 : 0;
      }
      ++mine;
    } else if (mine == hub.end() || theirs->name < mine->name) {
      switch (comparison.FateOf(theirs->name)) {
        case Comparison::Fate::kBring:
          diff.to_bring.push_back(*theirs);
          break;
        case Comparison::Fate::kRemove:
          diff.to_remove.push_back(theirs->name);
          break;
        case Comparison::Fate::kLeave:
          break;
      }
      ++theirs;
    } else {
      if (mine->size != theirs->size) {
        diff.conflicts.push_back(mine->name);
      }
      ++mine;
      ++theirs;
    }
  }
  SortForCopy(&diff.to_copy);
  SortForCopy(&diff.to_bring);
  return diff;
}

std::vector<std::string> NewestCommon(const std::vector<ObjectStat>& a,
                                      const std::vector<ObjectStat>& b) {
  std::map<std::string, std::string> newest;
  for (const ObjectStat& object : a) {
    if (NumberOf(object.name) && Has(b, object.name)) {
      newest[FolderOf(object.name)] = object.name;  // names are in order
    }
  }
  std::vector<std::string> names;
  for (const auto& [folder, name] : newest) {
    names.push_back(name);
  }
  return names;
}

}  // namespace pitr
