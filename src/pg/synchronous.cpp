#include "pg/synchronous.h"

#include <pwd.h>
#include <signal.h>
#include <strings.h>
#include <unistd.h>

#include <vector>

#include "core/base/file.h"
#include "pg/boundary.h"
#include "pg/error_map.h"
#include "pg/guc.h"
#include "pg/operation_state.h"
#include "pg/server_facts.h"
#include "pg/shmem.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "postmaster/postmaster.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
}

namespace pitr::pg {

namespace {

bool IsAlive(std::int32_t pid) { return pid != 0 && ::kill(pid, 0) == 0; }

SynchronousShared CopyShared() {
  const LockHolder lock(ArchiveLock(), false);
  return GetShared()->synchronous;
}

// First item of a list in a setting.
std::string FirstItem(const std::string& list) {
  std::string item = list.substr(0, list.find(','));
  while (!item.empty() && item.front() == ' ') {
    item.erase(0, 1);
  }
  while (!item.empty() && item.back() == ' ') {
    item.pop_back();
  }
  return item.size() > 1 && item.front() == '"' && item.back() == '"'
             ? item.substr(1, item.size() - 2)
             : item;
}

std::string OwnAddress() {
  std::string directory = FirstItem(SettingValue("unix_socket_directories"));
  if (!directory.empty()) {
    return directory.front() == '/' || directory.front() == '@'
               ? directory
               : JoinPath(DataDirectory(), directory);
  }
  const std::string address = FirstItem(SettingValue("listen_addresses"));
  if (address == "*" || address == "0.0.0.0") {
    return "127.0.0.1";
  }
  return address == "::" ? "::1" : address;
}

// As a word of pg_hba.conf or pg_ident.conf.
std::string HbaWord(const std::string& name) {
  const bool is_plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  return is_plain ? name : "\"" + name + "\"";
}

std::string SystemUser() {
  const struct passwd* user = ::getpwuid(::geteuid());
  return user == nullptr ? std::string() : std::string(user->pw_name);
}

// What lets the confirmer in: without a password over a socket, else with one.
std::string HbaRemedy(const ReplicationTarget& target) {
  const std::string role = HbaWord(target.user);
  if (target.host.starts_with('/') || target.host.starts_with('@')) {
    const std::string system_user = SystemUser();
    const std::string line = "pg_hba.conf needs the line \"local replication " + role + " peer";
    // Peer authentication compares the two names.
    return system_user == target.user || system_user.empty()
               ? line + "\""
               : line + " map=pitr\" and pg_ident.conf the line \"pitr " + HbaWord(system_user) +
                     " " + role + "\"";
  }
  std::string address = target.host == "localhost" ? "127.0.0.1" : target.host;
  if (address.find(':') != std::string::npos) {
    address += "/128";
  } else if (address.find_first_not_of("0123456789.") == std::string::npos) {
    address += "/32";
  }
  return "pg_hba.conf needs the line \"host replication " + role + " " + address +
         " scram-sha-256\", and the password file (.pgpass) of the server's user the password";
}

// Of synchronous_standby_names, as the server reads it.
std::vector<std::string> ListedStandbys() {
  std::vector<std::string> names;
  const SyncRepConfigData* config = SyncRepConfig;
  const char* name = config == nullptr ? nullptr : config->member_names;
  for (int i = 0; config != nullptr && i < config->nmembers; i++) {
    names.emplace_back(name);
    name += names.back().size() + 1;
  }
  return names;
}

bool IsOurs(const std::string& name) { return ::strcasecmp(name.c_str(), kStandbyName) == 0; }

// synchronous_standby_names lists us, by name or, when we are there, by "*".
bool IsListedAsStandby() {
  for (const std::string& name : ListedStandbys()) {
    if (IsOurs(name) || (name == "*" && SynchronousSetting())) {
      return true;
    }
  }
  return false;
}

// Calls `visit(pid)` for each standby that the server waits for, as far as it is connected. Their number.
template <typename Visit>
int VisitAwaited(Visit visit) {
  return Call([visit] {
    SyncRepStandbyData* standbys = nullptr;
    const int count = SyncRepGetCandidateStandbys(&standbys);
    for (int i = 0; i < count; i++) {
      visit(standbys[i].pid);
    }
    if (standbys != nullptr) {
      pfree(standbys);
    }
    return count;
  });
}

class Missing {
 public:
  void Add(const std::string& what, const std::string& remedy) {
    what_ += (what_.empty() ? "" : "; ") + what;
    remedy_ += (remedy_.empty() ? "" : " ") + remedy;
  }
  bool empty() const { return what_.empty(); }
  Status Take() const {
    return empty() ? Status::Ok() : Status(Code::kNotReady, what_).WithHint(remedy_);
  }

