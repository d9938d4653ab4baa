#include "tool/branch_settings.h"
#include "core/base/json.h"

namespace pitr::tool {

namespace {

Status AppendPairs(const Json& object, std::string_view member, std::vector<Setting>* settings) {
  const Json* list = JsonArray(object, member);
  for (const Json& each : list != nullptr ? *list : Json::array()) {
    if (!each.is_array() || each.size() != 2 || !each[0].is_string() || !each[1].is_string()) {
      return Status(Code::kCorrupt,
                    "member \"" + std::string(member) + "\" holds more than pairs of texts");
    }
    settings->emplace_back(each[0].get<std::string>(), each[1].get<std::string>());
  }
  return Status::Ok();
}

}  // namespace

Result<std::optional<std::vector<Setting>>> ParseBranchSettings(const Json& job) {
  const Json* json = JsonObject(job, "branch_settings");
  if (json == nullptr) {
    return std::optional<std::vector<Setting>>();
  }
  std::vector<Setting> settings;
  PITR_RETURN_IF_ERROR(AppendPairs(*json, "base", &settings));
  PITR_ASSIGN_OR_RETURN(const auto text, JsonOptionalText(*json, "text"));
  PITR_ASSIGN_OR_RETURN(const std::vector<Setting> common, ParseSettings(text.value_or("")));
  settings.insert(settings.end(), common.begin(), common.end());
  PITR_RETURN_IF_ERROR(AppendPairs(*json, "own", &settings));
  return std::optional(std::move(settings));
}

}  // namespace pitr::tool
