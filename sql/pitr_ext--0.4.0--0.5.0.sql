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
