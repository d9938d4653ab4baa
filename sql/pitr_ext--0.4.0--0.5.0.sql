-- From pitr_ext 0.4.0 to 0.5.0: what schedules, retention, dumps and drills brought.
\echo Use "ALTER EXTENSION pitr_ext UPDATE TO '0.5.0'" to load this file. \quit

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
