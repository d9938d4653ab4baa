#include "pg/schedule_preset.h"

#include <array>

#include "core/repo/retention_rules.h"

namespace pitr::pg {

namespace {

constexpr std::int64_t kDay = 86400;

// Neon keeps history for so long and takes no snapshots by itself. Prisma takes one each day on which something was committed, and shows those of
// the last days: that many of them stay, also when they are older because nothing was committed for long.
constexpr std::array<Preset, 7> kPresets = {{
    {"neon-free", kDay, std::nullopt, R"({"items":[]})"},
    {"neon-launch", 7 * kDay, std::nullopt, R"({"items":[]})"},
    {"neon-scale", 14 * kDay, std::nullopt, R"({"items":[]})"},
    {"neon-business", 30 * kDay, std::nullopt, R"({"items":[]})"},
    {"prisma-pro", std::nullopt, 7,
     R"({"items":[{"frequency":"daily","hour":0,"retention_seconds":604800,"active_only":true}]})"},
    {"prisma-business", std::nullopt, 30,
     R"({"items":[{"frequency":"daily","hour":0,"retention_seconds":2592000,"active_only":true}]})"},
    {"none", std::nullopt, std::nullopt, R"({"items":[]})"},
}};

}  // namespace

Result<const Preset*> FindPreset(const std::string& name) {
  std::string names;
  for (const Preset& preset : kPresets) {
    if (name == preset.name) return &preset;
    names += (names.empty() ? "" : ", ") + std::string(preset.name);
  }
  return Status(Code::kInvalidArgument, "preset \"" + name + "\" is not known")
      .WithHint("Presets are " + names + ".");
}

Status SetPresetRules(Repository* repo, const BranchSet& branches, const BranchId& branch,
                      const Preset& preset) {
  return UpdateRetentionRules(repo, branches, branch, [&](RetentionRules* rules) {
    *rules = {};
    rules->window_seconds = preset.window_seconds;
    rules->keep_count = preset.keep_count;
    return Status::Ok();
  });
}

}  // namespace pitr::pg
