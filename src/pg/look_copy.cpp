#include "pg/look_copy.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "pg/boundary.h"
#include "pg/version.h"

extern "C" {
#include "access/heapam.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/cluster.h"
#include "commands/copy.h"
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace pitr::pg {

namespace {

// What the copy that runs now reads from: its callback has no argument.
struct Source {
  LookClient* client;
  std::string_view rest;
};
constinit Source* source = nullptr;

Status Refill() {
  PITR_ASSIGN_OR_RETURN(source->rest, source->client->NextOfCopy());
  return Status::Ok();
}

extern "C" {

// copy_data_source_cb: fewer bytes than wanted are fine, none is the end.
static int GiveBytes(void* out, int, int most) {
  if (source->rest.empty()) {
    Report report;
    const Outcome outcome = Run(Refill, &report);
    if (outcome != Outcome::kOk) Raise(outcome, report);
  }
  const std::size_t size = std::min(source->rest.size(), static_cast<std::size_t>(most));
  std::memcpy(out, source->rest.data(), size);
  source->rest.remove_prefix(size);
  return static_cast<int>(size);
}
}

using Names = std::vector<const char*>;

Names NamesOf(const RowsThere& rows) {
  Names names;
  for (const std::string& name : rows.columns)
    names.push_back(name.c_str());
  return names;
}

// In a Call. The stream is in the encoding of the database, whatever that of the caller's client is.
CopyFromState Begin(Relation table, const char* const* names, std::size_t count) {
  ParseState* state = make_parsestate(nullptr);
  (void)addRangeTableEntryForRelation(state, table, AccessShareLock, nullptr, false, false);
  List* columns = NIL;
  for (std::size_t i = 0; i < count; i++)
    columns = lappend(columns, makeString(pstrdup(names[i])));
  Node* encoding = reinterpret_cast<Node*>(makeString(pstrdup(GetDatabaseEncodingName())));
  List* options = list_make1(makeDefElem(pstrdup("encoding"), encoding, -1));
  return BeginCopyFrom(state, table, nullptr, nullptr, false, GiveBytes, columns, options);
}

// Where rows are written that take the place of others.
struct Writer {
  Relation table;  // whose place is taken: its columns and constraints
  Relation fresh;
  EState* state;
  ResultRelInfo* info;
  TupleTableSlot* slot;
  BulkInsertState bulk;
  CommandId command;
};

// In a Call, all of the following.
Writer OpenWriter(Relation table, Oid fresh) {
  Writer writer{};
  writer.table = table;
  writer.fresh = table_open(fresh, NoLock);
  writer.state = CreateExecutorState();
  writer.info = makeNode(ResultRelInfo);
  InitResultRelInfo(writer.info, table, 0, nullptr, 0);
  writer.slot =
      MakeSingleTupleTableSlot(RelationGetDescr(table), table_slot_callbacks(writer.fresh));
  writer.bulk = GetBulkInsertState();
  writer.command = GetCurrentCommandId(true);
  return writer;
}

void WriteRow(const Writer& writer) {
  ExecStoreVirtualTuple(writer.slot);
  // Constraints may name it; storing a row overwrites it.
  writer.slot->tts_tableOid = RelationGetRelid(writer.table);
  const TupleConstr* constraints = RelationGetDescr(writer.table)->constr;
  if (constraints != nullptr && constraints->has_generated_stored)
    ExecComputeStoredGenerated(writer.info, writer.state, writer.slot, CMD_INSERT);
  if (constraints != nullptr) ExecConstraints(writer.info, writer.slot, writer.state);
  if (writer.table->rd_rel->relispartition)
    ExecPartitionCheck(writer.info, writer.slot, writer.state, true);
  table_tuple_insert(writer.fresh, writer.slot, writer.command, TABLE_INSERT_SKIP_FSM, writer.bulk);
}

std::uint64_t WriteRows(const Writer& writer, CopyFromState copy) {
  std::uint64_t count = 0;
  for (;;) {
    ResetPerTupleExprContext(writer.state);
    const MemoryContext before = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer.state));
    ExecClearTuple(writer.slot);
    const bool is_there = NextCopyFrom(copy, GetPerTupleExprContext(writer.state),
                                       writer.slot->tts_values, writer.slot->tts_isnull);
    if (is_there) WriteRow(writer);
    MemoryContextSwitchTo(before);
    if (!is_there) return count;
    count++;
    CHECK_FOR_INTERRUPTS();
  }
}

void CloseWriter(const Writer& writer) {
  FreeBulkInsertState(writer.bulk);
  table_finish_bulk_insert(writer.fresh, TABLE_INSERT_SKIP_FSM);
  ExecDropSingleTupleTableSlot(writer.slot);
  FreeExecutorState(writer.state);
  table_close(writer.fresh, NoLock);
}

// As REFRESH MATERIALIZED VIEW does it.
std::uint64_t Replace(Oid oid, const char* const* names, std::size_t count) {
  Relation table = table_open(oid, NoLock);
  CheckTableNotInUse(table, "pitr_recover_table");
  TransferPredicateLocksToHeapRelation(table);
  const char persistence = table->rd_rel->relpersistence;
  const Oid fresh = make_new_heap(oid, table->rd_rel->reltablespace, table->rd_rel->relam,
                                  persistence, AccessExclusiveLock);
  const Writer writer = OpenWriter(table, fresh);
  CopyFromState copy = Begin(table, names, count);
  ErrorContextCallback context{};
  context.callback = CopyFromErrorCallback;
  context.arg = copy;
  context.previous = error_context_stack;
  error_context_stack = &context;
  const std::uint64_t rows = WriteRows(writer, copy);
  error_context_stack = context.previous;
  EndCopyFrom(copy);
  CloseWriter(writer);
  pgstat_count_truncate(table);
  pgstat_count_heap_insert(table, static_cast<PgStat_Counter>(rows));
  table_close(table, NoLock);
  CommandCounterIncrement();
  finish_heap_swap(oid, fresh, false, false, true, true, RecentXmin, ReadNextMultiXactId(),
                   persistence);
  CommandCounterIncrement();
  return rows;
}

}  // namespace

Result<std::uint64_t> CopyInto(const RowsThere& rows, Oid table) {
  PITR_RETURN_IF_ERROR(rows.client->StartCopy(rows.command));
  Source from{rows.client, {}};
  source = &from;
  const Names names = NamesOf(rows);
  return Call([&] {
    Relation relation = table_open(table, RowExclusiveLock);
    CopyFromState copy = Begin(relation, names.data(), names.size());
    const std::uint64_t count = CopyFrom(copy);
    EndCopyFrom(copy);
    table_close(relation, NoLock);
    CommandCounterIncrement();
    return count;
  });
}

Result<std::uint64_t> CopyInPlaceOf(const RowsThere& rows, Oid table) {
  PITR_RETURN_IF_ERROR(rows.client->StartCopy(rows.command));
  Source from{rows.client, {}};
  source = &from;
  const Names names = NamesOf(rows);
  return Call([&] { return Replace(table, names.data(), names.size()); });
}

}  // namespace pitr::pg
