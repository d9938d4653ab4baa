#include "tool/member_notes.h"
#include "core/base/json.h"

#include <cstdio>
#include <string>

#include "core/store/member_ledger.h"
#include "tool/job.h"

namespace pitr::tool {

namespace {

class TellingLedger final : public MemberLedger {
 public:
  explicit TellingLedger(JobOutput* output) : output_(output) {}

  bool IsResting(const std::string& place) override { return known_.IsResting(place); }
  bool IsBehind(const std::string& place, bool otherwise) override {
    return known_.IsBehind(place, otherwise);
  }
  bool WasMember(const std::string& place) override { return known_.WasMember(place); }
  void Answered(const std::string& place) override { known_.Answered(place); }

  void Failed(const std::string& place, const Status& status) override {
    known_.Failed(place, status);
    Json note = NoteOf("failed", place);
    note["message"] = status.message();
    Send(std::move(note));
  }

  void Missed(const std::string& place, const std::string& name, std::uint64_t bytes) override {
    known_.Missed(place, name, bytes);
    Json note = NoteOf("missed", place);
    note["name"] = name;
    note["bytes"] = bytes;
    Send(std::move(note));
  }

  void Damaged(const std::string& place, const std::string& name) override {
    known_.Damaged(place, name);
    if (output_ == nullptr) {
      std::fprintf(stderr,
                   "pitr: object \"%s\" of repository \"%s\" is damaged: it is read from another "
                   "one\n",
                   name.c_str(), place.c_str());
    }
    Json note = NoteOf("damaged", place);
    note["name"] = name;
    Send(std::move(note));
  }

 private:
  static Json NoteOf(const char* what, const std::string& place) {
    Json note;
    note["what"] = what;
    note["place"] = place;
    return note;
  }

  void Send(Json note) {
    if (output_ != nullptr) {
      Json line;
      line["member"] = std::move(note);
      output_->Send(line);
    }
  }

  JobOutput* const output_;
  ProcessLedger known_;
};

}  // namespace

// Never destroyed: threads may still speak when the process ends.
void TellOfMembers(JobOutput* output) { SetMemberLedger(new TellingLedger(output)); }

void TellOfMembers() { TellOfMembers(nullptr); }

}  // namespace pitr::tool
