// Several repositories: the launcher's part. It remembers beside the data directory which places were whole replicas, and lets the child
// `pitr job` compare and copy (core/repo/replicate.h) when something was missed, when the list has changed, and once an hour.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/backoff.h"
#include "core/repo/access.h"
#include "core/store/address_list.h"
#include "pg/child.h"
#include "pg/log.h"

namespace pitr::pg {

class Replicas {
 public:
  Replicas();
  // Each second. Never waits. THROWS: ErrorInFlight.
  void Tick();
  // Before anything is opened: what is known of the places that pitr.repository names now goes to shared memory.
  void TakeSettings();

 private:
  // What <data directory>/pitr/replicas.json has of one place.
  struct Record {
    std::string place;
    bool was_required = false;
  };

  bool IsDue(std::int64_t now_ms);
  void Start();
  // Lines of the child that are there; its end.
  void Serve();
  void TakeState(const Json& line);
  void Ended(const Status& status);
  void NoteWhole();
  bool MayLackWhatOthersHave() const;
  void ReadRecords();
  Status WriteRecords() const;
  const Record* FindRecord(const std::string& place) const;

  RepositoryAccess access_;
  std::int64_t loaded_at_ = 0;
  std::vector<StoreAddress> entries_;  // empty: fewer than two
  std::vector<Record> records_;
  std::unique_ptr<Child> child_;
  struct Outcome {
    bool is_fine = false;
    std::uint64_t missed_before = 0;  // misses that the comparison has seen
  };
  std::vector<Outcome> outcomes_;  // by entry
  bool is_asked_ = false;          // once at least, whatever is known
  std::int64_t compared_ms_ = 0;
  Backoff retry_;
  StateLog log_{"pitr catch-up of repositories"};
};

}  // namespace pitr::pg
