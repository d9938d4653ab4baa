-- EXECUTE is the right: nobody has it but superusers, and monitors for what only looks.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pitr_ext;
RESET client_min_messages;
CREATE ROLE pitr_nobody;
CREATE ROLE pitr_watcher IN ROLE pg_monitor;
\set VERBOSITY sqlstate
SET ROLE pitr_nobody;
SELECT * FROM pitr_status;
SELECT * FROM pitr_restore_window();
SELECT * FROM pitr_plan_restore('yesterday');
SELECT * FROM pitr_restore_branch('yesterday');
SELECT * FROM pitr_undo_restore();
SELECT * FROM pitr_create_snapshot();
SELECT * FROM pitr_check();
SELECT * FROM pitr_rewrap_keys();
SELECT * FROM pitr_take_over_branch('main');
SELECT * FROM pitr_create_branch('x');
SELECT * FROM pitr_start_branch('x');
SELECT * FROM pitr_stop_branch('x');
SELECT * FROM pitr_protect_branch('x');
SELECT * FROM pitr_reset_branch('x');
SELECT * FROM pitr_set_branch_expiration('x');
SELECT * FROM pitr_set_default_branch('x');
SELECT * FROM pitr_undelete_branch('x');
SHOW pitr.encryption_key_command;
SHOW pitr.encryption_key_file;
RESET ROLE;
SET ROLE pitr_watcher;
SELECT count(*) FROM pitr_status;
SELECT count(*) > 0 AS branches FROM pitr_branches;
SELECT count(*) >= 0 AS operations FROM pitr_operations;
SELECT count(*) FROM pitr_archive;
SELECT count(*) FROM pitr_plan_restore('yesterday');
SELECT * FROM pitr_restore_branch('yesterday');
SELECT * FROM pitr_delete_branch('main');
RESET ROLE;
\set VERBOSITY default
DROP ROLE pitr_nobody, pitr_watcher;
