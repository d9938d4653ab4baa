// What a client of PostgreSQL says first, as far as one must understand it to turn it away politely: protocol 3 of
// src/include/libpq/pqcomm.h (15 to 18).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pitr {

enum class Opening {
  kIncomplete,  // more must come
  kEncryption,  // asks for TLS or GSSAPI; 'N' says no, and it goes on
  kTls,         // begins with TLS without asking: nothing that we say is understood
  kStartup,     // wants a session
  kCancel,      // asks to cancel a statement
  kNonsense,
};

struct OpeningStep {
  Opening what = Opening::kIncomplete;
  std::size_t bytes = 0;  // of the message, when it is one
};

// The message that `bytes` begin with. Never more than 10000 bytes are waited for.
OpeningStep ReadOpening(std::string_view bytes);

// An ErrorResponse of severity FATAL.
std::string FatalResponse(std::string_view sqlstate, std::string_view message,
                          std::string_view hint);

}  // namespace pitr
