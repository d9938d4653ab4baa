-- Install script of pitr_ext 0.1.0: every name and signature is that of the documented SQL surface.
-- EXECUTE and SELECT are revoked from PUBLIC on everything; pg_monitor gets what only looks.
\echo Use "CREATE EXTENSION pitr_ext" to load this file. \quit

-- Restore

CREATE FUNCTION pitr_restore_branch(target text,
    inclusive boolean DEFAULT true,
    preserve_under_name text DEFAULT NULL,
    preserve boolean DEFAULT true,
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_restore_branch_text'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_restore_branch(text, boolean, text, boolean, boolean, boolean, boolean, boolean) IS
    'Restore to a bare target (timestamp as the server reads it, LSN, name:, xid:, snapshot:) or source@point: brings the running server to that point of the past, in place; the state of now becomes an undo branch. Not in a transaction block (25001). One row, sent before sessions are cut; the outcome is in pitr_operations. Errors: PI001 outside the window, PI002 gap, PI003 no snapshot, 55000 what would break without force';
REVOKE ALL ON FUNCTION pitr_restore_branch(text, boolean, text, boolean, boolean, boolean, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_restore_branch(target timestamptz,
    inclusive boolean DEFAULT true,
    preserve_under_name text DEFAULT NULL,
    preserve boolean DEFAULT true,
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_restore_branch_time'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_restore_branch(timestamptz, boolean, text, boolean, boolean, boolean, boolean, boolean) IS
    'Restore to a time: brings the running server to that point of the past, in place; the state of now becomes an undo branch. Not in a transaction block (25001). One row, sent before sessions are cut; the outcome is in pitr_operations. Errors: PI001 outside the window, PI002 gap, PI003 no snapshot, 55000 what would break without force';
REVOKE ALL ON FUNCTION pitr_restore_branch(timestamptz, boolean, text, boolean, boolean, boolean, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_restore_branch(target pg_lsn,
    inclusive boolean DEFAULT true,
    preserve_under_name text DEFAULT NULL,
    preserve boolean DEFAULT true,
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_restore_branch_lsn'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_restore_branch(pg_lsn, boolean, text, boolean, boolean, boolean, boolean, boolean) IS
    'Restore to an LSN: brings the running server to that point of the past, in place; the state of now becomes an undo branch. Not in a transaction block (25001). One row, sent before sessions are cut; the outcome is in pitr_operations. Errors: PI001 outside the window, PI002 gap, PI003 no snapshot, 55000 what would break without force';
REVOKE ALL ON FUNCTION pitr_restore_branch(pg_lsn, boolean, text, boolean, boolean, boolean, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_restore_branch(branch text,
    source text,
    preserve_under_name text DEFAULT NULL,
    inclusive boolean DEFAULT true,
    preserve boolean DEFAULT true,
    parent_after text DEFAULT 'parent',
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_restore_branch_source'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_restore_branch(text, text, text, boolean, boolean, text, boolean, boolean, boolean, boolean) IS
    'Restore a branch from source[@point] (^self, ^parent, name or id): brings the running server to that point of the past, in place; the state of now becomes an undo branch. Not in a transaction block (25001). One row, sent before sessions are cut; the outcome is in pitr_operations. Errors: PI001 outside the window, PI002 gap, PI003 no snapshot, 55000 what would break without force';
REVOKE ALL ON FUNCTION pitr_restore_branch(text, text, text, boolean, boolean, text, boolean, boolean, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_plan_restore(target text,
    inclusive boolean DEFAULT true,
    preserve_under_name text DEFAULT NULL,
    preserve boolean DEFAULT true,
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false)
RETURNS TABLE (possible boolean, reason text, sqlstate text, branch text, line text, timeline integer, target_lsn pg_lsn,
    commit_time timestamptz, commit_xid xid, next_commit_time timestamptz, next_commit_xid xid, next_commit_lsn pg_lsn,
    snapshot_id text, wal_from pg_lsn, wal_bytes bigint, missing text[], disk_needed_bytes bigint,
    disk_free_bytes bigint, estimated_build interval, estimated_outage interval, sessions integer, standbys integer,
    replication_slots text[], subscriptions text[], prepared_transactions text[], unlogged_tables bigint,
    undo_branch text, warnings text[])
AS 'MODULE_PATHNAME', 'pitr_plan_restore_text'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_plan_restore(text, boolean, text, boolean, boolean, boolean, boolean) IS
    'What pitr_restore_branch with the same arguments would do, or the reason (with its SQLSTATE) why it cannot. Touches nothing.';
REVOKE ALL ON FUNCTION pitr_plan_restore(text, boolean, text, boolean, boolean, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_plan_restore(text, boolean, text, boolean, boolean, boolean, boolean) TO pg_monitor;

CREATE FUNCTION pitr_plan_restore(target timestamptz,
    inclusive boolean DEFAULT true,
    preserve_under_name text DEFAULT NULL,
    preserve boolean DEFAULT true,
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false)
RETURNS TABLE (possible boolean, reason text, sqlstate text, branch text, line text, timeline integer, target_lsn pg_lsn,
    commit_time timestamptz, commit_xid xid, next_commit_time timestamptz, next_commit_xid xid, next_commit_lsn pg_lsn,
    snapshot_id text, wal_from pg_lsn, wal_bytes bigint, missing text[], disk_needed_bytes bigint,
    disk_free_bytes bigint, estimated_build interval, estimated_outage interval, sessions integer, standbys integer,
    replication_slots text[], subscriptions text[], prepared_transactions text[], unlogged_tables bigint,
    undo_branch text, warnings text[])
AS 'MODULE_PATHNAME', 'pitr_plan_restore_time'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_plan_restore(timestamptz, boolean, text, boolean, boolean, boolean, boolean) IS
    'What pitr_restore_branch with the same arguments would do, or the reason (with its SQLSTATE) why it cannot. Touches nothing.';
REVOKE ALL ON FUNCTION pitr_plan_restore(timestamptz, boolean, text, boolean, boolean, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_plan_restore(timestamptz, boolean, text, boolean, boolean, boolean, boolean) TO pg_monitor;

CREATE FUNCTION pitr_plan_restore(target pg_lsn,
    inclusive boolean DEFAULT true,
    preserve_under_name text DEFAULT NULL,
    preserve boolean DEFAULT true,
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false)
RETURNS TABLE (possible boolean, reason text, sqlstate text, branch text, line text, timeline integer, target_lsn pg_lsn,
    commit_time timestamptz, commit_xid xid, next_commit_time timestamptz, next_commit_xid xid, next_commit_lsn pg_lsn,
    snapshot_id text, wal_from pg_lsn, wal_bytes bigint, missing text[], disk_needed_bytes bigint,
    disk_free_bytes bigint, estimated_build interval, estimated_outage interval, sessions integer, standbys integer,
    replication_slots text[], subscriptions text[], prepared_transactions text[], unlogged_tables bigint,
    undo_branch text, warnings text[])
AS 'MODULE_PATHNAME', 'pitr_plan_restore_lsn'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_plan_restore(pg_lsn, boolean, text, boolean, boolean, boolean, boolean) IS
    'What pitr_restore_branch with the same arguments would do, or the reason (with its SQLSTATE) why it cannot. Touches nothing.';
REVOKE ALL ON FUNCTION pitr_plan_restore(pg_lsn, boolean, text, boolean, boolean, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_plan_restore(pg_lsn, boolean, text, boolean, boolean, boolean, boolean) TO pg_monitor;

CREATE FUNCTION pitr_plan_restore(branch text,
    source text,
    preserve_under_name text DEFAULT NULL,
    inclusive boolean DEFAULT true,
    preserve boolean DEFAULT true,
    parent_after text DEFAULT 'parent',
    finalize boolean DEFAULT true,
    keep_passwords boolean DEFAULT true,
    force boolean DEFAULT false)
RETURNS TABLE (possible boolean, reason text, sqlstate text, branch text, line text, timeline integer, target_lsn pg_lsn,
    commit_time timestamptz, commit_xid xid, next_commit_time timestamptz, next_commit_xid xid, next_commit_lsn pg_lsn,
    snapshot_id text, wal_from pg_lsn, wal_bytes bigint, missing text[], disk_needed_bytes bigint,
    disk_free_bytes bigint, estimated_build interval, estimated_outage interval, sessions integer, standbys integer,
    replication_slots text[], subscriptions text[], prepared_transactions text[], unlogged_tables bigint,
    undo_branch text, warnings text[])
AS 'MODULE_PATHNAME', 'pitr_plan_restore_source'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_plan_restore(text, text, text, boolean, boolean, text, boolean, boolean, boolean) IS
    'What pitr_restore_branch with the same arguments would do, or the reason (with its SQLSTATE) why it cannot. Touches nothing.';
REVOKE ALL ON FUNCTION pitr_plan_restore(text, text, text, boolean, boolean, text, boolean, boolean, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_plan_restore(text, text, text, boolean, boolean, text, boolean, boolean, boolean) TO pg_monitor;

CREATE FUNCTION pitr_undo_restore(branch text DEFAULT NULL,
    force boolean DEFAULT false,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, branch text, branch_id text, restored_lsn pg_lsn, commit_time timestamptz,
    commit_xid xid, timeline integer, undo_branch text, undo_branch_id text)
AS 'MODULE_PATHNAME', 'pitr_undo_restore'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_undo_restore(text, boolean, boolean) IS
    'Goes back to the newest undo branch of the branch (NULL: the connected one): its own directory when that is still on disk, built from the repository otherwise. Can itself be undone.';
REVOKE ALL ON FUNCTION pitr_undo_restore(text, boolean, boolean) FROM PUBLIC;

-- Branches

CREATE FUNCTION pitr_delete_branch(branch text,
    cascade boolean DEFAULT false,
    force boolean DEFAULT false)
RETURNS TABLE (id text, name text, deleted_at timestamptz, gone_at timestamptz)
AS 'MODULE_PATHNAME', 'pitr_delete_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_delete_branch(text, boolean, boolean) IS
    'Deletes a branch: soft for 7 days, force removes it and its directory at once. 55006 for the connected branch, 2BP01 with children unless cascade, PI005 for a protected one.';
REVOKE ALL ON FUNCTION pitr_delete_branch(text, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_rename_branch(branch text,
    new_name text)
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_rename_branch'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_rename_branch(text, text) IS
    'Renames a branch. 42710 when the name is taken, 42602 or 42622 for a bad name.';
REVOKE ALL ON FUNCTION pitr_rename_branch(text, text) FROM PUBLIC;

-- Snapshots

CREATE FUNCTION pitr_create_snapshot(name text DEFAULT NULL,
    at text DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (name text, id text, branch text, kind text, origin text, state text, start_lsn pg_lsn, stop_lsn pg_lsn,
    timeline integer, started_at timestamptz, finished_at timestamptz, database_bytes bigint, stored_bytes bigint,
    new_bytes bigint, bad_pages bigint, kept boolean, expires_at timestamptz, verified_at timestamptz)
AS 'MODULE_PATHNAME', 'pitr_create_snapshot'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_create_snapshot(text, text, timestamptz, boolean) IS
    'Takes a base backup of the whole server into the repository with pitr.snapshot_workers processes. Listed only when all of it is stored. Sizes in bytes.';
REVOKE ALL ON FUNCTION pitr_create_snapshot(text, text, timestamptz, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_delete_snapshot(snapshot text)
RETURNS TABLE (id text, freed_bytes bigint, window_start timestamptz)
AS 'MODULE_PATHNAME', 'pitr_delete_snapshot'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_delete_snapshot(text) IS
    'Removes a snapshot (name or id); window_start is where the restore window begins afterwards. 55000 when it is kept.';
REVOKE ALL ON FUNCTION pitr_delete_snapshot(text) FROM PUBLIC;

CREATE FUNCTION pitr_keep_snapshot(snapshot text,
    keep boolean DEFAULT true)
RETURNS TABLE (name text, id text, branch text, kind text, origin text, state text, start_lsn pg_lsn, stop_lsn pg_lsn,
    timeline integer, started_at timestamptz, finished_at timestamptz, database_bytes bigint, stored_bytes bigint,
    new_bytes bigint, bad_pages bigint, kept boolean, expires_at timestamptz, verified_at timestamptz)
AS 'MODULE_PATHNAME', 'pitr_keep_snapshot'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_keep_snapshot(text, boolean) IS
    'Pins a snapshot, so that neither retention nor pitr_delete_snapshot removes it; keep => false lets go.';
REVOKE ALL ON FUNCTION pitr_keep_snapshot(text, boolean) FROM PUBLIC;

-- Knowing

CREATE FUNCTION pitr_restore_window(branch text DEFAULT NULL)
RETURNS TABLE (branch text, line text, timeline integer, earliest_time timestamptz, latest_time timestamptz, earliest_lsn pg_lsn, latest_lsn pg_lsn, kind text)
AS 'MODULE_PATHNAME', 'pitr_restore_window'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_restore_window(text) IS
    'The points that can be reached now, one row per stretch without a hole: only what the repository holds. kind: continuous, or snapshot (one point only).';
REVOKE ALL ON FUNCTION pitr_restore_window(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_restore_window(text) TO pg_monitor;

CREATE FUNCTION pitr_lsn_at(target timestamptz,
    branch text DEFAULT '^self')
RETURNS TABLE (kind text, lsn pg_lsn, commit_time timestamptz, commit_xid xid, timeline integer, out_of_order integer)
AS 'MODULE_PATHNAME', 'pitr_lsn_at'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_lsn_at(timestamptz, text) IS
    'The last commit at or before a time, by the rule that the server itself stops by. kind: present, future, past, nodata. out_of_order: later commits with an earlier time.';
REVOKE ALL ON FUNCTION pitr_lsn_at(timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_lsn_at(timestamptz, text) TO pg_monitor;

CREATE FUNCTION pitr_time_of(lsn pg_lsn,
    branch text DEFAULT '^self')
RETURNS TABLE (commit_time timestamptz, commit_lsn pg_lsn, commit_xid xid, next_commit_time timestamptz)
AS 'MODULE_PATHNAME', 'pitr_time_of'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_time_of(pg_lsn, text) IS
    'The last commit that ends at or before an LSN, and the time of the next one.';
REVOKE ALL ON FUNCTION pitr_time_of(pg_lsn, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_time_of(pg_lsn, text) TO pg_monitor;

CREATE FUNCTION pitr_gaps(branch text DEFAULT NULL)
RETURNS TABLE (branch text, timeline integer, begin_lsn pg_lsn, end_lsn pg_lsn, since timestamptz, cause text)
AS 'MODULE_PATHNAME', 'pitr_gaps'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_gaps(text) IS
    'Missing stretches of WAL between what the repository holds.';
REVOKE ALL ON FUNCTION pitr_gaps(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_gaps(text) TO pg_monitor;

CREATE FUNCTION pitr_check(timeout interval DEFAULT '60 s')
RETURNS TABLE (item text, ok boolean, detail text, hint text)
AS 'MODULE_PATHNAME', 'pitr_check'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_check(interval) IS
    'Writes a restore point, switches WAL, waits until it is in the repository, reads it back and compares; also settings, workers, space, permissions. One row per item.';
REVOKE ALL ON FUNCTION pitr_check(interval) FROM PUBLIC;

CREATE FUNCTION pitr_verify(snapshot text DEFAULT NULL,
    byte_budget bigint DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, kind text, object text, ok boolean, detail text)
AS 'MODULE_PATHNAME', 'pitr_verify'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_verify(text, bigint, boolean) IS
    'Reads objects back and compares their checksums, and the WAL for holes; NULL = everything.';
REVOKE ALL ON FUNCTION pitr_verify(text, bigint, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_cancel_operation(operation_id text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pitr_cancel_operation'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_cancel_operation(text) IS
    'Cancels a running operation; false when it is past that point (sessions are being cut) or over. 42704 for an unknown id.';
REVOKE ALL ON FUNCTION pitr_cancel_operation(text) FROM PUBLIC;

CREATE FUNCTION pitr_wait_operation(operation_id text,
    timeout interval DEFAULT NULL)
RETURNS TABLE (id text, kind text, branch text, state text, phase text, bytes_done bigint, bytes_total bigint, replay_lsn pg_lsn,
    target_lsn pg_lsn, started_at timestamptz, finished_at timestamptz, estimated_end timestamptz, role_name text,
    pid integer, error text, sqlstate text)
AS 'MODULE_PATHNAME', 'pitr_wait_operation'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_wait_operation(text, interval) IS
    'Waits until an operation is over (or the timeout) and shows its row.';
REVOKE ALL ON FUNCTION pitr_wait_operation(text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_wait_operation(text, interval) TO pg_monitor;

-- Views, each over a function of its own

CREATE FUNCTION pitr_internal_status()
RETURNS TABLE (can_restore boolean, window_start timestamptz, window_end timestamptz, loss_if_crashed_now interval,
    archive_state text, backlog_segments bigint, backlog_bytes bigint, last_snapshot_at timestamptz,
    last_verified_at timestamptz, last_drill_at timestamptz, problem text, hint text, as_of timestamptz)
AS 'MODULE_PATHNAME', 'pitr_internal_status'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_status() IS
    'Rows of the view pitr_status.';
REVOKE ALL ON FUNCTION pitr_internal_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_status() TO pg_monitor;

CREATE VIEW pitr_status AS SELECT * FROM pitr_internal_status();
COMMENT ON VIEW pitr_status IS 'One row: can this server be restored, from when to when, and what is wrong if not.';
REVOKE ALL ON pitr_status FROM PUBLIC;
GRANT SELECT ON pitr_status TO pg_monitor;

CREATE FUNCTION pitr_internal_archive()
RETURNS TABLE (timeline integer, last_archived_wal text, last_archived_at timestamptz, last_failed_wal text,
    last_failed_at timestamptz, last_error text, archived_count bigint, failed_count bigint, ready_count bigint,
    raw_bytes bigint, stored_bytes bigint, tail_lsn pg_lsn, tail_at timestamptz, synchronous boolean)
AS 'MODULE_PATHNAME', 'pitr_internal_archive'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_archive() IS
    'Rows of the view pitr_archive.';
REVOKE ALL ON FUNCTION pitr_internal_archive() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_archive() TO pg_monitor;

CREATE VIEW pitr_archive AS SELECT * FROM pitr_internal_archive();
COMMENT ON VIEW pitr_archive IS 'WAL archiving of this server since its last start. Sizes in bytes.';
REVOKE ALL ON pitr_archive FROM PUBLIC;
GRANT SELECT ON pitr_archive TO pg_monitor;

CREATE FUNCTION pitr_internal_branches()
RETURNS TABLE (name text, id text, parent text, parent_id text, fork_lsn pg_lsn, fork_time timestamptz, kind text, state text,
    is_self boolean, is_default boolean, protected boolean, port integer, connection text, directory text,
    size_bytes bigint, incomplete_bytes bigint, created_at timestamptz, updated_at timestamptz,
    last_reset_at timestamptz, expires_at timestamptz, ttl interval, deleted_at timestamptz,
    window_start timestamptz, window_end timestamptz, created_by text)
AS 'MODULE_PATHNAME', 'pitr_internal_branches'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_branches() IS
    'Rows of the view pitr_branches.';
REVOKE ALL ON FUNCTION pitr_internal_branches() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_branches() TO pg_monitor;

CREATE VIEW pitr_branches AS SELECT * FROM pitr_internal_branches();
COMMENT ON VIEW pitr_branches IS 'Branches in the repository. Sizes in bytes.';
REVOKE ALL ON pitr_branches FROM PUBLIC;
GRANT SELECT ON pitr_branches TO pg_monitor;

CREATE FUNCTION pitr_internal_snapshots()
RETURNS TABLE (name text, id text, branch text, kind text, origin text, state text, start_lsn pg_lsn, stop_lsn pg_lsn,
    timeline integer, started_at timestamptz, finished_at timestamptz, database_bytes bigint, stored_bytes bigint,
    new_bytes bigint, bad_pages bigint, kept boolean, expires_at timestamptz, verified_at timestamptz)
AS 'MODULE_PATHNAME', 'pitr_internal_snapshots'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_snapshots() IS
    'Rows of the view pitr_snapshots.';
REVOKE ALL ON FUNCTION pitr_internal_snapshots() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_snapshots() TO pg_monitor;

CREATE VIEW pitr_snapshots AS SELECT * FROM pitr_internal_snapshots();
COMMENT ON VIEW pitr_snapshots IS 'Snapshots in the repository. Sizes in bytes.';
REVOKE ALL ON pitr_snapshots FROM PUBLIC;
GRANT SELECT ON pitr_snapshots TO pg_monitor;

CREATE FUNCTION pitr_internal_operations()
RETURNS TABLE (id text, kind text, branch text, state text, phase text, bytes_done bigint, bytes_total bigint, replay_lsn pg_lsn,
    target_lsn pg_lsn, started_at timestamptz, finished_at timestamptz, estimated_end timestamptz, role_name text,
    pid integer, error text, sqlstate text)
AS 'MODULE_PATHNAME', 'pitr_internal_operations'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_operations() IS
    'Rows of the view pitr_operations.';
REVOKE ALL ON FUNCTION pitr_internal_operations() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_operations() TO pg_monitor;

CREATE VIEW pitr_operations AS SELECT * FROM pitr_internal_operations();
COMMENT ON VIEW pitr_operations IS 'Running and past operations. Sizes in bytes.';
REVOKE ALL ON pitr_operations FROM PUBLIC;
GRANT SELECT ON pitr_operations TO pg_monitor;

CREATE FUNCTION pitr_internal_audit()
RETURNS TABLE (at timestamptz, role_name text, client_addr inet, branch text, function text, arguments text,
    operation_id text, outcome text, sqlstate text)
AS 'MODULE_PATHNAME', 'pitr_internal_audit'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_audit() IS
    'Rows of the view pitr_audit.';
REVOKE ALL ON FUNCTION pitr_internal_audit() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_audit() TO pg_monitor;

CREATE VIEW pitr_audit AS SELECT * FROM pitr_internal_audit();
COMMENT ON VIEW pitr_audit IS 'Who asked for what, kept in the repository and not rolled back by a restore.';
REVOKE ALL ON pitr_audit FROM PUBLIC;
GRANT SELECT ON pitr_audit TO pg_monitor;

CREATE FUNCTION pitr_internal_errors()
RETURNS TABLE (at timestamptz, class text, message text, count bigint, last_at timestamptz)
AS 'MODULE_PATHNAME', 'pitr_internal_errors'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_errors() IS
    'Rows of the view pitr_errors.';
REVOKE ALL ON FUNCTION pitr_internal_errors() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_errors() TO pg_monitor;

CREATE VIEW pitr_errors AS SELECT * FROM pitr_internal_errors();
COMMENT ON VIEW pitr_errors IS 'Failures since the server started, repeated ones counted.';
REVOKE ALL ON pitr_errors FROM PUBLIC;
GRANT SELECT ON pitr_errors TO pg_monitor;
