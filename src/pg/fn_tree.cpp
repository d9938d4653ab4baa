// pitr_branch_tree: what pitr_branches tells, for people.
#include "core/plan/branch_tree.h"
#include "pg/boundary.h"
#include "pg/branch_rows.h"
#include "pg/compute.h"
#include "pg/view_cache.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

Status TreeRows(RowBuilder* rows) {
  PITR_ASSIGN_OR_RETURN(const Session session, OpenSession());
  const BranchSizes sizes = BranchSizes::Load();
  for (const BranchTreeRow& row : BranchTree(session.branches, SystemClock().Now())) {
    const Result<BranchWindow> window = WindowOf(session, *row.branch);
    const std::optional<std::int64_t> size = sizes.Of(row.branch->id);
    rows->Text(row.text).Text(StateOf(*row.branch)).Time(row.branch->created_at);
    rows->TimeOrNull(window.ok() ? window->last : std::nullopt);
    if (size) {
      rows->Int8(*size);
    } else {
      rows->Null();
    }
    rows->EndRow();
  }
  return Status::Ok();
}

}  // namespace

}  // namespace pitr::pg

PITR_FUNCTION(pitr_branch_tree) { return pitr::pg::RowsOrKept(fcinfo, "tree", pitr::pg::TreeRows); }
