-- What the extension installs: every function described, nothing open to PUBLIC, monitors may look.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pitr_ext;
RESET client_min_messages;
SELECT p.proname, count(*) FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pitr_ext' GROUP BY 1 ORDER BY 1;
SELECT p.oid::regprocedure AS without_comment FROM pg_proc p WHERE p.proname LIKE 'pitr\_%'
  AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT p.oid::regprocedure AS open_to_public FROM pg_proc p, aclexplode(p.proacl) a
  WHERE p.proname LIKE 'pitr\_%' AND a.grantee = 0;
SELECT c.relname, obj_description(c.oid, 'pg_class') IS NOT NULL AS described,
       has_table_privilege('pg_monitor', c.oid, 'SELECT') AS monitor
FROM pg_class c WHERE c.relkind = 'v' AND c.relname LIKE 'pitr\_%' ORDER BY 1;
-- Named notation works with every argument: none is a reserved word.
SELECT p.possible IS NOT NULL AS answered FROM pitr_plan_restore(target => 'yesterday'::text, inclusive => true,
  preserve_under_name => NULL, preserve => true, finalize => true, keep_passwords => true, force => false) p;
-- All four shapes resolve.
SELECT count(*) FROM pitr_plan_restore('2026-11-20T10:00:00Z');
SELECT count(*) FROM pitr_plan_restore(now());
SELECT count(*) FROM pitr_plan_restore('0/1000000'::pg_lsn);
SELECT count(*) FROM pitr_plan_restore('main', '^self@0/1000000');
SELECT count(*) FROM pitr_plan_restore('yesterday', preserve_under_name => 'before');
