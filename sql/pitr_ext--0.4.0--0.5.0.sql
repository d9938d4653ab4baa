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
