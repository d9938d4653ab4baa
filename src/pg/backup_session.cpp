#include "pg/backup_session.h"

#include "pg/boundary.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xlog.h"
#if PITR_BACKUP_STATE
#include "access/xlogbackup.h"
#endif
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
}

namespace pitr::pg {

namespace {

// What both spellings of the server's functions share: texts that outlive the call.
StringInfo NewText() { return makeStringInfo(); }

}  // namespace

#if PITR_BACKUP_STATE

BackupStart BackupSession::Start(const std::string& label) {
  return Call([&] {
    MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
    List* tablespaces = NIL;
    auto* state = static_cast<BackupState*>(palloc0(sizeof(BackupState)));
    state_ = state;
    tablespace_map_ = NewText();
    register_persistent_abort_backup_handler();
    do_pg_backup_start(label.c_str(), true, &tablespaces, state,
                       static_cast<StringInfo>(tablespace_map_));
    MemoryContextSwitchTo(old);
    return BackupStart{{state->startpoint}, state->starttli};
  });
}

BackupStop BackupSession::Stop() {
  auto* state = static_cast<BackupState*>(state_);
  const char* label = Call([&] {
    MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
    do_pg_backup_stop(state, false);
    char* text = build_backup_content(state, false);
    MemoryContextSwitchTo(old);
    return text;
  });
  return {{state->stoppoint}, label, static_cast<StringInfo>(tablespace_map_)->data};
}

#else

BackupStart BackupSession::Start(const std::string& label) {
  return Call([&] {
    MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
    List* tablespaces = NIL;
    TimeLineID timeline = 0;
    state_ = NewText();
    tablespace_map_ = NewText();
    register_persistent_abort_backup_handler();
    const XLogRecPtr start =
        do_pg_backup_start(label.c_str(), true, &timeline, static_cast<StringInfo>(state_),
                           &tablespaces, static_cast<StringInfo>(tablespace_map_));
    MemoryContextSwitchTo(old);
    return BackupStart{{start}, timeline};
  });
}

BackupStop BackupSession::Stop() {
  auto* label = static_cast<StringInfo>(state_);
  const XLogRecPtr stop = Call([&] {
    TimeLineID timeline = 0;
    return do_pg_backup_stop(label->data, false, &timeline);
  });
  return {{stop}, label->data, static_cast<StringInfo>(tablespace_map_)->data};
}

#endif

}  // namespace pitr::pg
