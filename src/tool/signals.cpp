// The flag behind the handlers. A worker of the server starts us with signals blocked and some ignored, so both are set anew.
#include "tool/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <initializer_list>

namespace pitr::tool {

namespace {

constinit std::atomic<bool> is_cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void OnCancelSignal(int) { is_cancelled.store(true, std::memory_order_relaxed); }

void UnblockAll() noexcept {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

bool ProcessCancel::IsCancelled() const noexcept {
  return is_cancelled.load(std::memory_order_relaxed);
}

void RequestCancel() noexcept { is_cancelled.store(true, std::memory_order_relaxed); }

const CancelToken& CancelOfProcess() {
  static const ProcessCancel token;
  return token;
}

void CatchCancelSignals() {
  struct sigaction action {};
  action.sa_handler = OnCancelSignal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    sigaction(signal, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // ignored, it would hide the exit status of our children
  UnblockAll();
}

pid_t ForkWithSignalsBlocked() noexcept {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = fork();
  if (child != 0) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  return child;
}

void ResetSignalsInChild() noexcept {
  for (int signal = 1; signal < NSIG; signal++) {
    std::signal(signal, SIG_DFL);  // fails for SIGKILL and SIGSTOP, which does no harm
  }
  UnblockAll();
}

}  // namespace pitr::tool
