// From rows of catalogs before and after a transaction, and from what it did to tables, to events that people know by name.
#include <algorithm>

#include "core/find/transaction.h"

namespace pitr::find {

namespace {

namespace catalog = wal::catalog;

// A row of a catalog before and after; null: it was not there, or is not there any more.
struct Change {
  const Row* before = nullptr;
  const Row* after = nullptr;
};
using Changes = std::map<std::pair<std::uint32_t, std::uint32_t>, Change>;  // by database and oid

// Catalogs that change for other reasons than DDL, or never alone with it: statistics, large objects, dependencies,
// progress of replication.
bool IsDdl(std::uint32_t file) {
  constexpr std::uint32_t kOthers[] = {2619, 3429, 2613, 2995, 2608, 1214, 6000, 6102};
  return std::find(std::begin(kOthers), std::end(kOthers), file) == std::end(kOthers);
}

std::string_view RelationWord(char kind) {
  switch (kind) {
    case 'r':
      return "table";
    case 'p':
      return "partitioned table";
    case 'v':
      return "view";
    case 'm':
      return "materialized view";
    case 'f':
      return "foreign table";
    case 'S':
      return "sequence";
    case 'i':
    case 'I':
      return "index";
    case 'c':
      return "type";
    default:
      return "relation";
  }
}

// What a table is rewritten into: pg_temp_<oid>, for as long as that takes.
bool IsTransient(std::string_view name) {
  constexpr std::string_view kPrefix = "pg_temp_";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string_view::npos;
}

// Whether a relation stands for itself in a list of what was done; others come and go with one.
bool IsMain(char kind) { return std::string_view("rpvmf").find(kind) != std::string_view::npos; }

class Describer {
 public:
  Describer(const Work& work, const Ending& ending, const CatalogRows& rows,
            std::uint32_t server_major, const FindRequest& request, std::vector<FoundEvent>* events)
      : work_(work),
        ending_(ending),
        rows_(rows),
        kind_at_(catalog::ClassKind(server_major)),
        persistence_at_(catalog::ClassPersistence(server_major)),
        request_(request),
        events_(events) {}

  void Run() {
    Gather();
    DescribeDatabases();
    const std::size_t before = told_;
    DescribeSchemas();
    DescribeNamed(Catalog::kExtension, "extension");
    const bool has_extension = !changes_[Catalog::kExtension].empty();
    DescribeRelations(has_extension);
    if (!has_extension) {
      DescribeNamed(Catalog::kProc, "function");
      DescribeTypes();
    }
    DescribeNamed(Catalog::kRole, "role");
    DescribeRows();
    if (told_ == before) {
      DescribeRest();
    }
  }

 private:
  void Gather() {
    for (const Place& place : work_.touched) {
      const Row* row = rows_.At(place);
      const std::optional<Catalog> catalog = rows_.WatchedAs(place.file);
      if (row == nullptr || !catalog) {
        continue;
      }
      const bool is_made = ending_.xids.contains(row->xmin);
      const bool is_gone = ending_.xids.contains(row->xmax);
      if (row->data.empty()) {
        has_unknown_ = true;
      } else if (is_made && is_gone) {
        passing_.emplace(place.file.database, row->name());
      } else if (is_made || is_gone) {
        Change& change = changes_[*catalog][{place.file.database, row->oid()}];
        (is_made ? change.after : change.before) = row;
      }
    }
  }

  // --- names ---
  std::string DatabaseName(std::uint32_t oid) const {
    const Row* row = oid == 0 ? nullptr : rows_.FindOid(Catalog::kDatabase, 0, oid);
    return row == nullptr ? "" : row->name();
  }

  // As it was before this transaction, if it changed that.
  std::string SchemaName(std::uint32_t database, std::uint32_t oid, bool is_before) const {
    const auto changes = changes_.find(Catalog::kNamespace);
    if (is_before && changes != changes_.end()) {
      const auto change = changes->second.find({database, oid});
      if (change != changes->second.end() && change->second.before != nullptr) {
        return change->second.before->name();
      }
    }
    const Row* row = rows_.FindOid(Catalog::kNamespace, database, oid);
    return row == nullptr ? "" : row->name();
  }

