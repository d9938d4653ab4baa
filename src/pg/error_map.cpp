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

// `conversion`: from UTF-8 to the encoding of the database, or InvalidOid. What it cannot bring over becomes '?'.
void ConvertInPlace(Oid conversion, char* text, std::size_t size) {
  if (IsAscii(text)) {
    return;
  }
  // A source of 4 KiB at most, in a frame that may be jumped over.
  char source[sizeof(Report::detail)];
  CopyText(text, source, sizeof source);
  char* in = source;
  char* out = text;
  char* const end = text + size - 1;
  while (*in != '\0' && out < end) {
    if (OidIsValid(conversion)) {
      in += pg_do_encoding_conversion_buf(
          conversion, PG_UTF8, GetDatabaseEncoding(), reinterpret_cast<unsigned char*>(in),
          static_cast<int>(std::strlen(in)), reinterpret_cast<unsigned char*>(out),
          static_cast<int>(end - out + 1), true);
      out += std::strlen(out);
    }
    // The conversion stopped here, if not at the end.
    if (*in == '\0' || out == end) {
      break;
    }
    *out++ = static_cast<unsigned char>(*in) < 0x80 ? *in : '?';
    do {
      in++;
    } while (IsContinuation(*in));
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
