// The body of an encoded index: columns, because a column of small differences compresses several times
// better than rows that mix them. Byte by byte in doc/wal-index-format.md.
#include "core/wal/index_body.h"

#include <limits>

#include "core/wal/layout.h"

namespace pitr::wal {

namespace {

constexpr std::size_t kNameMax = 200;  // GIDSIZE; restore point names are shorter

bool HasName(EventKind kind) { return kind >= EventKind::kPrepare; }

// Differences between neighbours, so that they are small. Unsigned arithmetic wraps, and wraps back.
class Delta {
 public:
  std::int64_t Next(std::uint64_t value) {
    const std::uint64_t step = value - before_;
    before_ = value;
    return static_cast<std::int64_t>(step);
  }
  std::uint64_t Undo(std::int64_t step) {
    before_ += static_cast<std::uint64_t>(step);
    return before_;
  }

 private:
  std::uint64_t before_ = 0;
};

std::uint64_t Base(const SegmentIndex& index) {
  return SegmentStart(index.segment.number, index.root.segment_size).value;
}

// ---- writing ----

class BodyWriter {
 public:
  BodyWriter(const SegmentIndex& index, Bytes* out) : index_(index), out_(out) {}

  void Write() {
    WriteFragment(index_.head);
    if (index_.tail.present) {
      out_.Varint(index_.tail.start.value - Base(index_));
    }
    WriteFragment(index_.tail);
    WriteEvents();
    WriteBlocks();
    WriteRelations(index_.truncations);
    for (const Truncation& t : index_.truncations) {
      out_.Varint(t.blocks);
      out_.Varint(t.flags);
    }
    WriteRelations(index_.relation_drops);
    WriteRelations(index_.relation_creates);
    WriteDatabaseEvents();
    WriteParameterChanges();
    WriteCheckpoints();
    out_.Varint(index_.custom_resource_managers.size());
    out_.Raw(index_.custom_resource_managers);
  }

 private:
  template <typename List, typename Field>
  void Column(const List& list, Field field) {
    Delta delta;
    for (const auto& row : list) {
      out_.Signed(delta.Next(field(row)));
    }
  }
  template <typename List>
  void Starts(const List& list) {
    out_.Varint(list.size());
    // Rows are in LSN order.
    std::uint64_t before = Base(index_);
    for (const auto& row : list) {
      out_.Varint(row.start.value - before);
      before = row.start.value;
    }
  }

  void WriteFragment(const Fragment& fragment) {
    if (!fragment.present) {
      return;
    }
    out_.Varint(fragment.total);
    out_.Varint(fragment.bytes.size());
    out_.Raw(fragment.bytes);
  }

  void WriteEvents() {
    const auto& events = index_.events;
    Starts(events);
    for (const Event& e : events) {
      out_.Varint(e.end - e.start);
    }
    for (const Event& e : events) {
      out_.U8(static_cast<std::uint8_t>(e.kind));
    }
    Column(events, [](const Event& e) { return e.xid; });
    Column(events, [](const Event& e) { return static_cast<std::uint64_t>(e.time.micros); });
    for (const Event& e : events) {
      if (HasName(e.kind)) {
        out_.Text(e.name);
      }
    }
  }

  void WriteRelation(const RelFork& relation, Delta* tablespace, Delta* database, Delta* number) {
    out_.Signed(tablespace->Next(relation.tablespace));
    out_.Signed(database->Next(relation.database));
    out_.Signed(number->Next(relation.relation));
    out_.U8(relation.fork);
  }

  void WriteBlocks() {
    out_.Varint(index_.blocks.size());
    Delta tablespace, database, number;
    for (const auto& [relation, blocks] : index_.blocks) {
      WriteRelation(relation, &tablespace, &database, &number);
      out_.Varint(blocks.size());
    }
    for (const auto& [relation, blocks] : index_.blocks) {
      std::uint64_t next = 0;  // the smallest block that can follow: a run is a row of zeroes
      for (const std::uint32_t block : blocks) {
        out_.Varint(block - next);
        next = std::uint64_t{block} + 1;
      }
    }
  }

  template <typename List>
  void WriteRelations(const List& list) {
    Starts(list);
    Delta tablespace, database, number;
    for (const auto& row : list) {
      WriteRelation(row.relation, &tablespace, &database, &number);
    }
  }

