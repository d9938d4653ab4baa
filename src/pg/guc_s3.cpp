#include "pg/guc_s3.h"

#include <utility>
#include <vector>

#include "core/store/address_list.h"
#include "core/store/s3_address.h"
#include "pg/boundary.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "utils/guc.h"
}

namespace pitr::pg {

namespace {

constinit char* endpoint = nullptr;
constinit char* region = nullptr;
constinit char* ca_file = nullptr;
constinit char* proxy = nullptr;
constinit char* storage_class = nullptr;
constinit char* kms_key_id = nullptr;
constinit char* credentials_file = nullptr;
constinit char* customer_key_file = nullptr;
constinit int url_style = 0;
constinit int encryption = 0;
constinit int credentials = 0;
constinit int connect_timeout = 0;
constinit int idle_timeout = 0;
constinit int request_timeout = 0;
constinit int retry_time = 0;
constinit int connections = 0;
constinit int object_lock = 0;
constinit int object_lock_days = 0;

constexpr config_enum_entry kUrlStyles[] = {
    {"auto", 0, false}, {"path", 1, false}, {"virtual", 2, false}, {nullptr, 0, false}};
constexpr config_enum_entry kEncryptions[] = {{"none", 0, false},
                                              {"aes256", 1, false},
                                              {"kms", 2, false},
                                              {"customer", 3, false},
                                              {nullptr, 0, false}};
constexpr config_enum_entry kObjectLocks[] = {
    {"none", 0, false}, {"governance", 1, false}, {"compliance", 2, false}, {nullptr, 0, false}};
constexpr config_enum_entry kCredentials[] = {{"auto", 0, false},         {"file", 1, false},
                                              {"environment", 2, false},  {"instance", 3, false},
                                              {"web_identity", 4, false}, {nullptr, 0, false}};

constexpr int kSecond = 1000;

void DefineText(const char* name, const char* description, char** variable, int flags = 0) {
  DefineCustomStringVariable(name, description, nullptr, variable, "", PGC_SIGHUP, flags, nullptr,
                             nullptr, nullptr);
}

void DefineChoice(const char* name, const char* description, int* variable,
                  const config_enum_entry* names) {
  DefineCustomEnumVariable(name, description, nullptr, variable, 0, names, PGC_SIGHUP, 0, nullptr,
                           nullptr, nullptr);
}

void DefineTime(const char* name, const char* description, int* variable, int boot) {
  DefineCustomIntVariable(name, description, nullptr, variable, boot, kSecond / 10, 86400 * kSecond,
                          PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
}

}  // namespace

void DefineS3Settings() {
  DefineText("pitr.s3_ca_file", "Certificates (PEM) that the S3 server's is checked against.",
             &ca_file);
  DefineTime("pitr.s3_connect_timeout", "How long connecting to S3 may take.", &connect_timeout,
             10 * kSecond);
  DefineCustomIntVariable("pitr.s3_connections", "Connections to S3 of one process.", nullptr,
                          &connections, 8, 1, 64, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineChoice("pitr.s3_credentials", "Where the keys for S3 come from.", &credentials,
               kCredentials);
  DefineText("pitr.s3_credentials_file",
             "File with the keys for S3; only the server's user may read it.", &credentials_file,
             GUC_SUPERUSER_ONLY);
  DefineText(
      "pitr.s3_customer_key_file",
      "File with the key that the S3 server encrypts with; only the server's user may read it.",
      &customer_key_file, GUC_SUPERUSER_ONLY);
  DefineText("pitr.s3_endpoint", "URL of the S3 server; empty: that of the region at AWS.",
             &endpoint);
  DefineTime("pitr.s3_idle_timeout", "How long an S3 request may stand still.", &idle_timeout,
             30 * kSecond);
  DefineText("pitr.s3_kms_key_id", "Key of the S3 server's key management for objects.",
             &kms_key_id);
  DefineChoice("pitr.s3_object_lock", "Lock that new S3 objects are put under.", &object_lock,
               kObjectLocks);
  DefineCustomIntVariable("pitr.s3_object_lock_days", "How many days new S3 objects are locked.",
                          nullptr, &object_lock_days, 0, 0, 36500, PGC_SIGHUP, 0, nullptr, nullptr,
                          nullptr);
  DefineText("pitr.s3_proxy", "Proxy for S3; empty: none.", &proxy);
  DefineText("pitr.s3_region", "Region that S3 requests are signed for; empty: us-east-1.",
             &region);
  DefineTime("pitr.s3_request_timeout", "How long one S3 request may take.", &request_timeout,
             600 * kSecond);
  DefineTime("pitr.s3_retry_time", "How long a failing S3 request is tried again.", &retry_time,
             600 * kSecond);
  DefineChoice("pitr.s3_server_side_encryption", "Encryption that the S3 server is asked for.",
               &encryption, kEncryptions);
  DefineText("pitr.s3_storage_class", "Storage class of new objects; empty: the server's default.",
             &storage_class);
  DefineChoice("pitr.s3_url_style", "Whether the bucket stands in the path or in the host name.",
               &url_style, kUrlStyles);
}

std::string WithS3Settings(const std::string& address) {
  if (address.find("s3://") == std::string::npos) return address;
  std::vector<std::pair<std::string, std::string>> defaults;
  const std::pair<const char*, const char*> texts[] = {{"endpoint", endpoint},
                                                       {"region", region},
                                                       {"ca_file", ca_file},
                                                       {"proxy", proxy},
                                                       {"storage_class", storage_class},
                                                       {"kms_key_id", kms_key_id},
                                                       {"credentials_file", credentials_file},
                                                       {"customer_key_file", customer_key_file}};
  for (const auto& [name, value] : texts) {
    if (value != nullptr && value[0] != '\0') defaults.emplace_back(name, value);
  }
  defaults.emplace_back("url_style", kUrlStyles[url_style].name);
  defaults.emplace_back("server_side_encryption", kEncryptions[encryption].name);
  defaults.emplace_back("credentials", kCredentials[credentials].name);
  defaults.emplace_back("object_lock", kObjectLocks[object_lock].name);
  const std::pair<const char*, int> numbers[] = {
      {"connect_timeout", connect_timeout}, {"idle_timeout", idle_timeout},
      {"request_timeout", request_timeout}, {"retry_time", retry_time},
      {"connections", connections},         {"object_lock_days", object_lock_days}};
  for (const auto& [name, value] : numbers) {
    defaults.emplace_back(name, std::to_string(value));
  }
  std::vector<std::string> pieces = SplitStoreAddresses(address);
  for (std::string& piece : pieces)
    piece = AddS3Defaults(piece, defaults);
  return JoinStoreAddresses(pieces);
}

}  // namespace pitr::pg
