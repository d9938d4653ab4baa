// pitr.restore_point_before_ddl: a named restore point before each statement that changes definitions.
#pragma once

namespace pitr::pg {

// Installs the hook. Postmaster only.
void DdlPointInit();

}  // namespace pitr::pg
