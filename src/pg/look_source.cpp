#include "pg/look_source.h"

#include "core/plan/point.h"
#include "core/plan/restore_plan.h"
#include "pg/session.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

Result<NamedPoint> NamePoint(const std::string& text, const std::optional<BranchId>& child) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  const auto is_branch = [&](std::string_view name) {
    return session.branches.FindName(name) != nullptr;
  };
  PITR_ASSIGN_OR_RETURN(const SourcePoint parsed,
                        ParseSourcePoint(text, is_branch, SystemClock().Now()));
  NamedPoint named;
  named.source = parsed.source;
  PITR_ASSIGN_OR_RETURN(
      named.branch,
      FindSource(session.branches,
                 parsed.source == "^parent" && child ? *child : session.identity.branch_id,
                 parsed.source));
  if (parsed.point.kind != Point::Kind::kHead) named.point = text.substr(text.rfind('@') + 1);
  named.text = named.branch + (named.point.empty() ? "" : "@") + named.point;
  return named;
}

}  // namespace pitr::pg
