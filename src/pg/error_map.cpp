#include "pg/error_map.h"

#include <algorithm>
#include <cstring>

#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
}

namespace pitr::pg {

namespace {

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool IsAscii(const char* text) {
  return std::all_of(text, text + std::strlen(text),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// One character of UTF-8 in the encoding of the database; false when it has none. `conversion` may be InvalidOid.
bool ConvertCharacter(Oid conversion, const char* in, int length, char* out, int out_size) {
  char copy[8];
  if (!OidIsValid(conversion) || static_cast<std::size_t>(length) >= sizeof copy) {
    return false;
  }
  std::memcpy(copy, in, static_cast<std::size_t>(length));
  copy[length] = '\0';
  return pg_do_encoding_conversion_buf(
             conversion, PG_UTF8, GetDatabaseEncoding(), reinterpret_cast<unsigned char*>(copy),
             length, reinterpret_cast<unsigned char*>(out), out_size, true) == length;
}

void ConvertInPlace(Oid conversion, char* text, std::size_t size) {
  if (IsAscii(text)) {
    return;
  }
  // 4 KiB at most, in a frame that may be jumped over.
  char source[sizeof(Report::detail)];
  CopyText(text, source, sizeof source);
  char* out = text;
  for (const char* in = source; *in != '\0';) {
    const char* next = in + 1;
    while (IsContinuation(*next)) {
      next++;
    }
    char converted[64] = {*in, '\0'};
    if (static_cast<unsigned char>(*in) >= 0x80 &&
        !ConvertCharacter(conversion, in, static_cast<int>(next - in), converted,
                          sizeof converted)) {
      std::strcpy(converted, "?");
    }
    const std::size_t length = std::strlen(converted);
    if (static_cast<std::size_t>(out - text) + length >= size) {
      break;
    }
    std::memcpy(out, converted, length);
    out += length;
    in = next;
  }
  *out = '\0';
}

}  // namespace

int PackedSqlState(Code code) noexcept {
  const std::string_view state = SqlState(code);
  return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

void CopyText(std::string_view text, char* out, std::size_t size) noexcept {
  std::size_t length = std::min(text.size(), size - 1);
  if (length < text.size()) {
    while (length > 0 && IsContinuation(text[length])) {
      length--;
    }
  }
  std::memcpy(out, text.data(), length);
  out[length] = '\0';
}

void CopyText(const char* text, char* out, std::size_t size) noexcept {
  CopyText(text != nullptr ? std::string_view(text) : std::string_view(), out, size);
}

void FillReport(Code code, std::string_view message, std::string_view detail, std::string_view hint,
                Report* report) noexcept {
  report->sqlstate = PackedSqlState(code);
  CopyText(message, report->message, sizeof report->message);
  CopyText(detail, report->detail, sizeof report->detail);
  CopyText(hint, report->hint, sizeof report->hint);
}

void ToServerEncoding(Report* report) {
  const int encoding = GetDatabaseEncoding();
  // Processes without a database have SQL_ASCII: bytes go out as they are.
  if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII ||
      (IsAscii(report->message) && IsAscii(report->detail) && IsAscii(report->hint))) {
    return;
  }
  const Oid conversion =
      IsTransactionState() ? FindDefaultConversionProc(PG_UTF8, encoding) : InvalidOid;
  ConvertInPlace(conversion, report->message, sizeof report->message);
  ConvertInPlace(conversion, report->detail, sizeof report->detail);
  ConvertInPlace(conversion, report->hint, sizeof report->hint);
}

}  // namespace pitr::pg
