# What is asked of a whole database, whatever is in it: the ordered rows of every table, and whether what PostgreSQL keeps twice (in an index and
# in its table, in the visibility map and in the rows) agrees. Answers are text; equal databases give equal ones.
package ContentJudge;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';

our @EXPORT = qw(rows_of_database scans_of_database structures_of_database);

# "table|count|hash" of each table and materialised view, with catalogs => 1 of those of the system as well.
sub rows_of_database
{
	my ($node, $database, %options) = @_;
	my $which = $options{catalogs} ? '' : 'AND c.relnamespace NOT IN (\'pg_catalog\'::regnamespace, \'information_schema\'::regnamespace)';
	return $node->safe_psql($database, <<"SQL");
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(pitr_row::text, E''\\n'' ORDER BY pitr_row::text COLLATE "C"), '''')) FROM ONLY %s pitr_row',
    c.oid::regclass, c.oid::regclass)
  FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.relispopulated $which
  ORDER BY c.oid::regclass::text COLLATE "C" \\gexec
SQL
}

# A question about one table may fail for reasons of its own (an index on a function that was dropped): that is an answer too.
my $ask = <<'SQL';
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.ask(question text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE question INTO answer;
  RETURN coalesce(answer, '');
EXCEPTION WHEN OTHERS THEN
  RETURN sqlstate || ' ' || sqlerrm;
END $$;
SQL

# Every index that can answer alone is asked for its columns, and so is its table. Returns how many did answer alone, and what did not agree.
sub scans_of_database
{
	my ($node, $database) = @_;
	my $text = $node->safe_psql($database, $ask . <<'SQL');
CREATE FUNCTION pg_temp.differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  question text; by_heap text; by_index text; line text; alone bigint := 0;
BEGIN
  FOR question IN SELECT DISTINCT format(
      'SELECT count(*) || '' '' || md5(coalesce(string_agg(ROW(%1$s)::text, E''\n'' ORDER BY ROW(%1$s)::text COLLATE "C"), '''')) FROM ONLY %2$s',
      (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum), c.oid::regclass)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE m.amname = 'btree' AND c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p' AND c.relispopulated
      AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  LOOP
    PERFORM set_config('enable_seqscan', 'on', false), set_config('enable_indexscan', 'off', false);
    by_heap := pg_temp.ask(question);
    PERFORM set_config('enable_seqscan', 'off', false), set_config('enable_indexscan', 'on', false);
    by_index := pg_temp.ask(question);
    IF by_heap <> by_index THEN
      RETURN NEXT format('%s: %s by index, %s by heap', question, by_index, by_heap);
    END IF;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || question LOOP
      alone := alone + (line LIKE '%Index Only Scan%')::int;
    END LOOP;
  END LOOP;
  RETURN NEXT alone;
END $$;
SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0;
SELECT * FROM pg_temp.differences();
SQL
	my ($bad, $count) = $text =~ /\A(.*?)\n?(\d+)\z/s;
	return ($count, $bad);
}

# What amcheck and pg_visibility find, with every row of a table looked for in its indexes.
sub structures_of_database
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, "SET client_min_messages = warning;\n"
		  . "CREATE EXTENSION IF NOT EXISTS amcheck; CREATE EXTENSION IF NOT EXISTS pg_visibility;\n" . $ask . <<'SQL');
SELECT * FROM (
  SELECT x.oid::regclass AS relation, pg_temp.ask(format('SELECT bt_index_check(%s, true)', x.oid)) AS found
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    WHERE m.amname = 'btree' AND x.relkind = 'i' AND x.relpersistence = 'p' AND i.indisvalid
  UNION ALL
  SELECT c.oid::regclass, pg_temp.ask(format(question, c.oid)) FROM pg_class c JOIN pg_am m ON m.oid = c.relam, (VALUES
      ('SELECT string_agg(v::text, '' '') FROM verify_heapam(%s) v'),
      ('SELECT ''not visible: '' || string_agg(t_ctid::text, '' '') FROM pg_check_visible(%s) t_ctid'),
      ('SELECT ''not frozen: '' || string_agg(t_ctid::text, '' '') FROM pg_check_frozen(%s) t_ctid')) q(question)
    WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence = 'p' AND m.amname = 'heap') all_found
  WHERE found <> '' ORDER BY relation::text COLLATE "C", found COLLATE "C"
SQL
}

1;
