#include "core/find/catalog_base.h"

#include <charconv>

#include "core/repo/layout.h"
#include "core/work/pack_reader.h"

namespace pitr::find {

namespace {

constexpr std::string_view kMapName = "pg_filenode.map";
constexpr std::uint32_t kBlocksInFile = (1U << 30) / wal::kPageSize;  // RELSEG_SIZE

std::optional<std::uint32_t> Number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool ok = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return ok ? std::optional(value) : std::nullopt;
}

// …/<database>/<name>, or global/<name>.
struct PathParts {
  std::uint32_t database = 0;
  std::string_view name;
};
std::optional<PathParts> Split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  PathParts parts;
  parts.name = path.substr(slash + 1);
  const std::string_view folder = layout::LastPart(path.substr(0, slash));
  if (folder == "global") {
    return parts;
  }
  const std::optional<std::uint32_t> database = Number(folder);
  if (!database) {
    return std::nullopt;
  }
  parts.database = *database;
  return parts;
}

class Loader {
 public:
  Loader(Repository* repo, const Manifest& manifest, const CancelToken* cancel, CatalogRows* rows)
      : repo_(repo), manifest_(manifest), cancel_(cancel), rows_(rows) {}

  Status Run() {
    PITR_RETURN_IF_ERROR(ReadMaps());
    PITR_RETURN_IF_ERROR(ReadPages([](Catalog catalog) { return catalog == Catalog::kClass; }));
    FindRewritten();
    return ReadPages([](Catalog catalog) { return catalog != Catalog::kClass; });
  }

 private:
  using Use = std::function<void(const ManifestFile& file, std::uint64_t offset, ByteView bytes)>;

  // Hands the bytes of the files that `wanted` says yes to to `use`, piece by piece.
  Status Read(const std::function<bool(const ManifestFile&)>& wanted, const Use& use) {
    std::map<std::uint32_t, std::vector<std::pair<const ManifestFile*, const Extent*>>> by_frame;
    for (const ManifestFile& file : manifest_.files) {
      if (!wanted(file)) {
        continue;
      }
      for (const Extent& extent : file.extents) {
        by_frame[extent.frame].emplace_back(&file, &extent);
      }
    }
    std::vector<std::uint32_t> frames;
    for (const auto& [frame, uses] : by_frame) {
      frames.push_back(frame);
    }
    // One worker: no thread is made, as servers want it.
    return ReadFrames(repo_, manifest_, std::move(frames), 1, nullptr, cancel_,
                      [&](int, std::uint32_t frame, ByteView plain) -> Status {
                        for (const auto& [file, extent] : by_frame[frame]) {
                          use(*file, extent->file_offset,
                              plain.subspan(extent->frame_offset, extent->length));
                        }
                        return Status::Ok();
                      });
  }

  Status ReadMaps() {
    return Read(
        [](const ManifestFile& file) {
          const std::optional<PathParts> parts = Split(file.path);
          return parts && parts->name == kMapName;
        },
        [&](const ManifestFile& file, std::uint64_t, ByteView bytes) {
          std::vector<std::pair<Catalog, std::uint32_t>> entries;
          if (ReadRelationMap(bytes, &entries)) {
            for (const auto& [catalog, number] : entries) {
              rows_->Watch({Split(file.path)->database, number}, catalog);
            }
          }
        });
  }

  Status ReadPages(const std::function<bool(Catalog)>& wanted) {
    return Read(
        [&](const ManifestFile& file) {
          const std::optional<Catalog> catalog = CatalogIn(file);
          return catalog && wanted(*catalog);
        },
        [&](const ManifestFile& file, std::uint64_t offset, ByteView bytes) {
          std::uint32_t first = 0;
          const CatalogFile target = FileOf(file, &first);
          first += static_cast<std::uint32_t>(offset / wal::kPageSize);
          for (std::size_t at = 0; at + wal::kPageSize <= bytes.size(); at += wal::kPageSize) {
            rows_->SetPage(target, first + static_cast<std::uint32_t>(at / wal::kPageSize),
                           bytes.data() + at);
          }
        });
  }

  // Catalogs that are not mapped: pg_class says in which file they are.
  void FindRewritten() {
    std::set<std::uint32_t> databases;
    for (const ManifestFile& file : manifest_.files) {
      if (CatalogIn(file) == Catalog::kClass) {
        databases.insert(Split(file.path)->database);
      }
    }
    for (const std::uint32_t database : databases) {
      for (const Catalog catalog : {Catalog::kNamespace, Catalog::kExtension}) {
        const Row* row = rows_->FindOid(Catalog::kClass, database, OidOf(catalog));
        if (row != nullptr && row->U32(wal::catalog::kClassFile) != 0) {
          rows_->Watch({database, row->U32(wal::catalog::kClassFile)}, catalog);
        }
      }
    }
  }

  static CatalogFile FileOf(const ManifestFile& file, std::uint32_t* first_block) {
    const std::optional<PathParts> parts = Split(file.path);
    const std::size_t dot = parts ? parts->name.find('.') : 0;
    const std::optional<std::uint32_t> number =
        parts ? Number(parts->name.substr(0, dot)) : std::nullopt;
    if (!number) {
      return {};  // a map, another fork, or no relation
    }
    *first_block = 0;
    if (dot != std::string_view::npos) {
      *first_block = Number(parts->name.substr(dot + 1)).value_or(0) * kBlocksInFile;
    }
    return {parts->database, *number};
  }

  std::optional<Catalog> CatalogIn(const ManifestFile& file) const {
    std::uint32_t first = 0;
    return file.kind == FileKind::kRelation ? rows_->WatchedAs(FileOf(file, &first)) : std::nullopt;
  }

  Repository* repo_;
  const Manifest& manifest_;
  const CancelToken* cancel_;
  CatalogRows* rows_;
};

}  // namespace

Status LoadCatalogs(Repository* repo, const SnapshotId& snapshot, const CancelToken* cancel,
                    CatalogRows* rows) {
  rows->Clear();
  PITR_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(repo, snapshot));
  return Loader(repo, manifest, cancel, rows).Run();
}

}  // namespace pitr::find
