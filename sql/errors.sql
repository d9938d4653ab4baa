-- Bad input gets one error with its SQLSTATE, and nothing is touched.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pitr_ext;
-- The first snapshot is taken without being asked for.
DO $$
BEGIN
  FOR i IN 1..600 LOOP
    EXIT WHEN (SELECT can_restore FROM pitr_status);
    PERFORM pg_sleep(0.1);
  END LOOP;
END $$;
SELECT can_restore, problem FROM pitr_status;
-- SQLSTATE of a statement run through a function; the restore functions refuse to run there with 25001, so what they refuse before
-- that is asked of the plan.
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
SELECT state_of($$SELECT * FROM pitr_restore_branch('yesterday')$$) AS in_function;
BEGIN;
\set VERBOSITY sqlstate
SELECT * FROM pitr_restore_branch('yesterday');
ROLLBACK;
BEGIN;
SELECT * FROM pitr_undo_restore();
ROLLBACK;
DO $$ BEGIN PERFORM pitr_restore_branch('yesterday'); END $$;
\set VERBOSITY default
-- Malformed points
SELECT target, (SELECT p.possible::text || ' ' || coalesce(p.sqlstate, '') FROM pitr_plan_restore(target) p) AS answer
FROM (VALUES ('main@2026-11-20 10:00:00'), ('main@2026-11-20T10:00:00'), ('main@2026-13-20T10:00:00Z'), ('main@x'),
             ('nobody@0/1000000'), ('main@2999-01-01T00:00:00Z'), ('^parent@0/1000000'), ('name:no such point'),
             ('xid:0'), ('xid:x'), ('snapshot:no such snapshot'), ('2999-01-01T00:00:00Z'),
             ('FFFFFFFF/0'), ('2000-01-01T00:00:00Z'), ('0/1')) AS v(target);
SELECT state_of($$SELECT * FROM pitr_plan_restore('not a time')$$) AS not_a_time,
       state_of($$SELECT * FROM pitr_plan_restore('infinity')$$) AS infinity,
       state_of($$SELECT * FROM pitr_plan_restore(NULL::text)$$) AS is_null;
-- Names
SELECT (SELECT p.sqlstate FROM pitr_plan_restore('yesterday', preserve_under_name => n) p) AS state
FROM (VALUES (''), (' x'), ('^x'), (repeat('x', 257)), ('main'), (E'a\tb')) AS v(n);
-- Two texts are branch and source.
SELECT p.possible, p.sqlstate FROM pitr_plan_restore('2026-11-20T10:00:00Z', 'x') p;
SELECT p.possible, p.sqlstate FROM pitr_plan_restore('main', '^self@0/1000000', parent_after => 'nonsense') p;
SELECT p.possible, p.sqlstate FROM pitr_plan_restore('main', '^self@0/1000000', parent_after => 'backup', preserve => false) p;
-- The words of the grammar
SELECT source, (SELECT regexp_replace(p.reason, ' \(.*', '') FROM pitr_plan_restore('main', source) p) AS reason
FROM (VALUES ('main@x'), ('main@'), ('@0/1000000'), ('main@2026-02-30T10:00:00Z'), ('main@2026-11-20t10:00:00Z'), ('main@2026-11-20T10:00:00z'),
             ('main@2026-11-20T10:00:00.1234567Z'), ('main@2026-11-20T10:00:00.Z'), ('main@123456789/0'), ('main@0/0/0'), ('main@snapshot:'),
             ('main@2999-01-01T00:00:00Z'), ('^parent'), ('^parent@0/1'), ('nobody'), ('no@body@0/1'), ('br-no-such-0a1b2c3d')) AS v(source);
-- Branches and snapshots
SELECT state_of($$SELECT * FROM pitr_delete_branch('main')$$) AS connected,
       state_of($$SELECT * FROM pitr_delete_branch('nobody')$$) AS unknown,
       state_of($$SELECT * FROM pitr_rename_branch('main', '')$$) AS empty_name,
       state_of($$SELECT * FROM pitr_rename_branch('main', repeat('x', 257))$$) AS long_name,
       state_of($$SELECT * FROM pitr_rename_branch('nobody', 'x')$$) AS unknown_renamed,
       state_of($$SELECT * FROM pitr_keep_snapshot('nothing')$$) AS no_snapshot,
       state_of($$SELECT * FROM pitr_delete_snapshot('nothing')$$) AS no_snapshot_deleted,
       state_of($$SELECT * FROM pitr_create_snapshot('x', expires_at => '2000-01-01')$$) AS expired,
       state_of($$SELECT * FROM pitr_create_snapshot('x', at => 'yesterday')$$) AS not_yet;
-- Branches with a server of their own
SELECT state_of($$SELECT * FROM pitr_create_branch('main')$$) AS taken,
       state_of($$SELECT * FROM pitr_create_branch('')$$) AS empty_name,
       state_of($$SELECT * FROM pitr_create_branch('x', 'nobody')$$) AS no_source,
       state_of($$SELECT * FROM pitr_create_branch('x', 'main@x')$$) AS no_point,
       state_of($$SELECT * FROM pitr_create_branch('x', '^parent')$$) AS no_parent,
       state_of($$SELECT * FROM pitr_create_branch('x', settings => '[]')$$) AS no_object,
       state_of($$SELECT * FROM pitr_create_branch('x', masking_script => '\! true')$$) AS masked,
       state_of($$SELECT * FROM pitr_start_branch('main')$$) AS started,
       state_of($$SELECT * FROM pitr_stop_branch('nobody')$$) AS stopped,
       state_of($$SELECT * FROM pitr_protect_branch(NULL)$$) AS protected,
       state_of($$SELECT * FROM pitr_set_branch_expiration('main', ttl => '1 day')$$) AS default_expires,
       state_of($$SELECT * FROM pitr_set_branch_expiration('main', now(), '1 day')$$) AS both;
-- Operations
SELECT state_of($$SELECT pitr_cancel_operation('op-nothing')$$) AS cancel,
       state_of($$SELECT * FROM pitr_wait_operation('op-nothing')$$) AS wait;
-- A repository is encrypted from its beginning, or never.
SELECT state_of($$SELECT * FROM pitr_rewrap_keys()$$) AS not_encrypted;
-- Refused calls leave audit rows as well.
SELECT DISTINCT function, outcome, sqlstate FROM pitr_audit WHERE function = 'pitr_rename_branch' ORDER BY 3;
DROP FUNCTION state_of(text);
