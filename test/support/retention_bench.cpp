// What retention costs: a plan over a history that is only a listing, and passes over a real folder.
//
//   retention_bench plan SNAPSHOTS SEGMENTS      milliseconds of a plan, and the memory that it took
//   retention_bench pass DIRECTORY OBJECTS       a repository of that many objects in an empty directory, nine tenths of which nobody needs: milliseconds of
//                                                a look at it, of the pass that marks, and of the one that removes
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/repo/layout.h"
#include "core/repo/manifest.h"
#include "core/work/retention_pass.h"

namespace {

using namespace pitr;  // NOLINT: a program of its own

constexpr std::uint64_t kSize = 16ULL << 20;
constexpr std::int64_t kMinute = 60'000'000;
const RootIdentity kRoot = {7123456789012345678ULL, 15, static_cast<std::uint32_t>(kSize)};
const BranchId kBranch = "br-quiet-river-0a1b2c3d";

std::int64_t Millis() { return SystemClock().MonotonicMillis(); }

long PeakMiB() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

void Check(const Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "retention_bench: %s\n", status.ToString().c_str());
    std::exit(1);
  }
}

Manifest MakeSnapshot(std::uint64_t number, std::uint64_t segment, Timestamp finished) {
  Manifest manifest;
  char id[64];
  std::snprintf(id, sizeof id, "sn-20260101T000000-%08llx",
                static_cast<unsigned long long>(number));
  manifest.id = id;
  manifest.branch = kBranch;
  manifest.root = kRoot;
  manifest.origin = "replay";
  manifest.timeline = 1;
  manifest.start_lsn = SegmentStart(segment, kSize) + 40;
  manifest.stop_lsn = manifest.start_lsn + 400;
  manifest.started_at = manifest.finished_at = finished;
  return manifest;
}

int Plan(std::uint64_t snapshots, std::uint64_t segments) {
  RetentionInput input;
  input.now = SystemClock().Now();
  input.root = kRoot;
  input.known.insert(kBranch);
  Branch branch;
  branch.id = branch.name = kBranch;
  branch.root = kRoot;
  RetainedLine line;
  line.lines.push_back({branch, Lsn(), Lsn()});
  line.path.push_back({1, Lsn(), Lsn()});
  line.window_start =
      Timestamp{input.now.micros - static_cast<std::int64_t>(snapshots / 2) * kMinute};
  line.rules.daily = 30;
  input.lines.push_back(std::move(line));
  SegmentList& list = input.segments[{kBranch, 1}];
  for (std::uint64_t number = 1; number <= segments; number++) {
    list.numbers.push_back(number);
    list.bytes.push_back(1U << 20);
  }
  std::vector<Manifest> manifests;
  for (std::uint64_t i = 0; i < snapshots; i++) {
    const Timestamp finished = {input.now.micros -
                                static_cast<std::int64_t>(snapshots - i) * kMinute};
    manifests.push_back(MakeSnapshot(i, 1 + i * (segments - 1) / snapshots, finished));
  }
  for (const Manifest& manifest : manifests) {
    input.snapshots.push_back({&manifest, false, false, false});
  }
  const long before = PeakMiB();
  const std::int64_t began = Millis();
  const RetentionPlan plan = PlanRetention(input);
  const std::int64_t took = Millis() - began;
  std::size_t stay = 0;
  for (const SnapshotVerdict& verdict : plan.snapshots) {
    stay += verdict.stays ? 1 : 0;
  }
  std::printf("plan: %lld ms, %zu of %zu snapshots stay; %ld MiB for the input, %ld MiB more\n",
              static_cast<long long>(took), stay, plan.snapshots.size(), before,
              PeakMiB() - before);
  return 0;
}

int Pass(const std::string& directory, std::uint64_t objects) {
  auto opened = Repository::OpenAddress({directory, {}}, true);
  Check(opened.status());
  const std::unique_ptr<Repository> repo = std::move(*opened);
  const Timestamp now = SystemClock().Now();
  Check(UpdateBranches(repo.get(), [&](BranchSet* set) {
    Branch branch;
    branch.id = kBranch;
    branch.name = "main";
    branch.root = kRoot;
    branch.created_at = branch.updated_at = now;
    set->Add(branch);
    return Status::Ok();
  }));
  // One of a hundred is a snapshot.
  const std::uint64_t snapshots = objects / 100;
  for (std::uint64_t i = 0; i < snapshots; i++) {
    const Timestamp finished = {now.micros - static_cast<std::int64_t>(snapshots - i) * kMinute};
    Check(WriteManifest(repo.get(), MakeSnapshot(i, 1 + i * 99, finished)));
  }
  for (std::uint64_t number = 1; number + snapshots <= objects; number++) {
    const std::string name = SegmentName({1, number}, kSize);
    // What is in it nobody reads here.
    Check(repo->store()->Put(
        layout::WalObject(kBranch, {WalFileKind::kSegment, 1, number, 0}, name), AsBytes("x")));
  }
  RetentionPassOptions options;
  options.question.self = kBranch;
  options.question.minded.insert(kBranch);
  options.question.server = {static_cast<std::int64_t>(snapshots) * 60 / 10, 1};
  options.question.now = now;
  options.budget_ms = 1'000'000'000;
  const std::int64_t began = Millis();
  Check(ReadRetentionView(repo.get(), options.question).status());
  const std::int64_t looked = Millis();
  Check(RunRetentionPass(repo.get(), options).status());
  const std::int64_t marked = Millis();
  options.question.now.micros += 3601LL * 1'000'000;
  options.question.server.window_seconds += 3601;
  const auto removed = RunRetentionPass(repo.get(), options);
  Check(removed.status());
  std::printf(
      "pass over %llu objects: %lld ms to look, %lld ms to mark, %lld ms to remove %zu "
      "snapshots and %llu objects with WAL; %ld MiB\n",
      static_cast<unsigned long long>(objects), static_cast<long long>(looked - began),
      static_cast<long long>(marked - looked), static_cast<long long>(Millis() - marked),
      removed->removed.size(), static_cast<unsigned long long>(removed->removed_objects),
      PeakMiB());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 4 ? argv[1] : "";
  if (what == "plan") {
    return Plan(std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10));
  }
  if (what == "pass") {
    return Pass(argv[2], std::strtoull(argv[3], nullptr, 10));
  }
  std::fprintf(stderr, "usage: retention_bench plan SNAPSHOTS SEGMENTS | pass DIRECTORY OBJECTS\n");
  return 2;
}
