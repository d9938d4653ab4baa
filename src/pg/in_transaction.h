// A transaction around something that reads catalogues, in a worker.
#pragma once

namespace pitr::pg {

// THROW ErrorInFlight.
void BeginTransaction();
void EndTransaction();

template <typename Body>
auto InTransaction(Body body) {
  BeginTransaction();
  auto result = body();
  EndTransaction();
  return result;
}

}  // namespace pitr::pg
