// The names of all fault points, sorted, one per line. A name that PITR_FAULT or PITR_FAULT_PLAIN uses
// in src/ must be here and the reverse: test/lint/check_fault_points.sh compares them, and HitFault
// aborts at a name it does not find.
#pragma once

#include <string_view>

namespace pitr {

// clang-format off: one per line, or two people adding names meet in one line
inline constexpr std::string_view kFaultPoints[] = {
    "archive.segment.after_publish",
    "archive.segment.before_publish",
    "archive.segment.before_read",
    "archive.tail.after_publish",
    "archive.tail.before_publish",
    "archive.tail.before_read",
    "archive.tail.before_remove",
    "archive_worker.claimed",
    "archive_worker.shipped",
    "archiver.after_ship",
    "archiver.before_confirm",
    "build.at_target",
    "build.before_line",
    "build.before_second_start",
    "build.before_sync",
    "build.done",
    "build.lay_out.done",
    "build.lay_out.frame",
    "build.promoted",
    "build.roles",
    "build.start_staging",
    "catalogue.after_put",
    "catalogue.before_put",
    "exchange.after_cut",
    "exchange.after_intent",
    "exchange.after_rename",
    "exchange.after_sync",
    "exchange.armed",
    "exchange.before_confirm",
    "exchange.before_cut",
    "exchange.before_intent",
    "exchange.before_rename",
    "exchange.confirmed",
    "finish.after_names",
    "finish.after_rename",
    "finish.after_rest",
    "finish.before_close",
    "finish.before_names",
    "identity.after_catalogue",
    "identity.before_write",
    "lease.after_intend",
    "lease.after_put",
    "lease.before_intend",
    "mirror.put.after_judge",
    "replicate.after_publish",
    "replicate.before_copy",
    "replicate.before_mark",
    "replicate.before_publish",
    "replicate.before_remove",
    "rewrap.after_write",
    "rewrap.before_remove",
    "rewrap.before_write",
    "snapshot.copy.after_pack",
    "snapshot.copy.before_pack",
    "snapshot.manifest.after_write",
    "snapshot.manifest.before_write",
    "store.put.after_link",
    "store.put.after_sync",
    "store.put.before_sync",
};
// clang-format on

}  // namespace pitr