  std::string FullName(std::uint32_t database, const Row& row, std::size_t schema_at,
                       bool is_before) const {
    const std::string schema = SchemaName(database, row.U32(schema_at), is_before);
    return (schema.empty() ? "" : QuoteName(schema) + ".") + QuoteName(row.name());
  }

  std::string RelationName(std::uint32_t database, const Row& row, bool is_before) const {
    return FullName(database, row, catalog::kClassNamespace, is_before);
  }

  // --- events ---
  bool IsWanted(Kind kind, const std::string& object) const {
    if (!request_.Wants(kind)) {
      return false;
    }
    const std::string& wanted = request_.relation;
    return wanted.empty() || object == wanted ||
           (object.size() > wanted.size() && object.ends_with(wanted) &&
            object[object.size() - wanted.size() - 1] == '.');
  }

  FoundEvent* Tell(Kind kind, std::uint32_t database, std::string object, std::string detail) {
    told_++;
    if (!IsWanted(kind, object)) {
      return nullptr;
    }
    FoundEvent event;
    event.time = ending_.time;
    event.kind = kind;
    event.database = DatabaseName(database);
    event.object = std::move(object);
    event.xid = ending_.xid;
    event.lsn = ending_.lsn;
    event.before = ending_.before;
    event.committed = ending_.committed;
    event.detail = std::move(detail);
    events_->push_back(std::move(event));
    return &events_->back();
  }

  void DescribeDatabases() {
    std::set<std::uint32_t> dropped;
    for (const DroppedDatabase& gone : work_.dropped) {
      dropped.insert(gone.oid);
      FoundEvent* event = Tell(Kind::kDropDatabase, 0, QuoteName(gone.name), "");
      if (event != nullptr) {
        event->database = gone.name;
        event->lsn = gone.lsn;
        event->before = gone.before;
        if (gone.name.empty()) {
          event->object.clear();
          event->detail = "database " + std::to_string(gone.oid);
        }
      }
    }
    for (const auto& [key, change] : changes_[Catalog::kDatabase]) {
      if (!dropped.contains(key.second)) {
        TellChange("database", 0, change,
                   [](const Row& row, bool) { return QuoteName(row.name()); });
      }
    }
  }

  // What was made, changed or dropped, under the name that it had before.
  template <typename NameOf>
  void TellChange(std::string_view word, std::uint32_t database, const Change& change,
                  NameOf name_of) {
    if (change.before == nullptr) {
      Tell(Kind::kDdl, database, name_of(*change.after, false), std::string(word) + " created");
    } else if (change.after == nullptr) {
      Tell(Kind::kDrop, database, name_of(*change.before, true), std::string(word));
    } else {
      const std::string before = name_of(*change.before, true);
      const std::string after = name_of(*change.after, false);
      Tell(Kind::kDdl, database, before,
           std::string(word) + (before == after ? " changed" : " renamed to " + after));
    }
  }

  void DescribeNamed(Catalog which, std::string_view word) {
    for (const auto& [key, change] : changes_[which]) {
      TellChange(word, key.first, change, [&](const Row& row, bool is_before) {
        return which == Catalog::kProc
                   ? FullName(key.first, row, catalog::kProcNamespace, is_before)
                   : QuoteName(row.name());
      });
    }
  }

  void DescribeSchemas() {
    for (const auto& [key, change] : changes_[Catalog::kNamespace]) {
      const Row& row = change.before != nullptr ? *change.before : *change.after;
      if (!row.name().starts_with("pg_temp_") && !row.name().starts_with("pg_toast_temp_")) {
        TellChange("schema", key.first, change,
                   [](const Row& named, bool) { return QuoteName(named.name()); });
      }
    }
  }

  // Row types and arrays come and go with what they are of.
  void DescribeTypes() {
    for (const auto& [key, change] : changes_[Catalog::kType]) {
      const Row& row = change.before != nullptr ? *change.before : *change.after;
      const char kind = row.Char(catalog::kTypeKind);
      if (kind != 'c' && kind != 'm' && row.Char(catalog::kTypeCategory) != 'A') {
        TellChange("type", key.first, change, [&](const Row& named, bool is_before) {
          return FullName(key.first, named, catalog::kTypeNamespace, is_before);
        });
      }
    }
  }

