// There is no server whose timestamptz input could read a time here, so times are strict.
#include "tool/restore_target.h"

#include <vector>

namespace pitr::tool {

Result<const Branch*> ChooseBranch(const BranchSet& branches, const Options& options) {
  if (const std::optional<std::string> name = options.Text("branch")) {
    return branches.Find(*name);
  }
  std::vector<const Branch*> open;
  std::string names;
  for (const Branch& branch : branches.branches) {
    if (branch.deleted_at) {
      continue;
    }
    if (branch.is_default) {
      return &branch;
    }
    open.push_back(&branch);
    names += (names.empty() ? "" : ", ") + branch.name;
  }
  if (open.size() == 1) {
    return open.front();
  }
  if (const Branch* main = branches.FindName("main")) {
    return main;
  }
  return open.empty() ? Status(Code::kNotFound, "the repository has no branch")
                      : Status(Code::kAmbiguous, "which branch?")
                            .WithDetail("Branches: " + names + ".")
                            .WithHint("Name one with --branch.");
}

Result<Timestamp> ParseTargetTime(const std::string& text) {
  std::string strict = text;
  if (strict.size() > 10 && strict[10] == ' ') {
    strict[10] = 'T';
  }
  // "+02" as the server prints whole hours.
  const std::size_t sign = strict.find_last_of("+-");
  if (sign != std::string::npos && sign > 10 && strict.size() - sign == 3) {
    strict += ":00";
  }
  Result<Timestamp> time = ParseRfc3339(strict);
  if (!time.ok()) {
    return std::move(time).status().WithHint(
        "Write it with its zone, like 2026-11-20T10:00:00Z or \"2026-11-20 12:00:00+02:00\".");
  }
  return time;
}

Result<PlanRequest> RequestOfOptions(const BranchSet& branches, const Branch& branch,
                                     const Options& options, Timestamp now) {
  const int given = (options.Has("target") ? 1 : 0) + (options.Has("target-time") ? 1 : 0) +
                    (options.Has("target-lsn") ? 1 : 0);
  if (given > 1) {
    return Status(Code::kInvalidArgument,
                  "only one of --target, --target-time and --target-lsn can be given");
  }
  PlanRequest request;
  request.self = branch.id;
  request.inclusive = !options.Has("exclusive");
  request.now = now;
  request.bare = given == 1;
  const std::string target = options.TextOr("target", "");
  if (target.find('@') != std::string::npos) {
    PITR_ASSIGN_OR_RETURN(
        const SourcePoint parsed,
        ParseSourcePoint(
            target, [&](std::string_view name) { return branches.Find(name).ok(); }, now));
    request.source = parsed.source;
    request.point = parsed.point;
    request.bare = false;
  } else if (options.Has("target")) {
    PITR_ASSIGN_OR_RETURN(const std::optional<Point> point, ParseBareTarget(target));
    if (point) {
      request.point = *point;
    } else {
      request.point.kind = Point::Kind::kTime;
      PITR_ASSIGN_OR_RETURN(request.point.time, ParseTargetTime(target));
    }
  } else if (options.Has("target-time")) {
    request.point.kind = Point::Kind::kTime;
    PITR_ASSIGN_OR_RETURN(request.point.time, ParseTargetTime(options.TextOr("target-time", "")));
  } else if (options.Has("target-lsn")) {
    request.point.kind = Point::Kind::kLsn;
    PITR_ASSIGN_OR_RETURN(request.point.lsn, Lsn::Parse(options.TextOr("target-lsn", "")));
  }
  return request;
}

}  // namespace pitr::tool
