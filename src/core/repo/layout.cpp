// Every object name; see the header. Invariant: what a parser accepts, the composer gives back byte for byte.
#include "core/repo/layout.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace pitr::layout {

namespace {

constexpr std::string_view kCatalog = "catalog/", kKeys = "keys/";
constexpr std::size_t kNumberDigits = 20;  // 2^64 - 1 has 20

std::string Hex8(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "%08X", value);
  return text;
}

// Exactly eight upper-case hex digits.
std::optional<std::uint32_t> ParseHex8(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  if (text.size() != 8 || !std::all_of(text.begin(), text.end(), is_digit)) {
    return std::nullopt;
  }
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

std::string NumberText(std::uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "%020llu", static_cast<unsigned long long>(number));
  return text;
}

std::optional<std::uint64_t> ParseNumber(std::string_view digits) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.size() != kNumberDigits || parsed.ec != std::errc() ||
      parsed.ptr != digits.data() + digits.size() || number == 0) {
    return std::nullopt;
  }
  return number;
}

}  // namespace

std::string CatalogPrefix(std::string_view kind) {
  return std::string(kCatalog).append(kind).append("/");
}

std::string CatalogName(std::string_view kind, std::uint64_t number) {
  return CatalogPrefix(kind) + NumberText(number);
}

std::optional<std::uint64_t> ParseCatalogName(std::string_view name) {
  if (!name.starts_with(kCatalog)) {
    return std::nullopt;
  }
  name.remove_prefix(kCatalog.size());
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash == 0) {
    return std::nullopt;
  }
  return ParseNumber(name.substr(slash + 1));
}

std::string KeysPrefix() { return std::string(kKeys); }

std::string KeyObject(std::uint64_t number) { return KeysPrefix() + NumberText(number); }

std::optional<std::uint64_t> ParseKeyObject(std::string_view name) {
  return name.starts_with(kKeys) ? ParseNumber(name.substr(kKeys.size())) : std::nullopt;
}

std::string_view LastPart(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

std::string BranchPrefix(const BranchId& branch) { return "branches/" + branch + "/"; }

std::string WalRootPrefix(const BranchId& branch) { return BranchPrefix(branch) + "wal/"; }

std::string WalPrefix(const BranchId& branch, TimelineId timeline) {
  return WalRootPrefix(branch) + Hex8(timeline) + "/";
}

std::string HistoryPrefix(const BranchId& branch) { return WalRootPrefix(branch) + "history/"; }

std::string WalObject(const BranchId& branch, const WalFileName& parsed, std::string_view name) {
  const bool is_history = parsed.kind == WalFileKind::kHistory;
  return (is_history ? HistoryPrefix(branch) : WalPrefix(branch, parsed.timeline)).append(name);
}

std::string LeasePrefix(const BranchId& branch) { return BranchPrefix(branch) + "lease/"; }

std::string LeaseObject(const BranchId& branch, std::uint64_t number) {
  return LeasePrefix(branch) + NumberText(number);
}

std::optional<std::uint64_t> ParseLeaseObject(const BranchId& branch, std::string_view name) {
  const std::string prefix = LeasePrefix(branch);
  if (!name.starts_with(prefix)) {
    return std::nullopt;
  }
  return ParseNumber(name.substr(prefix.size()));
}

std::string TailRootPrefix(const BranchId& branch) { return BranchPrefix(branch) + "tail/"; }

std::string TailPrefix(const BranchId& branch, TimelineId timeline) {
  return TailRootPrefix(branch) + Hex8(timeline) + "/";
}

std::optional<TimelineId> ParseTimelineFolder(std::string_view part) {
  if (!part.ends_with('/')) {
    return std::nullopt;
  }
  const std::optional<std::uint32_t> timeline = ParseHex8(part.substr(0, part.size() - 1));
  return timeline == 0U ? std::nullopt : timeline;
}

std::string TailObject(const BranchId& branch, const TailPiece& piece, std::uint64_t segment_size) {
  return TailPrefix(branch, piece.segment.timeline) + SegmentName(piece.segment, segment_size) +
         "." + Hex8(piece.begin) + "-" + Hex8(piece.end);
}

std::optional<TailPiece> ParseTailName(std::string_view last_part, std::uint64_t segment_size) {
  constexpr std::size_t kSegmentDigits = 24;
  // "<24 digits>.<8 digits>-<8 digits>"
  if (last_part.size() != kSegmentDigits + 1 + 8 + 1 + 8 || last_part[kSegmentDigits] != '.' ||
      last_part[kSegmentDigits + 9] != '-') {
    return std::nullopt;
  }
  const std::optional<WalFileName> segment =
      ParseWalFileName(last_part.substr(0, kSegmentDigits), segment_size);
  const std::optional<std::uint32_t> begin = ParseHex8(last_part.substr(kSegmentDigits + 1, 8));
  const std::optional<std::uint32_t> end = ParseHex8(last_part.substr(kSegmentDigits + 10));
  if (!segment.has_value() || segment->kind != WalFileKind::kSegment || !begin.has_value() ||
      !end.has_value() || *begin >= *end || *end > segment_size) {
    return std::nullopt;
  }
  return TailPiece{{segment->timeline, segment->segment}, *begin, *end};
}

std::string SnapshotsPrefix() { return "snapshots/"; }

std::string ManifestObject(const SnapshotId& snapshot) {
  return SnapshotsPrefix() + snapshot + "/manifest";
}

std::string AllPacksPrefix() { return "packs/"; }

std::string PacksPrefix(const SnapshotId& snapshot) { return AllPacksPrefix() + snapshot + "/"; }

std::string PackObject(const SnapshotId& snapshot, std::uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "%06u", number);
  return PacksPrefix(snapshot) + text;
}

std::string DumpsPrefix() { return "dumps/"; }

std::string DumpPrefix(std::string_view dump) { return DumpsPrefix().append(dump).append("/"); }

std::string DumpManifestObject(std::string_view dump) { return DumpPrefix(dump) + "manifest"; }

std::string DumpObject(std::string_view dump, std::uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "%06u", number);
  return DumpPrefix(dump) + text;
}

bool IsProbeObject(std::string_view name) { return name.starts_with(kProbeFolder); }

namespace {

// "/tail/…" of "branches/<id>/tail/…"; empty for other names.
std::string_view InBranch(std::string_view name) {
  constexpr std::string_view kBranches = "branches/";
  const std::size_t id_end =
      name.starts_with(kBranches) ? name.find('/', kBranches.size()) : std::string_view::npos;
  return id_end == std::string_view::npos ? std::string_view() : name.substr(id_end);
}

}  // namespace

bool IsTailObject(std::string_view name) { return InBranch(name).starts_with("/tail/"); }

std::optional<std::uint64_t> ParseLeaseObject(std::string_view name) {
  constexpr std::string_view kLease = "/lease/";
  const std::string_view rest = InBranch(name);
  return rest.starts_with(kLease) ? ParseNumber(rest.substr(kLease.size())) : std::nullopt;
}

std::string ProbeObject(std::string_view token) { return std::string(kProbeFolder).append(token); }

}  // namespace pitr::layout
