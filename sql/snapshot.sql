-- Snapshots and what is known of them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pitr_ext;
RESET client_min_messages;
SELECT name, branch, kind IN ('full', 'increment') AS kind, origin, state, start_lsn < stop_lsn AS ordered, timeline, database_bytes > stored_bytes AS smaller,
       bad_pages, kept FROM pitr_create_snapshot('regress');
SELECT count(*) AS listed FROM pitr_snapshots WHERE name = 'regress' AND state = 'ok';
\set VERBOSITY sqlstate
SELECT * FROM pitr_create_snapshot('regress');
\set VERBOSITY default
SELECT kept FROM pitr_keep_snapshot('regress');
\set VERBOSITY sqlstate
SELECT * FROM pitr_delete_snapshot('regress');
\set VERBOSITY default
SELECT kept FROM pitr_keep_snapshot('regress', false);
-- The window begins at a snapshot; what was committed since is in it once it is shipped.
CREATE TABLE moments (id int);
INSERT INTO moments VALUES (1);
SELECT possible, sqlstate, commit_xid IS NOT NULL AS has_commit, snapshot_id IS NOT NULL AS has_snapshot,
       disk_needed_bytes < disk_free_bytes AS fits FROM pitr_plan_restore(now());
SELECT kind, branch = line AS same, earliest_lsn < latest_lsn AS ordered FROM pitr_restore_window() ORDER BY 1 LIMIT 1;
SELECT kind IN ('present', 'future') AS found, lsn IS NOT NULL AS has_lsn, out_of_order FROM pitr_lsn_at(now());
SELECT kind FROM pitr_lsn_at('2000-01-01');
SELECT t.commit_lsn < w.latest_lsn AS before FROM pitr_restore_window() AS w, LATERAL pitr_time_of(w.latest_lsn) AS t
  WHERE w.kind = 'continuous';
SELECT count(*) AS gaps FROM pitr_gaps();
SELECT item, ok FROM pitr_check() WHERE item <> 'in-place restore';
SELECT ok, kind FROM pitr_verify();
SELECT freed_bytes > 0 AS freed FROM pitr_delete_snapshot('regress');
DROP TABLE moments;
