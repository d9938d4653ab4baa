-- From pitr_ext 0.4.0 to 0.5.0: what schedules, retention, dumps and drills brought.
\echo Use "ALTER EXTENSION pitr_ext UPDATE TO '0.5.0'" to load this file. \quit

CREATE FUNCTION pitr_metrics()
RETURNS text
AS 'MODULE_PATHNAME', 'pitr_metrics'
LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_metrics() IS
    'What monitoring wants to know, as OpenMetrics 1.0 text. Times are Unix seconds, sizes bytes. Never waits for the repository longer than some seconds.';
REVOKE ALL ON FUNCTION pitr_metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_metrics() TO pg_monitor;

CREATE FUNCTION pitr_run_drill(point text DEFAULT '^self',
    queries text[] DEFAULT '{}',
    wait boolean DEFAULT true)
RETURNS TABLE (id text, started_at timestamptz, point_lsn pg_lsn, point_time timestamptz, restore_time interval,
    first_query_time interval, data_loss interval, amcheck_ok boolean, checksums_ok boolean, relations bigint, row_count bigint,
    row_count_expected bigint, queries_ok boolean, detail text, passed boolean)
AS 'MODULE_PATHNAME', 'pitr_run_drill'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_run_drill(text, text[], boolean) IS
    'Restores a point beside the server, promotes it, counts rows, asks the queries (each must answer with something that is neither false nor null), runs pg_amcheck and pg_checksums, notes what came of it in pitr_drills and throws it away. XX001 when something is not as it should be.';
REVOKE ALL ON FUNCTION pitr_run_drill(text, text[], boolean) FROM PUBLIC;

CREATE FUNCTION pitr_internal_drills()
RETURNS TABLE (id text, started_at timestamptz, point_lsn pg_lsn, point_time timestamptz, restore_time interval,
    first_query_time interval, data_loss interval, amcheck_ok boolean, checksums_ok boolean, relations bigint, row_count bigint,
    row_count_expected bigint, queries_ok boolean, detail text, passed boolean)
AS 'MODULE_PATHNAME', 'pitr_internal_drills'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_drills() IS
    'Rows of the view pitr_drills.';
REVOKE ALL ON FUNCTION pitr_internal_drills() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_drills() TO pg_monitor;

CREATE VIEW pitr_drills AS SELECT * FROM pitr_internal_drills();
COMMENT ON VIEW pitr_drills IS 'Restore drills, oldest first: how long the restore took, how much would have been lost, and whether what was restored is sound. NULL: not found out.';
REVOKE ALL ON pitr_drills FROM PUBLIC;
GRANT SELECT ON pitr_drills TO pg_monitor;

-- Schedules

CREATE FUNCTION pitr_internal_schedules()
RETURNS TABLE (id text, kind text, branch text, database text, cron text, item jsonb, timezone text, retention interval,
    next_run timestamptz, last_run timestamptz, last_state text, last_detail text, made_up boolean)
AS 'MODULE_PATHNAME', 'pitr_internal_schedules'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_schedules() IS
    'Rows of the view pitr_schedules.';
REVOKE ALL ON FUNCTION pitr_internal_schedules() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_schedules() TO pg_monitor;

CREATE VIEW pitr_schedules AS SELECT * FROM pitr_internal_schedules();
COMMENT ON VIEW pitr_schedules IS 'What servers do by themselves and when, and what became of the last run: ok, skipped, failed, running. made_up: nobody could at the time.';
REVOKE ALL ON pitr_schedules FROM PUBLIC;
GRANT SELECT ON pitr_schedules TO pg_monitor;

CREATE FUNCTION pitr_set_backup_schedule(branch text,
    schedule jsonb,
    timezone text DEFAULT 'UTC')
RETURNS TABLE (id text, kind text, branch text, database text, cron text, item jsonb, timezone text, retention interval,
    next_run timestamptz, last_run timestamptz, last_state text, last_detail text, made_up boolean)
