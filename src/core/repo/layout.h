// Every object name of the repository, composed and parsed here and nowhere else.
//
//   repository.json
//   replica.json                                                of one of several that is being filled (replica_set.h)
//   keys/<20-digit number>                                      of an encrypted repository: its master key, wrapped
//   catalog/<kind>/<20-digit number>
//   branches/<branch id>/wal/<TTTTTTTT>/<file name as in pg_wal>     segments (index inside), .partial, .backup
//   branches/<branch id>/wal/history/<TTTTTTTT>.history
//   branches/<branch id>/lease/<20-digit number>                who writes the branch
//   branches/<branch id>/tail/<TTTTTTTT>/<segment>.<begin 8 hex>-<end 8 hex>   pieces of an open segment
//   snapshots/<snapshot id>/manifest
//   packs/<snapshot id>/<6-digit number>
//   dumps/<dump id>/manifest, dumps/<dump id>/<6-digit number> logical dumps (dumps.h)
//   probe/<hex>                                                 of pitr_check, for moments
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/types/ids.h"
#include "core/types/wal_name.h"

namespace pitr::layout {

inline constexpr std::string_view kRepositoryObject = "repository.json";
inline constexpr std::string_view kFillingObject = "replica.json";
inline constexpr std::string_view kFillingFormat = "pitr_ext replica";

std::string KeysPrefix();
std::string KeyObject(std::uint64_t number);
std::optional<std::uint64_t> ParseKeyObject(std::string_view name);  // from 1 on

std::string CatalogPrefix(std::string_view kind);
std::string CatalogName(std::string_view kind, std::uint64_t number);
// The number of an object that CatalogName could have named (from 1 on), whatever its kind.
std::optional<std::uint64_t> ParseCatalogName(std::string_view name);

std::string BranchPrefix(const BranchId& branch);
// `name` as the server archives it (types/wal_name.h): segment, partial, backup label or history.
std::string WalObject(const BranchId& branch, const WalFileName& parsed, std::string_view name);
std::string WalPrefix(const BranchId& branch, TimelineId timeline);
std::string WalRootPrefix(const BranchId& branch);  // folders: timelines and "history"
std::string HistoryPrefix(const BranchId& branch);
std::string LeasePrefix(const BranchId& branch);
std::string LeaseObject(const BranchId& branch, std::uint64_t number);
// From 1 on; nullopt for what LeaseObject does not compose for this branch.
std::optional<std::uint64_t> ParseLeaseObject(const BranchId& branch, std::string_view name);
// The same for whatever branch.
std::optional<std::uint64_t> ParseLeaseObject(std::string_view name);

struct TailPiece {
  SegmentId segment;
  std::uint32_t begin = 0, end = 0;  // offsets in the segment
};
std::string TailPrefix(const BranchId& branch, TimelineId timeline);
std::string TailRootPrefix(const BranchId& branch);  // folders: timelines
// "TTTTTTTT/" as ListParts gives it for WalRootPrefix and TailRootPrefix; nullopt for "history/" and the rest.
std::optional<TimelineId> ParseTimelineFolder(std::string_view part);
// What stands behind the last "/".
std::string_view LastPart(std::string_view name);
// Of a whole object name: is it one that TailObject could have composed, as far as folders tell?
bool IsTailObject(std::string_view name);
std::string TailObject(const BranchId& branch, const TailPiece& piece, std::uint64_t segment_size);
// `last_part` of a name; REQUIRES nothing of it. Accepts what TailObject composes: begin < end <= segment size.
std::optional<TailPiece> ParseTailName(std::string_view last_part, std::uint64_t segment_size);

std::string ManifestObject(const SnapshotId& snapshot);
std::string SnapshotsPrefix();
std::string PackObject(const SnapshotId& snapshot, std::uint32_t number);
std::string PacksPrefix(const SnapshotId& snapshot);
std::string AllPacksPrefix();

std::string DumpsPrefix();
std::string DumpPrefix(std::string_view dump);
std::string DumpManifestObject(std::string_view dump);
std::string DumpObject(std::string_view dump, std::uint32_t number);

inline constexpr std::string_view kProbeFolder = "probe/";
// An object that pitr_check writes, reads back and removes.
std::string ProbeObject(std::string_view token);
bool IsProbeObject(std::string_view name);

}  // namespace pitr::layout