  void WriteDatabaseEvents() {
    Starts(index_.database_events);
    for (const DatabaseEvent& e : index_.database_events) {
      out_.U8(static_cast<std::uint8_t>(e.kind));
      out_.Varint(e.database);
      out_.Varint(e.tablespace);
    }
  }

  void WriteParameterChanges() {
    Starts(index_.parameter_changes);
    for (const ParameterChange& c : index_.parameter_changes) {
      for (const std::int32_t value :
           {c.max_connections, c.max_worker_processes, c.max_wal_senders,
            c.max_prepared_transactions, c.max_locks_per_transaction, c.wal_level}) {
        out_.Signed(value);
      }
      out_.U8(static_cast<std::uint8_t>((c.wal_log_hints ? 1 : 0) |
                                        (c.track_commit_timestamp ? 2 : 0)));
    }
  }

  void WriteCheckpoints() {
    Starts(index_.checkpoints);
    for (const CheckpointRecord& c : index_.checkpoints) {
      out_.Varint(c.redo.value);
      out_.Varint(c.timeline);
      out_.Varint(c.previous_timeline);
      out_.U8(static_cast<std::uint8_t>((c.shutdown ? 1 : 0) | (c.end_of_recovery ? 2 : 0)));
    }
  }

  const SegmentIndex& index_;
  ByteWriter out_;
};

// ---- reading ----

class BodyReader {
 public:
  BodyReader(ByteView body, SegmentIndex* index) : index_(*index), in_(body) {}

  bool Read() {
    ReadFragment(&index_.head);
    if (index_.tail.present) {
      index_.tail.start.value = Base(index_) + in_.Varint();
      Require(IsHere(index_.tail.start));
    }
    ReadFragment(&index_.tail);
    ReadEvents();
    ReadBlocks();
    ReadRelations(&index_.truncations);
    for (Truncation& t : index_.truncations) {
      t.blocks = U32();
      t.flags = U32();
    }
    ReadRelations(&index_.relation_drops);
    ReadRelations(&index_.relation_creates);
    ReadDatabaseEvents();
    ReadParameterChanges();
    ReadCheckpoints();
    ReadResourceManagers();
    return good_ && in_.AtEnd();
  }

 private:
  void Require(bool condition) { good_ = good_ && condition; }
  bool IsHere(Lsn lsn) const {
    return lsn.value >= Base(index_) && lsn.value - Base(index_) < index_.root.segment_size;
  }
  // What was read so far is no good: nothing may be sized by it.
  bool Stop() {
    good_ = good_ && in_.ok();
    return !good_;
  }

  std::uint32_t Narrow(std::uint64_t value) {
    Require(value <= std::numeric_limits<std::uint32_t>::max());
    return static_cast<std::uint32_t>(value);
  }
  std::uint32_t U32() { return Narrow(in_.Varint()); }
  // A byte of flags below `limit`.
  std::uint8_t Small(std::uint8_t limit) {
    const std::uint8_t value = in_.U8();
    Require(value < limit);
    return value;
  }

  template <typename List, typename Store>
  void Column(List* list, Store store) {
    Delta delta;
    for (auto& row : *list) {
      store(&row, delta.Undo(in_.Signed()));
    }
  }
  // `min_size` is what a row takes at least, over all its columns.
  template <typename List>
  void Starts(List* list, std::size_t min_size) {
    if (Stop()) {
      return;
    }
    list->resize(in_.Count(min_size));
    std::uint64_t before = Base(index_);
    for (auto& row : *list) {
      const std::uint64_t step = in_.Varint();
      Require(step < index_.root.segment_size);
      row.start.value = before + step;
      Require(IsHere(row.start));
      before = row.start.value;
    }
  }

  void ReadFragment(Fragment* fragment) {
    if (!fragment->present || Stop()) {
      return;
    }
    fragment->total = U32();
    const std::size_t size = in_.Count(1);
    Require(size <= kFragmentCap);
    if (Stop()) {
      return;
    }
    const ByteView bytes = in_.Raw(size);
    fragment->bytes.assign(bytes.begin(), bytes.end());
  }

  void ReadEvents() {
    auto& events = index_.events;
    Starts(&events, 5);
    for (Event& e : events) {
      e.end = e.start + in_.Varint();
    }
    for (Event& e : events) {
      const std::uint8_t kind = in_.U8();
      Require(kind >= static_cast<std::uint8_t>(EventKind::kCommit) &&
              kind <= static_cast<std::uint8_t>(EventKind::kRestorePoint));
      e.kind = static_cast<EventKind>(kind);
    }
    Column(&events, [this](Event* e, std::uint64_t v) { e->xid = Narrow(v); });
    Column(&events,
           [](Event* e, std::uint64_t v) { e->time.micros = static_cast<std::int64_t>(v); });
    for (Event& e : events) {
      if (HasName(e.kind) && !Stop()) {
        e.name = in_.Text(kNameMax);
      }
    }
  }

