// Status -> what PostgreSQL reports: SQLSTATE and the three texts, cut to fit at character boundaries.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/base/status.h"
#include "pg/boundary.h"

namespace pitr::pg {

// SQLSTATE of a code in the server's packed form.
int PackedSqlState(Code code) noexcept;

// Allocates nothing and calls no server function.
void FillReport(Code code, std::string_view message, std::string_view detail, std::string_view hint,
                Report* report) noexcept;

// Copies text and a final zero; what does not fit is cut where a UTF-8 character begins. Null is the empty text.
void CopyText(const char* text, char* out, std::size_t size) noexcept;
void CopyText(std::string_view text, char* out, std::size_t size) noexcept;

// Our texts are UTF-8: brings them to the encoding of the database in place; a character that it lacks becomes '?'.
// RAISES: rarely (catalogue look-up).
void ToServerEncoding(Report* report);

}  // namespace pitr::pg