 private:
  std::string what_, remedy_;
};

void CheckConnection(Missing* missing) {
  const SynchronousShared shared = CopyShared();
  if (!IsAlive(shared.pid)) {
    missing->Add("the confirmer does not run", "Raise max_worker_processes and restart.");
    return;
  }
  if (shared.sender_pid != 0) {
    return;
  }
  const std::string error = shared.error;
  missing->Add("the confirmer has no replication connection" +
                   (error.empty() ? std::string() : " (" + error + ")"),
               HbaRemedy(OwnReplicationTarget()) + "; then SELECT pg_reload_conf().");
}

}  // namespace

bool BecomeConfirmer() {
  const std::int32_t other = CopyShared().pid;
  if (other != MyProcPid && IsAlive(other)) {
    return false;
  }
  const LockHolder lock(ArchiveLock());
  SynchronousShared& shared = GetShared()->synchronous;
  shared.pid = MyProcPid;
  shared.latch = reinterpret_cast<std::uint64_t>(MyLatch);
  shared.sender_pid = 0;
  return true;
}

bool HasConfirmer() { return IsAlive(CopyShared().pid); }

void AnnounceSender(int sender_pid, const std::string& error) {
  const LockHolder lock(ArchiveLock());
  SynchronousShared& shared = GetShared()->synchronous;
  shared.sender_pid = sender_pid;
  CopyText(error, shared.error, sizeof shared.error);
}

bool IsOwnSender(int pid) {
  if (pid == 0) {
    return false;
  }
  // Whole words, so no lock is needed to look at one.
  for (int i = 0; i < max_wal_senders; i++) {
    const volatile pid_t* sender = &WalSndCtl->walsnds[i].pid;
    if (*sender == pid) {
      return true;
    }
  }
  return false;
}

ReplicationTarget OwnReplicationTarget() {
  return {OwnAddress(), PostPortNumber, BootstrapSuperuser()};
}

void WakeConfirmer() {
  const SynchronousShared shared = CopyShared();
  if (shared.latch != 0 && shared.sender_pid != 0 && IsAlive(shared.pid)) {
    SetLatch(reinterpret_cast<Latch*>(shared.latch));
  }
}

int ConfirmersSender() {
  const SynchronousShared shared = CopyShared();
  return IsAlive(shared.pid) ? shared.sender_pid : 0;
}

bool AreCommitsSynchronous() {
  const int sender = ConfirmersSender();
  if (sender == 0) {
    return false;
  }
  bool found = false;
  (void)VisitAwaited([sender, &found](int pid) { found = found || pid == sender; });
  return found;
}

bool DoCommitsWait() { return SynchronousSetting() && IsListedAsStandby() && !InRecovery(); }

std::string OwnStandbyNames() {
  return SynchronousSetting() && IsListedAsStandby() ? kStandbyName : "";
}

Status CheckCommitsGoOn() {
  // Others of the list may be enough.
  if (!IsListedAsStandby() || ConfirmersSender() != 0 || InRecovery() ||
      VisitAwaited([](int) {}) >= SyncRepConfig->num_sync) {
    return Status::Ok();
  }
  if (!SynchronousSetting()) {
    return Status(Code::kNotReady,
                  "commits wait for \"pitr\" in synchronous_standby_names, but pitr.synchronous is "
                  "off")
        .WithHint("Set pitr.synchronous = on, or take \"pitr\" out of synchronous_standby_names.");
  }
  return Status(Code::kNotReady,
                "commits wait for the repository, but the confirmer has no replication connection")
      .WithHint("SELECT * FROM pitr_check() shows what is missing.");
}

Status CheckSynchronous(std::string* detail) {
  if (!SynchronousSetting()) {
    *detail =
        "off: what was committed less than pitr.tail_interval ago can be lost with the machine";
    return CheckCommitsGoOn();
  }
  if (InRecovery()) {
    *detail = "begins when this standby is promoted";
    return Status::Ok();
  }
  Missing missing;
  if (max_wal_senders == 0) {
    missing.Add("max_wal_senders is 0", "Set max_wal_senders = 10 and restart.");
  }
  if (!IsListedAsStandby()) {
    missing.Add(
        "synchronous_standby_names is \"" + SettingValue("synchronous_standby_names") + "\"",
        "Set synchronous_standby_names = 'pitr' and reload.");
  }
  if (synchronous_commit <= SYNCHRONOUS_COMMIT_LOCAL_FLUSH) {
    missing.Add("synchronous_commit is " + SettingValue("synchronous_commit"),
                "Set synchronous_commit = on, for roles and databases as well.");
  }
  CheckConnection(&missing);
  if (missing.empty() && !AreCommitsSynchronous()) {
    missing.Add("other standbys of synchronous_standby_names come first",
                "FIRST 2 (pitr, other) waits for both.");
  }
  *detail = "commits wait until the repository has them";
  return missing.Take();
}

}  // namespace pitr::pg
