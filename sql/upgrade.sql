-- From each earlier version an update leads to what a fresh installation has: objects, definitions, comments, privileges; and the
-- library answers through the objects of every version.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pitr_ext;
CREATE EXTENSION pitr_ext;
CREATE FUNCTION members() RETURNS TABLE (object text, definition text, description text, privileges text) LANGUAGE sql AS $$
  SELECT pg_describe_object(d.classid, d.objid, 0), pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'), p.proacl::text
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pitr_ext'
  JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  UNION ALL
  SELECT pg_describe_object(d.classid, d.objid, 0), pg_get_viewdef(c.oid), obj_description(c.oid, 'pg_class'), c.relacl::text
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pitr_ext'
  JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  UNION ALL
  SELECT pg_describe_object(d.classid, d.objid, 0), NULL, NULL, NULL
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'pitr_ext'
  WHERE d.classid NOT IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_type'::regclass)
$$;
CREATE TABLE fresh AS SELECT * FROM members();
SELECT count(*) > 30 AS all_there, count(*) FILTER (WHERE description IS NULL) AS undescribed,
       count(*) FILTER (WHERE privileges IS NULL) AS open FROM fresh;
-- What of an installation differs from another: nothing.
CREATE TABLE differences (version text, object text);
-- What could not be asked through the objects of a version: nothing. Calls without arguments that only look, and every view.
CREATE TABLE failures (version text, statement text, message text);
DO $do$
DECLARE
  earlier record;
  asked record;
BEGIN
  FOR earlier IN SELECT version FROM pg_available_extension_versions WHERE name = 'pitr_ext' LOOP
    DROP EXTENSION pitr_ext;
    EXECUTE format('CREATE EXTENSION pitr_ext VERSION %L', earlier.version);
    FOR asked IN SELECT 'SELECT count(*) FROM ' || object_name || CASE WHEN m.object LIKE 'function %' THEN '()' ELSE '' END AS statement
        FROM members() m, regexp_replace(m.object, '^(view|function) ([a-z_]+).*', '\2') object_name
        WHERE m.object LIKE 'view %' OR object_name IN ('pitr_restore_window', 'pitr_gaps', 'pitr_verify')
        UNION ALL SELECT $$SELECT count(*) FROM pitr_plan_restore('yesterday')$$
        UNION ALL SELECT $$SELECT count(*) FROM pitr_lsn_at(now())$$
        UNION ALL SELECT $$SELECT count(*) FROM pitr_restore_window() w, pitr_time_of(w.latest_lsn)$$ LOOP
      BEGIN
        EXECUTE asked.statement;
      EXCEPTION WHEN OTHERS THEN
        INSERT INTO failures VALUES (earlier.version, asked.statement, SQLERRM);
      END;
    END LOOP;
    EXECUTE 'ALTER EXTENSION pitr_ext UPDATE';
    INSERT INTO differences SELECT earlier.version, object FROM
      ((TABLE fresh EXCEPT SELECT * FROM members()) UNION ALL (SELECT * FROM members() EXCEPT TABLE fresh)) d;
  END LOOP;
END
$do$;
SELECT * FROM differences;
SELECT * FROM failures;
DROP TABLE fresh, differences, failures;
DROP FUNCTION members();