  bool IsOfUsers(const Row& row) const {
    return row.oid() >= catalog::kFirstNormalOid && row.Char(persistence_at_) != 't' &&
           row.Char(kind_at_) != 't' && !IsTransient(row.name());
  }

  // Indexes, sequences and row types are told only when nothing else is: they come and go with tables.
  void DescribeRelations(bool has_extension) {
    const Changes& all = changes_[Catalog::kClass];
    const auto is_told = [&](const auto& entry, bool is_main) {
      const Change& change = entry.second;
      const Row& row = change.before != nullptr ? *change.before : *change.after;
      const bool is_made_by_extension = has_extension && change.before == nullptr;
      return IsOfUsers(row) && IsMain(row.Char(kind_at_)) == is_main && !is_made_by_extension;
    };
    bool has_main = false;
    for (const auto& entry : all) {
      if (is_told(entry, true)) {
        has_main = true;
        DescribeRelation(entry.first.first, entry.second);
      }
    }
    for (const auto& entry : all) {
      if (!has_main && !has_extension && is_told(entry, false)) {
        DescribeRelation(entry.first.first, entry.second);
      }
    }
  }

  void DescribeRelation(std::uint32_t database, const Change& change) {
    const auto name_of = [&](const Row& row, bool is_before) {
      return RelationName(database, row, is_before);
    };
    const Row& row = change.before != nullptr ? *change.before : *change.after;
    const std::string_view word = RelationWord(row.Char(kind_at_));
    if (change.before == nullptr || change.after == nullptr ||
        change.before->U32(catalog::kClassFile) == change.after->U32(catalog::kClassFile)) {
      return TellChange(word, database, change, name_of);
    }
    const std::string name = name_of(row, true);
    const char kind = row.Char(kind_at_);
    if (change.before->U32(catalog::kClassTablespace) !=
        change.after->U32(catalog::kClassTablespace)) {
      Tell(Kind::kDdl, database, name, std::string(word) + " moved to another tablespace");
    } else if (kind == 'r' &&
               !passing_.contains({database, "pg_temp_" + std::to_string(row.oid())})) {
      // Whatever rewrites a table fills one of that name and exchanges the files; TRUNCATE only takes a new file.
      Tell(Kind::kTruncate, database, name, "");
    } else {
      Tell(Kind::kDdl, database, name,
           std::string(word) + (kind == 'S' ? " changed" : " rewritten"));
    }
  }

  // --- deletions and updates ---
  void DescribeRows() {
    for (const auto& [relation, counts] : work_.counts) {
      if (std::max(counts.deleted, counts.updated) < request_.min_rows) {
        continue;
      }
      const std::uint32_t database = relation.database, file = relation.relation;
      bool is_before = false;
      const Row* row = RowOfFile(database, file, &is_before);
      if (row != nullptr && !IsTable(database, *row, is_before)) {
        continue;
      }
      std::string name, detail;
      if (row == nullptr) {
        detail = "file " + std::to_string(file) + " of database " + std::to_string(database);
      } else {
        name = RelationName(database, *row, is_before);
      }
      TellRows(Kind::kDelete, database, name, detail, counts.deleted);
      TellRows(Kind::kUpdate, database, name, detail, counts.updated);
    }
  }

  void TellRows(Kind kind, std::uint32_t database, const std::string& name,
                const std::string& detail, std::int64_t rows) {
    if (rows == 0 || rows < request_.min_rows) {
      return;
    }
    FoundEvent* event = Tell(kind, database, name, detail);
    if (event != nullptr) {
      event->rows = rows;
    }
  }

  const Row* RowOfFile(std::uint32_t database, std::uint32_t file, bool* is_before) const {
    const auto changes = changes_.find(Catalog::kClass);
    if (changes != changes_.end()) {
      for (const auto& [key, change] : changes->second) {
        if (key.first == database && change.before != nullptr &&
            change.before->U32(catalog::kClassFile) == file) {
          *is_before = true;
          return change.before;
        }
      }
    }
    return rows_.Find(Catalog::kClass, database,
                      [&](const Row& row) { return row.U32(catalog::kClassFile) == file; });
  }