  RelFork ReadRelation(Delta* tablespace, Delta* database, Delta* number) {
    RelFork relation;
    relation.tablespace = Narrow(tablespace->Undo(in_.Signed()));
    relation.database = Narrow(database->Undo(in_.Signed()));
    relation.relation = Narrow(number->Undo(in_.Signed()));
    relation.fork = Small(block::kForkMask + 1);
    return relation;
  }

  void ReadBlocks() {
    const std::size_t count = Stop() ? 0 : in_.Count(6);
    std::vector<std::uint64_t> sizes;
    Delta tablespace, database, number;
    auto last = index_.blocks.end();
    for (std::size_t i = 0; i < count && !Stop(); i++) {
      const RelFork relation = ReadRelation(&tablespace, &database, &number);
      Require(last == index_.blocks.end() || last->first < relation);
      last =
          index_.blocks.emplace_hint(index_.blocks.end(), relation, std::vector<std::uint32_t>());
      sizes.push_back(in_.Varint());
    }
    auto size = sizes.begin();
    for (auto& [relation, blocks] : index_.blocks) {
      if (Stop()) {
        return;
      }
      ReadBlockList(*size++, &blocks);
    }
  }

  void ReadBlockList(std::uint64_t size, std::vector<std::uint32_t>* blocks) {
    Require(size > 0 && size <= in_.remaining());  // a block takes a byte at least
    if (Stop()) {
      return;
    }
    blocks->resize(size);
    std::uint64_t next = 0;
    for (std::uint32_t& block : *blocks) {
      block = Narrow(next + U32());
      next = std::uint64_t{block} + 1;
    }
  }

  template <typename List>
  void ReadRelations(List* list) {
    Starts(list, 5);
    Delta tablespace, database, number;
    for (auto& row : *list) {
      row.relation = ReadRelation(&tablespace, &database, &number);
    }
  }

  void ReadDatabaseEvents() {
    Starts(&index_.database_events, 4);
    for (DatabaseEvent& e : index_.database_events) {
      e.kind = static_cast<DatabaseEventKind>(Small(4));
      Require(e.kind >= DatabaseEventKind::kCreateFileCopy);
      e.database = U32();
      e.tablespace = U32();
    }
  }

  void ReadParameterChanges() {
    Starts(&index_.parameter_changes, 8);
    for (ParameterChange& c : index_.parameter_changes) {
      for (std::int32_t* value :
           {&c.max_connections, &c.max_worker_processes, &c.max_wal_senders,
            &c.max_prepared_transactions, &c.max_locks_per_transaction, &c.wal_level}) {
        const std::int64_t read = in_.Signed();
        *value = static_cast<std::int32_t>(read);
        Require(*value == read);
      }
      const std::uint8_t flags = Small(4);
      c.wal_log_hints = (flags & 1) != 0;
      c.track_commit_timestamp = (flags & 2) != 0;
    }
  }

  void ReadCheckpoints() {
    Starts(&index_.checkpoints, 5);
    for (CheckpointRecord& c : index_.checkpoints) {
      c.redo.value = in_.Varint();
      c.timeline = U32();
      c.previous_timeline = U32();
      const std::uint8_t flags = Small(4);
      c.shutdown = (flags & 1) != 0;
      c.end_of_recovery = (flags & 2) != 0;
    }
  }

  void ReadResourceManagers() {
    if (Stop()) {
      return;
    }
    const ByteView ids = in_.Raw(in_.Count(1));
    index_.custom_resource_managers.assign(ids.begin(), ids.end());
    for (std::size_t i = 0; i < ids.size(); i++) {
      Require(ids[i] >= rmgr::kFirstCustom && (i == 0 || ids[i - 1] < ids[i]));
    }
  }

  SegmentIndex& index_;
  ByteReader in_;
  bool good_ = true;
};

}  // namespace

void WriteIndexBody(const SegmentIndex& index, Bytes* out) { BodyWriter(index, out).Write(); }

bool ReadIndexBody(ByteView body, SegmentIndex* index) { return BodyReader(body, index).Read(); }

}  // namespace pitr::wal
