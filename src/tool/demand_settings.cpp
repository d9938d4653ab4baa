#include "tool/demand_settings.h"

#include <cstdint>
#include <cstdio>
#include <optional>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "tool/auto_conf.h"
#include "tool/programs.h"
#include "tool/restored_server.h"
#include "tool/staging_config.h"

namespace pitr::tool {

namespace {

// What the server would run with. Where its files cannot be read yet (of another machine, say), what it needs is written all the same.
class Configuration {
 public:
  Configuration(const std::string& bin_directory, const std::string& directory)
      : bin_directory_(bin_directory), directory_(directory) {}

  std::string Value(const std::string& name) {
    const Result<std::string> value = SettingOf(bin_directory_, directory_, name);
    if (value.ok()) return *value;
    if (!has_warned_) {
      (void)std::fprintf(stderr, "pitr restore: its configuration cannot be read yet: %s\n",
                         value.status().ToString().c_str());
    }
    has_warned_ = true;
    return std::string();
  }

 private:
  const std::string& bin_directory_;
  const std::string& directory_;
  bool has_warned_ = false;
};

}  // namespace

Status CheckCanLoadLater(const std::string& bin_directory) {
  if (IsLibraryInstalled(bin_directory)) return Status::Ok();
  return Status(Code::kNotReady,
                "--demand-load needs the extension pitr_ext, which is not "
                "installed for the PostgreSQL in \"" +
                    bin_directory + "\"")
      .WithHint("Install it, or restore without --demand-load.");
}

Status WriteDemandSettings(const std::string& bin_directory, const std::string& directory,
                           const RepositoryAccess& access, std::uint32_t server_major) {
  PITR_FAULT("restore.before_settings");
  Configuration past(bin_directory, directory);
  std::vector<Setting> settings;
  const auto want = [&](const std::string& name, const std::string& value) {
    if (past.Value(name) != value) settings.emplace_back(name, value);
  };
  const std::string libraries = past.Value("shared_preload_libraries");
  if (!WithoutOurLibrary(libraries)) {
    settings.emplace_back("shared_preload_libraries",
                          kLibraryName + (libraries.empty() ? "" : ", " + libraries));
  }
  // What is missing is read from where the restore was told, and from there it is completed.
  want("pitr.repository", access.address);
  want("pitr.encryption_key_file", access.keys.file);
  want("pitr.encryption_key_command", access.keys.command);
  want("fsync", "on");
  if (server_major >= 18 && past.Value("io_method") == "io_uring") {
    settings.emplace_back("io_method", "worker");
  }
  return AppendToAutoConf(directory, settings);
}

}  // namespace pitr::tool
