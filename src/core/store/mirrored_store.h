// Several stores that hold the same objects, as one. Its place in the layers: below every format, and below the encryption, so that each
// member can be opened alone.
//
// Writing. A member is *required* or *best effort*. OK is said when every required one holds the object, durably; a best effort one that
// fails, or takes long, is noted in the ledger as behind, is left alone for a while, and gets what it missed from the catch-up
// (repo/replicate.h). Who of several writers of one name is first is decided by one member, the *judge*: the required one that takes part and
// whose place sorts first. Not the first of the list, because processes of a server learn one after the other that the order was changed,
// and two judges would give one name to two writers. Should that happen all the same (in the seconds in which a member begins to take
// part), the writer that finds another's object at a required member takes its own back and fails.
//
// Reading. The nearest first: the order of the list; absent or failing there, the next one. "Not found" is said only when a required
// member that lacks nothing said so. Listings come from the first required member that lacks nothing and answers; without one, from all
// that answer together, and only when one among them is required or is known to lack nothing.
//
// A member that is empty or is being filled for the first time takes no part, required or not.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/store/abilities.h"
#include "core/store/address_list.h"
#include "core/store/member_ledger.h"
#include "core/store/store.h"

namespace pitr {

// One of several stores: opened when it is first needed, and anew after it failed.
class MirrorMember {
 public:
  struct Opened {
    std::shared_ptr<ObjectStore> store;
    bool takes_part = true;
  };
  using Opener = std::function<Result<Opened>()>;

  MirrorMember(StoreAddress address, Opener open, MemberLedger* ledger)
      : address_(std::move(address)), open_(std::move(open)), ledger_(ledger) {}

  const StoreAddress& address() const { return address_; }
  bool is_required() const { return address_.is_required; }
  bool IsResting() const { return ledger_->IsResting(address_.place); }
  bool IsBehind(bool otherwise) const { return ledger_->IsBehind(address_.place, otherwise); }

  // Null when it takes no part (OK), or cannot be opened.
  Result<std::shared_ptr<ObjectStore>> Acquire();
  void LookAgain();
  void ForgoConditions();
  // What came of a call: its failures are noted, and it is opened anew after them.
  void Tell(const Status& status);
  void Missed(const std::string& name, std::uint64_t bytes) {
    ledger_->Missed(address_.place, name, bytes);
  }
  void Damaged(const std::string& name) { ledger_->Damaged(address_.place, name); }

 private:
  const StoreAddress address_;
  const Opener open_;
  MemberLedger* const ledger_;
  std::mutex mutex_;  // of what follows
  Opened opened_;
  std::int64_t looked_at_ms_ = 0;
  bool has_failed_ = false, has_conditions_ = true;
};

// What is wrong with a store and not with the question.
bool IsTrouble(const Status& status);

class MirroredStore final : public ObjectStore, public Distrusting, public Racing {
 public:
  struct Options {
    // Names of objects that may be written anew under the same name with other bytes, after a removal.
    std::function<bool(const std::string&)> may_be_replaced;
  };
  // REQUIRES: at least one member is required.
  MirroredStore(std::vector<std::unique_ptr<MirrorMember>> members, Options options);

  const std::vector<std::unique_ptr<MirrorMember>>& members() const { return members_; }

  Status Put(const std::string& name, ByteView bytes) override;
  Result<std::unique_ptr<ObjectWriter>> Create(const std::string& name) override;
  Result<Bytes> Get(const std::string& name, std::uint64_t max_size) override;
  Result<Bytes> GetRange(const std::string& name, std::uint64_t offset,
                         std::uint64_t size) override;
  Result<Bytes> GetSuffix(const std::string& name, std::uint64_t size) override;
  Result<ObjectStat> Stat(const std::string& name) override;
  Result<std::vector<ObjectStat>> List(const std::string& prefix, const std::string& after,
                                       std::size_t limit) override;
  Result<std::vector<std::string>> ListParts(const std::string& prefix) override;
  Status Remove(const std::string& name) override;
  Status CollectAbandoned(std::int64_t age_seconds) override;
  // Of the required member with the least.
  std::optional<std::uint64_t> FreeBytes() override;
  bool Distrust(const std::string& name) override;
  // Of each member, also of those that are opened later.
  void ForgoConditions() override;
  // Each of the copies that can be asked.
  Result<bool> KeepsWritersApart(const std::string& name) override;
  std::string Describe() const override;

 private:
  friend class MirroredWriter;

  // Index of the judge. An error when a required member that sorts before it cannot be asked, kNotReady when none takes part.
  Result<std::size_t> FindJudge() const;
  // read(store) of the nearest member that has the object.
  template <typename Read>
  auto ReadNearest(const std::string& name, Read read) -> decltype(read(nullptr));
  template <typename Item, typename Listing, typename Less>
  Result<std::vector<Item>> ListWhole(Listing listing, Less less);
  void NoteServed(const std::string& name, std::size_t member);
  bool IsDistrusted(const std::string& name, std::size_t member);

  // The member holds what `from` holds under this name, afterwards. `compares`: whatever is there is compared byte for byte; otherwise
  // its size is enough, as names are not used twice.
  Status Settle(ObjectStore* from, MirrorMember* member, const std::string& name, bool compares);

  const std::vector<std::unique_ptr<MirrorMember>> members_;
  const Options options_;
  std::vector<std::size_t> required_;  // by place
  std::mutex mutex_;                   // of what follows
  std::map<std::pair<std::thread::id, std::string>, std::size_t> served_;
  std::set<std::pair<std::string, std::size_t>> distrusted_;
};

}  // namespace pitr
