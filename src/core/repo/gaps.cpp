#include "core/repo/gaps.h"

#include <algorithm>
#include <tuple>

#include "core/base/json.h"
#include "core/repo/catalogue.h"

namespace pitr {

namespace {

constexpr std::string_view kDocument = "gaps";

Result<std::vector<Gap>> GapsIn(const Json& document, const BranchId& branch) {
  std::vector<Gap> gaps;
  const Json* array = JsonArray(document, branch);
  for (std::size_t i = 0; array != nullptr && i < array->size(); i++) {
    PITR_ASSIGN_OR_RETURN(Gap gap, GapFromJson((*array)[i]));
    gaps.push_back(std::move(gap));
  }
  return gaps;
}

Result<Lsn> LsnMember(const Json& json, std::string_view member) {
  PITR_ASSIGN_OR_RETURN(const std::string text, JsonText(json, member));
  return Lsn::Parse(text);
}

}  // namespace

Json GapJson(const Gap& gap) {
  Json json;
  json["timeline"] = gap.timeline;
  json["begin"] = gap.begin.ToString();
  json["end"] = gap.end.ToString();
  json["since"] = gap.since.micros;
  json["cause"] = gap.cause;
  return json;
}

Result<Gap> GapFromJson(const Json& json) {
  Gap gap;
  PITR_ASSIGN_OR_RETURN(const std::uint64_t timeline, JsonUint(json, "timeline"));
  PITR_ASSIGN_OR_RETURN(gap.begin, LsnMember(json, "begin"));
  PITR_ASSIGN_OR_RETURN(gap.end, LsnMember(json, "end"));
  PITR_ASSIGN_OR_RETURN(gap.since.micros, JsonInt(json, "since"));
  PITR_ASSIGN_OR_RETURN(gap.cause, JsonText(json, "cause"));
  if (timeline == 0 || timeline > UINT32_MAX || gap.begin >= gap.end) {
    return Status(Code::kCorrupt, "a gap in WAL has no extent: " + DumpJson(json));
  }
  gap.timeline = static_cast<TimelineId>(timeline);
  return gap;
}

void MergeGap(Gap gap, std::vector<Gap>* gaps) {
  for (auto other = gaps->begin(); other != gaps->end();) {
    const bool touches =
        other->timeline == gap.timeline && other->begin <= gap.end && gap.begin <= other->end;
    if (!touches) {
      ++other;
      continue;
    }
    gap.begin = std::min(gap.begin, other->begin);
    gap.end = std::max(gap.end, other->end);
    if (other->since <= gap.since) {
      gap.since = other->since;
      gap.cause = std::move(other->cause);
    }
    other = gaps->erase(other);
  }
  gaps->push_back(std::move(gap));
  std::sort(gaps->begin(), gaps->end(), [](const Gap& a, const Gap& b) {
    return std::tie(a.timeline, a.begin) < std::tie(b.timeline, b.begin);
  });
}

Result<std::vector<Gap>> ReadGaps(Repository* repo, const BranchId& branch) {
  PITR_ASSIGN_OR_RETURN(const Json document, ReadDocument(repo, kDocument));
  return GapsIn(document, branch);
}

Status AddGaps(Repository* repo, const BranchId& branch, const std::vector<Gap>& gaps) {
  return UpdateDocument(repo, kDocument, [&](Json* document) {
    PITR_ASSIGN_OR_RETURN(std::vector<Gap> all, GapsIn(*document, branch));
    for (const Gap& gap : gaps)
      MergeGap(gap, &all);
    Json& array = (*document)[branch] = Json::array();
    for (const Gap& gap : all)
      array.push_back(GapJson(gap));
    return Status::Ok();
  });
}

}  // namespace pitr
