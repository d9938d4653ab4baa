// Compression is ours and not pg_dump's: the frames of the repository are made beside pg_dump and not inside of it, one codec serves all majors (pg_dump has
// zstd since 16), and what is encrypted is compressed before.
#include "tool/dump_database.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/base/file.h"
#include "core/work/copy_rows.h"
#include "tool/piped_program.h"

namespace pitr::tool {

namespace {

constexpr std::size_t kPiece = 2U << 20;
constexpr char kLockWait[] = "--lock-wait-timeout=10s";
constexpr std::string_view kGlobalsEnd = "PostgreSQL database cluster dump complete";

// Counts entries in what pg_restore --list says: a line each, comments begin with ';'.
class ListLines {
 public:
  void Add(ByteView text) {
    for (const char c : AsText(text)) {
      if (at_begin_ && c != ';' && c != '\n') entries_++;
      at_begin_ = c == '\n';
    }
  }
  std::uint64_t entries() const { return entries_; }

 private:
  bool at_begin_ = true;
  std::uint64_t entries_ = 0;
};

class DatabaseDump {
 public:
  DatabaseDump(DumpWork* work, const SourceDatabase& source, DumpDatabase* database)
      : work_(work), source_(source), database_(database) {
    directory_ = work->staging + "/" + std::to_string(work->next_object);
  }
  Status Run();

 private:
  bool IsDirectory() const { return work_->manifest.options.format == "directory"; }
  const CancelToken& cancel() const { return *work_->cancel; }
  std::vector<std::string> Arguments() const;
  Status Dump();
  Status DumpDirectory();
  Status StoreFile(const std::string& name);
  Status Restore(const std::vector<std::string>& options, const PipedProgram::Sink& sink,
                 bool reads_all);
  Status Judge();
  Status Compare(const CopyRows& copied);
  Status Explain(Status status, const char* program) const;

  DumpWork* work_;
  const SourceDatabase& source_;
  DumpDatabase* database_;
  std::string directory_;
};

Status DatabaseDump::Explain(Status status, const char* program) const {
  if (status.code() != Code::kIo && status.code() != Code::kLockTimeout) return status;
  Status told(status.code(),
              std::string(program) + " of database \"" + source_.database.name + "\" failed");
  told.WithDetail(status.detail().empty() ? status.message() : status.detail());
  if (status.code() == Code::kLockTimeout) {
    told.WithHint(
        "A transaction held that lock at the point of the dump, and there it does for ever. Take "
        "another point.");
  }
  return told;
}

std::vector<std::string> DatabaseDump::Arguments() const {
  const DumpOptions& options = work_->manifest.options;
  std::vector<std::string> arguments = {DumpProgram(work_->server, "pg_dump"), "--compress=0",
                                        kLockWait, "--no-password"};
  if (options.schema_only) arguments.push_back("--schema-only");
  if (options.no_owner) arguments.push_back("--no-owner");
  if (options.no_privileges) arguments.push_back("--no-privileges");
  if (IsDirectory()) {
    arguments.insert(arguments.end(), {"--format=directory", "--no-sync",
                                       "--jobs=" + std::to_string(options.jobs), "-f", directory_});
  } else {
    arguments.push_back("--format=custom");
  }
  arguments.insert(arguments.end(), {"-d", ConnectionOf(work_->server, source_.database.name)});
  return arguments;
}

Status DatabaseDump::Dump() {
  DumpWriter writer(work_->repo, work_->manifest.id, &work_->next_object, work_->level);
  // An error of the repository is told as what it is.
  Status stored;
  PITR_ASSIGN_OR_RETURN(
      const auto program,
      PipedProgram::Start(Arguments(), DumpEnvironment(), false, [&](ByteView bytes) {
        work_->progress->Done(bytes.size());
        stored = writer.Add(bytes);
        return stored;
      }));
  const Status ended = program->End(cancel());
  PITR_RETURN_IF_ERROR(stored);
  PITR_RETURN_IF_ERROR(Explain(ended, "pg_dump"));
  PITR_ASSIGN_OR_RETURN(DumpFile file, writer.Finish(""));
  database_->files.push_back(std::move(file));
  return Status::Ok();
}

Status DatabaseDump::StoreFile(const std::string& name) {
  PITR_ASSIGN_OR_RETURN(const File file, File::Open(JoinPath(directory_, name), O_RDONLY));
  DumpWriter writer(work_->repo, work_->manifest.id, &work_->next_object, work_->level);
  Bytes piece(kPiece);
  for (std::uint64_t at = 0;;) {
    if (cancel().IsCancelled()) return Status(Code::kCancelled, "cancelled");
    PITR_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(at, piece.data(), piece.size()));
    if (got == 0) break;
    PITR_RETURN_IF_ERROR(writer.Add(ByteView(piece).first(got)));
    work_->progress->Done(got);
    at += got;
  }
  PITR_ASSIGN_OR_RETURN(DumpFile stored, writer.Finish(name));
  database_->files.push_back(std::move(stored));
  return Status::Ok();
}

Status DatabaseDump::DumpDirectory() {
  PITR_RETURN_IF_ERROR(MakeDirectories(work_->staging));
  // Without indexes it is less; without knowing how much less, so much is wanted.
  PITR_ASSIGN_OR_RETURN(const std::uint64_t free, FreeSpace(work_->staging));
  if (free < source_.on_disk) {
    return Status(Code::kDiskFull, "a dump of database \"" + source_.database.name +
                                       "\" as a directory may not fit on the disk")
        .WithDetail("The database has " + std::to_string(source_.on_disk) + " bytes, " +
                    std::to_string(free) + " are free in \"" + work_->staging + "\".")
        .WithHint("The custom format needs no room on this machine.");
  }
  PITR_ASSIGN_OR_RETURN(const auto program,
                        PipedProgram::Start(Arguments(), DumpEnvironment(), false,
                                            [](ByteView) { return Status::Ok(); }));
  PITR_RETURN_IF_ERROR(Explain(program->End(cancel()), "pg_dump"));
  PITR_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory_));
  for (const std::string& name : names) {
    PITR_RETURN_IF_ERROR(StoreFile(name));
  }
  return Status::Ok();
}

