// What a directory takes on disk, found a little at a time: for processes that have other things to do.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pitr {

// Counts blocks (st_blocks), so that holes count nothing; links are counted and, those of tablespaces apart, not followed. What vanishes meanwhile is left out. Holds one descriptor while it is under way.
class DiskUsage {
 public:
  explicit DiskUsage(std::string directory) : waiting_{std::move(directory)} {}

  // Looks at up to `entries` more. True when everything was seen.
  bool Advance(std::size_t entries);
  // nullopt when the directory is not there, or something in it cannot be read. REQUIRES: Advance() said true.
  std::optional<std::uint64_t> bytes() const;

 private:
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  void OpenNext();
  void Count(const char* name);
  void AddTablespace(const std::string& link);

  std::vector<std::string> waiting_;  // directories that were not looked into
  std::string path_;                  // of reading_
  std::unique_ptr<DIR, Close> reading_;
  std::uint64_t bytes_ = 0;
  bool has_begun_ = false, failed_ = false;
};

}  // namespace pitr