  // Not of a catalog or TOAST, nor made by this very transaction: nobody else ever saw those rows.
  bool IsTable(std::uint32_t database, const Row& row, bool is_before) const {
    if (!IsOfUsers(row)) {
      return false;
    }
    if (is_before || !ending_.xids.contains(row.xmin)) {
      return true;
    }
    const auto changes = changes_.find(Catalog::kClass);
    const auto change = changes->second.find({database, row.oid()});
    return change != changes->second.end() && change->second.before != nullptr;
  }

  // --- what is left ---
  // DDL that leaves no row above: the relations that its invalidations name, or else the catalogs that it wrote to.
  void DescribeRest() {
    std::string written;
    std::uint32_t database = 0;
    for (const CatalogFile& file : work_.catalogs) {
      if (!IsDdl(file.file)) {
        continue;
      }
      database = std::max(database, file.database);
      const Row* row = rows_.Find(Catalog::kClass, database,
                                  [&](const Row& named) { return named.oid() == file.file; });
      const std::string name = row == nullptr ? std::to_string(file.file) : row->name();
      if (row != nullptr && row->Char(kind_at_) == 't') {
        continue;
      }
      written += (written.empty() ? "" : ", ") + name;
    }
    if ((written.empty() && !has_unknown_) || RewritesCatalog()) {
      return;
    }
    bool has_relation = false, is_passing = false;
    for (const auto& [of, oid] : ending_.relations) {
      const Row* row = rows_.FindOid(Catalog::kClass, of, oid);
      if (row != nullptr && IsOfUsers(*row) && IsMain(row->Char(kind_at_)) && !written.empty()) {
        has_relation = true;
        Tell(Kind::kDdl, of, RelationName(of, *row, false),
             std::string(RelationWord(row->Char(kind_at_))) + " changed");
      }
      is_passing |= row != nullptr && row->Char(persistence_at_) == 't';
    }
    const bool is_temporary = is_passing || OnlyTemporary();
    if (!has_relation && !is_temporary) {
      Tell(Kind::kDdl, database, "",
           has_unknown_ && written.empty() ? "rows of catalogs that are not known"
                                           : "written to: " + written);
    }
  }

  // VACUUM FULL of a catalog: its new file is filled under a name like any table's.
  bool RewritesCatalog() const {
    const auto is_of_catalog = [](const std::string& name) {
      return IsTransient(name) && name.size() <= std::string_view("pg_temp_16383").size() &&
             std::stoul(name.substr(8)) < catalog::kFirstNormalOid;
    };
    const auto changes = changes_.find(Catalog::kClass);
    return std::any_of(passing_.begin(), passing_.end(),
                       [&](const auto& passing) { return is_of_catalog(passing.second); }) ||
           (changes != changes_.end() &&
            std::any_of(changes->second.begin(), changes->second.end(), [&](const auto& entry) {
              const Change& change = entry.second;
              return is_of_catalog(
                  (change.before != nullptr ? change.before : change.after)->name());
            }));
  }

  // Temporary tables, their schemas and types.
  bool OnlyTemporary() const {
    const auto changes = changes_.find(Catalog::kClass);
    return changes != changes_.end() && !changes->second.empty() &&
           std::any_of(changes->second.begin(), changes->second.end(), [&](const auto& entry) {
             const Row* row =
                 entry.second.before != nullptr ? entry.second.before : entry.second.after;
             return row->Char(persistence_at_) == 't';
           });
  }

  const Work& work_;
  const Ending& ending_;
  const CatalogRows& rows_;
  const std::size_t kind_at_, persistence_at_;
  const FindRequest& request_;
  std::vector<FoundEvent>* events_;
  std::map<Catalog, Changes> changes_;
  std::set<std::pair<std::uint32_t, std::string>> passing_;  // relations made and dropped again
  bool has_unknown_ = false;
  std::size_t told_ = 0;  // wanted or not
};

}  // namespace

void Describe(const Work& work, const Ending& ending, const CatalogRows& rows,
              std::uint32_t server_major, const FindRequest& request,
              std::vector<FoundEvent>* events) {
  Describer(work, ending, rows, server_major, request, events).Run();
}

}  // namespace pitr::find