// pg_restore over what was stored. A list needs the beginning only.
Status DatabaseDump::Restore(const std::vector<std::string>& options,
                             const PipedProgram::Sink& sink, bool reads_all) {
  std::vector<std::string> arguments = {DumpProgram(work_->server, "pg_restore")};
  arguments.insert(arguments.end(), options.begin(), options.end());
  if (IsDirectory()) arguments.push_back(directory_);
  PITR_ASSIGN_OR_RETURN(const auto program,
                        PipedProgram::Start(arguments, DumpEnvironment(), !IsDirectory(), sink));
  if (!IsDirectory()) {
    bool has_enough = false;
    const Status read = StreamDumpFile(
        work_->repo, work_->manifest.id, database_->files.front(), [&](ByteView bytes) {
          PITR_RETURN_IF_ERROR(program->Feed(bytes, cancel()));
          if (reads_all) work_->progress->Done(bytes.size());
          has_enough = !reads_all && !program->takes_input();
          return has_enough ? Status(Code::kCancelled, "enough") : Status::Ok();
        });
    if (!has_enough) PITR_RETURN_IF_ERROR(read);
  }
  return Explain(program->End(cancel()), "pg_restore");
}

Status DatabaseDump::Compare(const CopyRows& copied) {
  PITR_ASSIGN_OR_RETURN(Connection connection,
                        ConnectToDatabase(work_->server, source_.database.name));
  PITR_ASSIGN_OR_RETURN(const std::vector<SourceTable> tables, TablesOf(&connection, cancel()));
  PITR_ASSIGN_OR_RETURN(const std::uint64_t large_objects, LargeObjectsOf(&connection, cancel()));
  std::map<std::pair<std::string, std::string>, std::uint64_t> found;
  for (const CopiedTable& table : copied.tables()) {
    found[{table.schema, table.name}] += table.rows;
  }
  const auto disagrees = [&](const std::string& detail) {
    return Status(Code::kCorrupt,
                  "the dump of database \"" + source_.database.name + "\" is not complete")
        .WithDetail(detail);
  };
  for (const SourceTable& table : tables) {
    const std::string name = "\"" + table.table.schema + "\".\"" + table.table.name + "\"";
    const auto in_dump = found.find({table.schema, table.name});
    if (in_dump == found.end() && table.is_of_extension && table.table.rows == 0) continue;
    if (in_dump == found.end()) return disagrees("Table " + name + " is not in it.");
    if (in_dump->second != table.table.rows) {
      return disagrees("Table " + name + " has " + std::to_string(table.table.rows) +
                       " rows, the dump has " + std::to_string(in_dump->second) + ".");
    }
    database_->tables.push_back(table.table);
    database_->rows += table.table.rows;
  }
  if (copied.large_objects() != large_objects) {
    return disagrees("There are " + std::to_string(large_objects) +
                     " large objects, the dump has " + std::to_string(copied.large_objects()) +
                     ".");
  }
  database_->large_objects = large_objects;
  return copied.is_complete() ? Status::Ok() : disagrees("It ends in the middle of a table.");
}

