#include "pg/view_cache.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/cancel.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "pg/guc.h"
#include "pg/log.h"
#include "pg/server_facts.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kVersion = 2;
constexpr std::int64_t kShortMs = 900, kLongMs = 5000;
constexpr std::int64_t kMinute = 60 * 1000000LL;
constexpr std::size_t kMaxSize = 16U << 20;

std::string PathOf(const char* view) {
  return JoinPath(CacheDirectory(), std::string(view) + ".view.json");
}

// What is wrong with the place, not with the question.
bool IsAway(Code code) {
  return code == Code::kUnavailable || code == Code::kIo || code == Code::kNotFound ||
         code == Code::kNotReady || code == Code::kPermission;
}

}  // namespace

std::optional<KeptView> LoadView(const char* view) {
  const Result<std::string> text = ReadTextFile(PathOf(view), kMaxSize);
  if (!text.ok()) {
    return std::nullopt;
  }
  const Result<Json> json = ParseJson(*text, "kept view", kMaxSize);
  if (!json.ok()) {
    return std::nullopt;
  }
  const Result<std::int64_t> version = JsonInt(*json, "version");
  const Result<std::int64_t> as_of = JsonInt(*json, "as_of");
  const Result<std::int64_t> tried_at = JsonInt(*json, "tried_at");
  const Result<std::string> repository = JsonText(*json, "repository");
  const Json* rows = JsonArray(*json, "rows");
  if (!version.ok() || *version != kVersion || !as_of.ok() || !tried_at.ok() || rows == nullptr ||
      !repository.ok() || *repository != CurrentSettings().repository.address) {
    return std::nullopt;
  }
  return KeptView{{*as_of}, {*tried_at}, *rows};
}

void KeepView(const char* view, const KeptView& kept) {
  Json json;
  json["version"] = kVersion;
  json["as_of"] = kept.as_of.micros;
  json["tried_at"] = kept.tried_at.micros;
  json["repository"] = CurrentSettings().repository.address;
  json["rows"] = kept.rows;
  (void)::mkdir(CacheDirectory().c_str(), 0700);
  (void)WriteFileLoosely(PathOf(view), AsBytes(DumpJson(json)));
}

std::int64_t ViewTimeMs(const char* view) {
  const Timestamp now = SystemClock().Now();
  KeptView kept = LoadView(view).value_or(KeptView{{}, {}, Json::array()});
  if (now.micros - std::max(kept.as_of.micros, kept.tried_at.micros) < kMinute) {
    return kShortMs;
  }
  kept.tried_at = now;
  KeepView(view, kept);
  return kLongMs;
}

Result<Datum> RowsOrKept(FunctionCallInfo fcinfo, const char* view,
                         const std::function<Status(RowBuilder*)>& body) {
  RowBuilder rows(fcinfo);
  rows.KeepRows();
  Status status;
  {
    const WaitLimit limit(ViewTimeMs(view));
    status = body(&rows);
  }
  if (status.ok()) {
    const Timestamp now = SystemClock().Now();
    KeepView(view, {now, now, rows.kept()});
    return rows.Finish();
  }
  const std::optional<KeptView> kept =
      IsAway(status.code()) ? LoadView(view) : std::optional<KeptView>();
  if (!kept || kept->as_of == Timestamp()) {
    return status;
  }
  rows.Clear();
  for (const Json& row : kept->rows) {
    (void)rows.AddKept(row);
  }
  LogQuietly(WARNING, "the repository cannot be used: rows as of " + FormatTime(kept->as_of, 0),
             status.message(), status.hint());
  return rows.Finish();
}

}  // namespace pitr::pg
