// All signals blocked for a scope in which libcurl works, for the unit of http_connection.h.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <time.h>

namespace pitr {

// Threads started in its scope inherit the mask. CURLOPT_NOSIGNAL leaves SIGPIPE to us: one that a closed connection
// caused meanwhile is taken away, so that it does not arrive when the mask is lifted.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    was_pending_ = IsPipePending();
  }
  ~SignalsBlocked() {
    if (!was_pending_ && IsPipePending()) {
      sigset_t pipe;
      ::sigemptyset(&pipe);
      ::sigaddset(&pipe, SIGPIPE);
      const timespec at_once = {};
      ::sigtimedwait(&pipe, nullptr, &at_once);
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  static bool IsPipePending() {
    sigset_t pending;
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1;
  }

  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace pitr
