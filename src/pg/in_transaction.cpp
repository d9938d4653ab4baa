#include "pg/in_transaction.h"

#include "pg/boundary.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
}

namespace pitr::pg {

void BeginTransaction() {
  Call([] { StartTransactionCommand(); });
}

void EndTransaction() {
  Call([] { CommitTransactionCommand(); });
}

}  // namespace pitr::pg
