// Points as people write them. Reading is strict where the form is ours; a bare time is left to the server's
// own input, which knows the session's time zone.
#include "core/plan/point.h"

#include <charconv>

namespace pitr {

namespace {

constexpr std::string_view kName = "name:", kXid = "xid:", kSnapshot = "snapshot:";

Status InvalidFormat(std::string_view text) {
  return Status(Code::kInvalidText, "Invalid source branch format - " + std::string(text))
      .WithHint(
          "A point is written source[@point]: main, main@2026-11-20T10:00:00Z, main@0/3000148, "
          "main@name:x, main@xid:750 or main@snapshot:x.");
}

// Decimal digits only. Zero is no transaction (InvalidTransactionId, access/transam.h, 15).
bool ParseXid(std::string_view text, Xid* out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && *out != 0;
}

// The three forms that say what they are. False when `text` is none of them; *ok says whether what stands
// behind the word can be read.
bool ParseNamed(std::string_view text, Point* point, bool* ok) {
  *ok = true;
  if (text.starts_with(kName)) {
    point->kind = Point::Kind::kRestorePoint;
    point->name = text.substr(kName.size());
    *ok = !point->name.empty();
    return true;
  }
  if (text.starts_with(kSnapshot)) {
    point->kind = Point::Kind::kSnapshot;
    point->name = text.substr(kSnapshot.size());
    *ok = !point->name.empty();
    return true;
  }
  if (text.starts_with(kXid)) {
    point->kind = Point::Kind::kXid;
    *ok = ParseXid(text.substr(kXid.size()), &point->xid);
    return true;
  }
  return false;
}

Result<Point> ParsePoint(std::string_view text, std::string_view whole, Timestamp now) {
  Point point;
  if (Lsn::LooksLikeLsn(text)) {
    PITR_ASSIGN_OR_RETURN(point.lsn, Lsn::Parse(text));
    point.kind = Point::Kind::kLsn;
    return point;
  }
  bool ok = false;
  if (ParseNamed(text, &point, &ok)) {
    return ok ? Result<Point>(std::move(point)) : InvalidFormat(whole);
  }
  const Result<Timestamp> time = ParseRfc3339(text);
  if (!time.ok()) {
    return InvalidFormat(whole);
  }
  if (*time > now) {
    return Status(Code::kInvalidArgument, "Timestamp can not be in future - " + std::string(whole));
  }
  point.kind = Point::Kind::kTime;
  point.time = *time;
  return point;
}

}  // namespace

std::string Point::ToString() const {
  switch (kind) {
    case Kind::kHead:
      return "";
    case Kind::kTime:
      return FormatTime(time);
    case Kind::kLsn:
      return lsn.ToString();
    case Kind::kRestorePoint:
      return std::string(kName) + name;
    case Kind::kXid:
      return std::string(kXid) + std::to_string(xid);
    case Kind::kSnapshot:
      return std::string(kSnapshot) + name;
  }
  return "";
}

Result<SourcePoint> ParseSourcePoint(std::string_view text,
                                     const std::function<bool(std::string_view)>& is_branch,
                                     Timestamp now) {
  SourcePoint result;
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos || is_branch(text)) {
    if (text.empty()) {
      return InvalidFormat(text);
    }
    result.source = text;
    return result;
  }
  if (at == 0) {
    return InvalidFormat(text);
  }
  result.source = text.substr(0, at);
  PITR_ASSIGN_OR_RETURN(result.point, ParsePoint(text.substr(at + 1), text, now));
  return result;
}

Result<std::optional<Point>> ParseBareTarget(std::string_view text) {
  Point point;
  if (Lsn::LooksLikeLsn(text)) {
    PITR_ASSIGN_OR_RETURN(point.lsn, Lsn::Parse(text));
    point.kind = Point::Kind::kLsn;
    return std::optional<Point>(std::move(point));
  }
  bool ok = false;
  if (!ParseNamed(text, &point, &ok)) {
    return std::optional<Point>();
  }
  if (!ok) {
    return Status(Code::kInvalidText, "invalid point \"" + std::string(text) + "\"")
        .WithHint("A point is a time, an LSN, name:x, xid:750 or snapshot:x.");
  }
  return std::optional<Point>(std::move(point));
}

}  // namespace pitr
