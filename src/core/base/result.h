// Result<T>: a value or a Status that is not OK. g++ 12 in C++20 mode has no std::expected.
#pragma once

#include <optional>
#include <utility>

#include "core/base/status.h"

namespace pitr {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    if (status_.ok()) status_ = Status(Code::kInternal, "result without value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const& { return status_; }
  Status status() && {
    return std::move(status_);
  }  // by value: F().status() may be kept by reference
  // REQUIRES: ok()
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace pitr

#define PITR_CONCAT_INNER(a, b) a##b
#define PITR_CONCAT(a, b) PITR_CONCAT_INNER(a, b)

// Returns the Status (or Result) of `expr` from the enclosing function unless it is OK.
#define PITR_RETURN_IF_ERROR(expr)                               \
  do {                                                           \
    ::pitr::Status PITR_CONCAT(pitr_status_, __LINE__) = (expr); \
    if (!PITR_CONCAT(pitr_status_, __LINE__).ok()) {             \
      return PITR_CONCAT(pitr_status_, __LINE__);                \
    }                                                            \
  } while (0)

// PITR_ASSIGN_OR_RETURN(auto x, F()): x is the value, or the enclosing function returns the Status.
#define PITR_ASSIGN_OR_RETURN(lhs, expr)                            \
  auto PITR_CONCAT(pitr_result_, __LINE__) = (expr);                \
  if (!PITR_CONCAT(pitr_result_, __LINE__).ok())                    \
    return std::move(PITR_CONCAT(pitr_result_, __LINE__)).status(); \
  lhs = std::move(*PITR_CONCAT(pitr_result_, __LINE__))