Status DatabaseDump::Judge() {
  ListLines list;
  PITR_RETURN_IF_ERROR(Restore(
      {"--list"},
      [&](ByteView text) {
        list.Add(text);
        return Status::Ok();
      },
      false));
  database_->entries = list.entries();
  const bool has_rows = !work_->manifest.options.schema_only;
  CopyRows copied;
  std::vector<std::string> options = {"-f", "-"};
  if (has_rows) options.push_back("--data-only");
  PITR_RETURN_IF_ERROR(Restore(
      options,
      [&](ByteView text) {
        if (has_rows) copied.Add(text);
        return Status::Ok();
      },
      true));
  // The directory is what was stored when its files have the same checksums.
  for (const DumpFile& file : database_->files) {
    if (IsDirectory()) PITR_RETURN_IF_ERROR(ReadBack(work_, file));
    database_->plain_bytes += file.PlainBytes();
    database_->stored_bytes += file.StoredBytes();
  }
  return has_rows ? Compare(copied) : Status::Ok();
}

Status DatabaseDump::Run() {
  *database_ = source_.database;
  work_->progress->Phase("dump");
  work_->progress->Total(source_.on_disk);
  PITR_RETURN_IF_ERROR(IsDirectory() ? DumpDirectory() : Dump());
  std::uint64_t plain = 0;
  for (const DumpFile& file : database_->files) {
    plain += file.PlainBytes();
  }
  work_->progress->Phase("verify");
  work_->progress->Total(plain);
  PITR_RETURN_IF_ERROR(Judge());
  return IsDirectory() ? RemoveTree(directory_) : Status::Ok();
}

}  // namespace

Status DumpOneDatabase(DumpWork* work, const SourceDatabase& source, DumpDatabase* database) {
  return DatabaseDump(work, source, database).Run();
}

Status ReadBack(DumpWork* work, const DumpFile& file) {
  return StreamDumpFile(work->repo, work->manifest.id, file, [&](ByteView bytes) {
    work->progress->Done(bytes.size());
    return work->cancel->IsCancelled() ? Status(Code::kCancelled, "cancelled") : Status::Ok();
  });
}

Result<DumpFile> DumpGlobals(DumpWork* work, const std::string& database) {
  work->progress->Phase("globals");
  DumpWriter writer(work->repo, work->manifest.id, &work->next_object, work->level);
  Status stored;
  std::string last;  // the last of what it said
  PITR_ASSIGN_OR_RETURN(
      const auto program,
      PipedProgram::Start(
          {DumpProgram(work->server, "pg_dumpall"), "--globals-only", "--no-password", "-l",
           database, "-d", ConnectionOf(work->server, database)},
          DumpEnvironment(), false, [&](ByteView bytes) {
            last += AsText(bytes);
            last.erase(0, last.size() - std::min<std::size_t>(last.size(), 4096));
            stored = writer.Add(bytes);
            return stored;
          }));
  const Status ended = program->End(*work->cancel);
  PITR_RETURN_IF_ERROR(stored);
  PITR_RETURN_IF_ERROR(ended);
  if (last.find(kGlobalsEnd) == std::string::npos) {
    return Status(Code::kCorrupt, "what pg_dumpall said of roles and tablespaces has no end");
  }
  PITR_ASSIGN_OR_RETURN(DumpFile file, writer.Finish("globals.sql"));
  PITR_RETURN_IF_ERROR(ReadBack(work, file));
  return file;
}

}  // namespace pitr::tool
