// Completion: loads what is still missing, frame by frame, the relations first that everybody needs. One step at a time, so that the
// worker that runs it heeds interrupts and its rate between two of them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/demand/directory.h"

namespace pitr::demand {

class Filler {
 public:
  explicit Filler(const Directory* directory);

  // Loads the next frame of what is missing. False: nothing is left, every file was loaded once. `*error` is 0, or why this frame could not
  // be had; it is tried again in the next round.
  bool Step(int* error, std::uint64_t* bytes);
  // DURABLE: each file whose pages are all there, with its bits. 0, or errno of an fsync that failed: the kernel may have dropped
  // what it could not write, so the server must go down and recover (internals 2e).
  int SyncFiles();
  // Begins anew with what could not be had. False: all is there and durable.
  bool NextRound();

 private:
  enum class Pass : std::uint8_t { kCatalogs, kFirstPages, kIndexes, kTables, kDone };
  struct Item {
    std::uint32_t file, run;  // of the file
  };

  void Prepare();
  void ReadAhead() const;
  bool IsWanted(std::uint32_t file) const;
  bool IsMissing(const Item& item) const;
  void LookAtFirstPage(std::uint32_t file);

  const Directory* directory_;
  Pass pass_ = Pass::kCatalogs;
  std::vector<Item> items_;  // of this pass, in the order in which they lie in the packs
  std::size_t next_ = 0;
  std::vector<std::uint8_t> class_;  // of each file
};

}  // namespace pitr::demand