AS 'MODULE_PATHNAME', 'pitr_set_backup_schedule'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_set_backup_schedule(text, jsonb, text) IS
    'Which snapshots of a branch are taken by themselves, in the place of those before; [] turns it off. Items: {"frequency": "hourly", "daily", "weekly", "monthly" or "yearly", "hour": 0-23, "day": 1-31 (of a week 1-7 from Monday), "month": 1-12} or {"cron": "0 5 * * *"}, with "retention_seconds" (3600 or more; none: for ever) and "active_only" (false: also when nothing was committed). An item that is there already keeps its id. 22023 names the item or the position';
REVOKE ALL ON FUNCTION pitr_set_backup_schedule(text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION pitr_set_backup_preset(preset text,
    branch text DEFAULT '^self')
RETURNS TABLE (id text, kind text, branch text, database text, cron text, item jsonb, timezone text, retention interval,
    next_run timestamptz, last_run timestamptz, last_state text, last_detail text, made_up boolean)
AS 'MODULE_PATHNAME', 'pitr_set_backup_preset'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_set_backup_preset(text, text) IS
    'Snapshot schedules and retention rules of a branch as a plan has them: neon-free (window of 24 hours), neon-launch (7 days), neon-scale (14 days), neon-business (30 days), prisma-pro (daily on active days, last 7), prisma-business (last 30), none (no schedule, no rules). 22023 another name';
REVOKE ALL ON FUNCTION pitr_set_backup_preset(text, text) FROM PUBLIC;

CREATE FUNCTION pitr_delete_schedule(schedule_id text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pitr_delete_schedule'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_delete_schedule(text) IS
    'Deletes a schedule, of whatever kind and branch. What it has made stays. 42704 for an unknown id.';
REVOKE ALL ON FUNCTION pitr_delete_schedule(text) FROM PUBLIC;

-- Logical dumps

CREATE FUNCTION pitr_create_dump(database text DEFAULT NULL,
    at text DEFAULT NULL,
    format text DEFAULT 'custom',
    schema_only boolean DEFAULT false,
    no_owner boolean DEFAULT false,
    no_privileges boolean DEFAULT false,
    globals boolean DEFAULT true,
    jobs integer DEFAULT 1,
    repository text DEFAULT NULL,
    wait boolean DEFAULT true)
RETURNS TABLE (id text, database text, format text, state text, point_lsn pg_lsn, point_time timestamptz, started_at timestamptz,
    duration interval, stored_bytes bigint, row_count bigint, objects bigint, expires_at timestamptz, repository text, detail text)
AS 'MODULE_PATHNAME', 'pitr_create_dump'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_create_dump(text, text, text, boolean, boolean, boolean, boolean, integer, text, boolean) IS
    'Dumps a database (NULL: all) into the repository with pg_dump, from a server at source[@point] (NULL: now), so that this one holds no snapshot for it. A dump is listed only when it was read back and has every row of that point. format custom, or directory (with jobs, needs room in the branch directory). globals: roles and tablespaces as well. repository: another one, for superusers and pg_write_server_files. 42704 no such database, 53100 no room, errors of pitr_open_at';
REVOKE ALL ON FUNCTION pitr_create_dump(text, text, text, boolean, boolean, boolean, boolean, integer, text, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_delete_dump(dump text)
RETURNS TABLE (freed_bytes bigint)
AS 'MODULE_PATHNAME', 'pitr_delete_dump'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_delete_dump(text) IS
    'Removes a dump, or the row of one that failed. Says so when it was the newest verified one of a database, which retention never removes. 55006 while it is made or a dump is restored';
REVOKE ALL ON FUNCTION pitr_delete_dump(text) FROM PUBLIC;

CREATE FUNCTION pitr_restore_dump(dump text,
    into_database text,
    jobs integer DEFAULT 1,
    no_owner boolean DEFAULT false,
    wait boolean DEFAULT true)
RETURNS TABLE (operation_id text, state text, database text)
AS 'MODULE_PATHNAME', 'pitr_restore_dump'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_restore_dump(text, text, integer, boolean, boolean) IS
    'Restores a dump (its id, or id/database for one of several) into a new database with pg_restore, which ends at the first error; compares row counts. The database is there when all of it is, or not at all. no_owner: everything belongs to the superuser and nothing is granted. 42710 the database exists, 58030 with the words of pg_restore';
REVOKE ALL ON FUNCTION pitr_restore_dump(text, text, integer, boolean, boolean) FROM PUBLIC;

CREATE FUNCTION pitr_internal_dumps()
RETURNS TABLE (id text, database text, format text, state text, point_lsn pg_lsn, point_time timestamptz, started_at timestamptz,
    duration interval, stored_bytes bigint, row_count bigint, objects bigint, expires_at timestamptz, repository text, detail text)
AS 'MODULE_PATHNAME', 'pitr_internal_dumps'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_internal_dumps() IS
    'Rows of the view pitr_dumps.';
REVOKE ALL ON FUNCTION pitr_internal_dumps() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_internal_dumps() TO pg_monitor;

CREATE VIEW pitr_dumps AS SELECT * FROM pitr_internal_dumps();
COMMENT ON VIEW pitr_dumps IS 'Logical dumps in the repository, those that run, and for a week those that failed. Sizes in bytes.';
REVOKE ALL ON pitr_dumps FROM PUBLIC;
GRANT SELECT ON pitr_dumps TO pg_monitor;

CREATE FUNCTION pitr_schedule_dump(database text DEFAULT NULL,
    cron text DEFAULT '0 5 * * *',
    retention interval DEFAULT '7 days',
    timezone text DEFAULT 'UTC',
    options jsonb DEFAULT '{}')
RETURNS TABLE (id text, kind text, branch text, database text, cron text, item jsonb, timezone text, retention interval,
    next_run timestamptz, last_run timestamptz, last_state text, last_detail text, made_up boolean)
AS 'MODULE_PATHNAME', 'pitr_schedule_dump'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_schedule_dump(text, text, interval, text, jsonb) IS
    'Dumps of a database, or of all (NULL), that are made by themselves, nightly by default, and kept for so long (NULL: for ever). options: format, schema_only, no_owner, no_privileges, globals, jobs, repository as of pitr_create_dump. One of the same database, cron and timezone is changed. 22023 names what is wrong, with its position in cron; 42704 no such database';
REVOKE ALL ON FUNCTION pitr_schedule_dump(text, text, interval, text, jsonb) FROM PUBLIC;

CREATE FUNCTION pitr_set_restore_window(branch text,
    duration interval)
RETURNS TABLE (branch text, duration interval, window_start timestamptz, bytes_unreachable bigint)
AS 'MODULE_PATHNAME', 'pitr_set_restore_window'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_set_restore_window(text, interval) IS
    'Says how far back every moment of a branch can be restored: an hour at least, or 0 for no history; NULL: pitr.restore_window again. bytes_unreachable: what goes for that, after pitr.retention_grace. 22023 under an hour';
REVOKE ALL ON FUNCTION pitr_set_restore_window(text, interval) FROM PUBLIC;

CREATE FUNCTION pitr_set_retention(branch text,
    keep_count integer DEFAULT NULL,
    daily integer DEFAULT NULL,
    weekly integer DEFAULT NULL,
    monthly integer DEFAULT NULL,
    yearly integer DEFAULT NULL)
RETURNS TABLE (branch text, keep_count integer, daily integer, weekly integer, monthly integer, yearly integer)
AS 'MODULE_PATHNAME', 'pitr_set_retention'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_set_retention(text, integer, integer, integer, integer, integer) IS
    'Says which snapshots of a branch stay beside those of its restore window: so many of the newest scheduled ones, and the newest one of so many days, weeks, months and years (UTC). What is left out or NULL keeps none. 22023 below 1';
REVOKE ALL ON FUNCTION pitr_set_retention(text, integer, integer, integer, integer, integer) FROM PUBLIC;

CREATE FUNCTION pitr_retention_preview(branch text DEFAULT NULL)
RETURNS TABLE (kind text, id text, name text, reason text, freed_bytes bigint, window_start_after timestamptz)
AS 'MODULE_PATHNAME', 'pitr_retention_preview'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pitr_retention_preview(text) IS
    'What retention would remove now, of all branches or one, were it not for pitr.retention_grace: a row for each snapshot and for the WAL of each branch, why, what it frees, and from when on every moment of the branch can be restored then. Changes nothing';
REVOKE ALL ON FUNCTION pitr_retention_preview(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pitr_retention_preview(text) TO pg_monitor;
