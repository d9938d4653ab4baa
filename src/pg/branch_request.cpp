#include "pg/branch_request.h"
#include "core/base/json.h"

namespace pitr::pg {

Json BranchRequestToJson(const BranchRequest& request) {
  Json json = RequestToJson(request.restore);
  json["branch_name"] = request.name;
  json["start"] = request.start;
  json["protected"] = request.is_protected;
  if (request.expires_at) json["expires_at"] = request.expires_at->micros;
  json["settings"] = Json::array();
  for (const auto& [name, value] : request.settings)
    json["settings"].push_back(Json::array({name, value}));
  json["schema_only"] = request.schema_only;
  json["masking_file"] = request.masking_file;
  json["masking_database"] = request.masking_database;
  return json;
}

Result<BranchRequest> BranchRequestFromJson(const Json& json) {
  BranchRequest request;
  PITR_ASSIGN_OR_RETURN(request.restore, RequestFromJson(json));
  PITR_ASSIGN_OR_RETURN(request.name, JsonText(json, "branch_name"));
  PITR_ASSIGN_OR_RETURN(request.start, JsonBool(json, "start"));
  PITR_ASSIGN_OR_RETURN(request.is_protected, JsonBool(json, "protected"));
  PITR_ASSIGN_OR_RETURN(const auto expires, JsonOptionalInt(json, "expires_at"));
  if (expires) request.expires_at = Timestamp{*expires};
  const Json* settings = JsonArray(json, "settings");
  if (settings == nullptr) return Status(Code::kCorrupt, "member \"settings\" is missing");
  for (const Json& each : *settings)
    request.settings.emplace_back(each.at(0).get<std::string>(), each.at(1).get<std::string>());
  PITR_ASSIGN_OR_RETURN(request.schema_only, JsonBool(json, "schema_only"));
  PITR_ASSIGN_OR_RETURN(request.masking_file, JsonText(json, "masking_file"));
  PITR_ASSIGN_OR_RETURN(request.masking_database, JsonText(json, "masking_database"));
  return request;
}

}  // namespace pitr::pg
