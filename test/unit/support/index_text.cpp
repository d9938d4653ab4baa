#include "unit/support/index_text.h"

#include "core/base/hash.h"

namespace pitr::wal {

namespace {

std::string Text(const RelFork& r) {
  return std::to_string(r.tablespace) + "/" + std::to_string(r.database) + "/" +
         std::to_string(r.relation) + "." + std::to_string(r.fork);
}

std::string Text(const char* name, const Fragment& fragment) {
  if (!fragment.present) {
    return std::string(name) + ": none\n";
  }
  return std::string(name) + ": start " + fragment.start.ToString() + " total " +
         std::to_string(fragment.total) + " bytes " + ToHex(fragment.bytes) + "\n";
}

std::string Text(const Event& e) {
  static const char* const kKinds[] = {
      "", "commit", "abort", "prepare", "commit prepared", "abort prepared", "restore point"};
  return e.start.ToString() + " .. " + e.end.ToString() + " " +
         kKinds[static_cast<std::size_t>(e.kind)] + " " + std::to_string(e.xid) + " at " +
         FormatTime(e.time) + " \"" + e.name + "\"\n";
}

std::string Text(const ParameterChange& c) {
  std::string text = c.start.ToString() + " parameters";
  for (const std::int32_t value :
       {c.max_connections, c.max_worker_processes, c.max_wal_senders, c.max_prepared_transactions,
        c.max_locks_per_transaction, c.wal_level}) {
    text += " " + std::to_string(value);
  }
  text += c.wal_log_hints ? " hints" : "";
  text += c.track_commit_timestamp ? " commit timestamps" : "";
  return text + "\n";
}

std::string Text(const CheckpointRecord& c) {
  return c.start.ToString() + (c.end_of_recovery ? " end of recovery" : " checkpoint") +
         (c.shutdown ? " shutdown" : "") + " redo " + c.redo.ToString() + " timeline " +
         std::to_string(c.timeline) + " after " + std::to_string(c.previous_timeline) + "\n";
}

}  // namespace

std::string IndexText(const SegmentIndex& index) {
  std::string text = "system " + std::to_string(index.root.system_identifier) + " major " +
                     std::to_string(index.root.server_major) + " magic " +
                     std::to_string(index.page_magic) + " segment " +
                     SegmentName(index.segment, index.root.segment_size) + " of " +
                     std::to_string(index.root.segment_size) + "\n";
  text += "first " + index.first_start.ToString() + " last " + index.last_start.ToString() +
          " .. " + index.last_end.ToString() + " records " + std::to_string(index.records) +
          (index.partial ? " partial" : "") + (index.lists_cut ? " lists cut" : "") +
          (index.unexplained_changes ? " unexplained changes" : "") + "\n";
  text += "times " + FormatTime(index.min_time) + " .. " + FormatTime(index.max_time) + "\n";
  text += Text("head", index.head) + "head ends at " + index.head_end.ToString() + "\n";
  text += Text("tail", index.tail);
  for (const Event& e : index.events) {
    text += Text(e);
  }
  for (const auto& [relation, blocks] : index.blocks) {
    text += "blocks of " + Text(relation) + ":";
    for (const std::uint32_t block : blocks) {
      text += " " + std::to_string(block);
    }
    text += "\n";
  }
  for (const Truncation& t : index.truncations) {
    text += t.start.ToString() + " truncate " + Text(t.relation) + " to " +
            std::to_string(t.blocks) + " flags " + std::to_string(t.flags) + "\n";
  }
  for (const RelationDrop& d : index.relation_drops) {
    text += d.start.ToString() + " drop " + Text(d.relation) + "\n";
  }
  for (const RelationCreate& c : index.relation_creates) {
    text += c.start.ToString() + " create " + Text(c.relation) + "\n";
  }
  for (const DatabaseEvent& d : index.database_events) {
    static const char* const kKinds[] = {"", "copied", "logged", "dropped"};
    text += d.start.ToString() + " database " + std::to_string(d.database) + " in " +
            std::to_string(d.tablespace) + " " + kKinds[static_cast<std::size_t>(d.kind)] + "\n";
  }
  for (const ParameterChange& c : index.parameter_changes) {
    text += Text(c);
  }
  for (const CheckpointRecord& c : index.checkpoints) {
    text += Text(c);
  }
  for (const std::uint8_t id : index.custom_resource_managers) {
    text += "custom resource manager " + std::to_string(id) + "\n";
  }
  return text;
}

}  // namespace pitr::wal
