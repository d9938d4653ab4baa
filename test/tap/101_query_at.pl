# pitr_query_at and pitr_query_json_at: rows are those of then, it runs as the caller with the rights of then and nobody gets further than that, what is
# wrong with a query is told as the server of the past says it.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use Cwd qw(abs_path);
use FaultTest;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 60\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
sub quoted { return '$q$' . $_[0] . '$q$'; }
my $has_dblink = value("SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'");
value('CREATE EXTENSION dblink') if $has_dblink;
value(<<'SQL');
CREATE ROLE clerk NOLOGIN;
CREATE ROLE chief SUPERUSER;
CREATE ROLE deputy IN ROLE chief;
CREATE ROLE auditor IN ROLE pg_read_server_files;
GRANT EXECUTE ON FUNCTION pitr_query_at(text, text, text), pitr_query_json_at(text, text, text) TO PUBLIC;
CREATE SCHEMA shop;
GRANT USAGE, CREATE ON SCHEMA shop TO PUBLIC;
CREATE TYPE shop.mood AS ENUM ('sad', 'glad');
CREATE TABLE shop.orders AS SELECT g AS id, md5(g::text) AS name, g * 1.5 AS price, (g % 7) / 3.0::float8 AS weight,
  '2026-01-01'::timestamptz + g * interval '1 hour' AS at, g * interval '-1 day 2 hours' AS age, decode(md5(g::text), 'hex') AS raw,
  ARRAY[g::text, NULL, 'a"b'] AS tags, jsonb_build_object('g', g) AS extra, (ARRAY['sad', 'glad']::shop.mood[])[g % 2 + 1] AS mood,
  CASE WHEN g % 3 = 0 THEN NULL ELSE g END AS odd FROM generate_series(1, 3000) g;
CREATE TABLE shop.secret AS SELECT 'key' AS word;
GRANT SELECT, INSERT ON shop.orders TO clerk;
CREATE FUNCTION shop.sneak() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('default_transaction_read_only', 'off', false); INSERT INTO shop.orders(id) VALUES (0); RETURN 1; END $$;
CREATE FUNCTION shop.run(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE $1; RETURN 1; END $$;
SQL
my $columns = 'id int, name text, price numeric, weight float8, at timestamptz, age interval, raw bytea, tags text[], extra jsonb, mood shop.mood, odd int';
my $hash = 'SELECT count(*), md5(string_agg(o::text, chr(10) ORDER BY id))';
my $then = value("$hash FROM shop.orders o");
my $point = 'main@' . text_time($node);
value(<<'SQL');
REVOKE SELECT ON shop.orders FROM clerk;
GRANT SELECT ON shop.secret TO clerk;
ALTER ROLE chief NOSUPERUSER;
CREATE ROLE newcomer;
ALTER TABLE shop.orders DROP COLUMN mood;
DROP TYPE shop.mood;
CREATE TYPE shop.mood AS ENUM ('glad', 'sad', 'both');
UPDATE shop.orders SET name = 'overwritten';
SQL

# The statement that asks, as a role, and how it fails.
sub ask { my ($query, $as, $list) = @_; return ($as ? "SET ROLE $as; " : '') . "SELECT * FROM pitr_query_at('$point', " . quoted($query) . ") AS t($list)"; }
sub asked { return value(ask(@_)); }
sub refused_at
{
	my ($query, $sqlstate, $name, $as, $list) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, ask($query, $as, $list // 'a int'));
	is($refusal->{sqlstate}, $sqlstate, $name // $query) or diag($refusal->{err}, $refusal->{out});
	return $refusal;
}

# --- rows ---
is(value("$hash FROM (SELECT * FROM pitr_query_at('$point', 'SELECT * FROM shop.orders') AS t($columns)) o"), $then, 'all rows, of every type, are those of then');
is(value("SELECT count(*), sum((j->>'id')::int) FROM pitr_query_json_at('$point', 'SELECT * FROM shop.orders ORDER BY id; -- all') j"), '3000|4501500', 'as JSON as well');
is(value("SELECT * FROM pitr_query_json_at('$point', 'SELECT id, name, odd FROM shop.orders WHERE id = 3 -- one')"), '{"id": 3, "odd": null, "name": "eccbc87e4b5ce2fe28308fd9f2a7baf3"}', 'a row of JSON');
like(value("SELECT * FROM pitr_query_json_at('$point', 'EXPLAIN SELECT 1') LIMIT 1"), qr/QUERY PLAN.*Result/, 'EXPLAIN too');
is(asked('SELECT count(*)::int FROM shop.orders WHERE false', undef, 'n int'), '0', 'an aggregate');
is(asked('SELECT 1 WHERE false', undef, 'n int'), '', 'no row');
is(value("SELECT o.id FROM shop.orders o JOIN pitr_query_at('$point', 'SELECT id, name FROM shop.orders') AS t(id int, name text) ON t.id = o.id AND t.name <> o.name ORDER BY 1 LIMIT 1"), '1', 'joined with the present');
is(value("SET search_path = shop, public; SET TimeZone = 'Asia/Tokyo'; SELECT * FROM pitr_query_at('$point', \$\$SELECT name, '2026-01-01 00:00'::timestamptz, current_setting('TimeZone') FROM orders WHERE id = 1\$\$) AS t(name text, at timestamptz, zone text)"),
	'c4ca4238a0b923820dcc509a6f75849b|2026-01-01 00:00:00+09|Asia/Tokyo', 'search path and time zone are the caller\'s');
is(value("SELECT count(*) FROM pitr_operations WHERE kind = 'look'"), '1', 'all of that from one server');
my $began = time;
asked('SELECT 1', undef, 'n int') for 1 .. 5;
diag(sprintf 'warm: %.3f s each, psql included', (time - $began) / 5);

# --- as whom ---
is(asked('SELECT current_user::text, session_user::text, count(*)::int FROM shop.orders', 'clerk', 'a text, b text, n int'), 'clerk|clerk|3000', 'a role that cannot log in reads what it could read then');
like(refused_at('SELECT 1 FROM shop.secret', '42501', 'and nothing else, whatever it may today', 'clerk')->{text}, qr/permission denied for table secret/, 'in the words of then');
like(refused_at('SELECT 1', '42704', 'a role that was not there then', 'newcomer')->{text}, qr/"newcomer" did not exist/, 'is named');
refused_at('SELECT 1', '42501', "$_ could do more to the machine then than today", $_) foreach qw(chief deputy);
is(asked('SELECT 1', 'auditor', 'n int'), '1', 'one that still may is let in');

# --- the hostile query ---
my $mark = '/tmp/pitr-hostile-' . $$;
foreach my $hostile (
	[ 'RESET ROLE', '42501' ], [ 'SET ROLE postgres', '42501' ], [ 'SET SESSION AUTHORIZATION DEFAULT', '42501' ], [ "COPY (SELECT 1) TO PROGRAM 'touch $mark'", '42501' ], [ 'COPY shop.secret TO STDOUT', '42501' ],
	[ 'DO $$ BEGIN END $$', '42501' ], [ 'SET default_transaction_read_only = off', '42501' ], [ 'BEGIN READ WRITE', '42501' ], [ 'CALL x()', '42883' ],
	[ q{SELECT set_config('role', (SELECT rolname FROM pg_roles WHERE oid = 10), false)::int}, '42501' ],
	[ q{SELECT set_config('session_authorization', (SELECT rolname FROM pg_roles WHERE oid = 10), false)::int}, '42501' ],
	[ "SELECT shop.run('COPY (SELECT 1) TO PROGRAM ''touch $mark''')", '42501' ], [ "SELECT shop.run('SET SESSION AUTHORIZATION ' || (SELECT rolname FROM pg_roles WHERE oid = 10))", '42501' ],
	[ q{SELECT length(pg_read_file('postgresql.conf'))}, '42501' ], [ q{SELECT pg_promote(false)::int}, '42501' ], [ 'SELECT shop.sneak()', '25006' ], [ q{SELECT shop.run('SET transaction_read_only = off; INSERT INTO shop.orders(id) VALUES (0)')}, '25001' ],
	[ 'INSERT INTO shop.orders(id) VALUES (0)', '25006' ], [ 'INSERT INTO shop.orders(id) VALUES (0) RETURNING id', '25006' ], [ 'SELECT 1 AS a INTO shop.x', '25006' ], [ 'CREATE TABLE shop.x (a int)', '25006' ], [ 'WITH w AS (INSERT INTO shop.orders(id) VALUES (0) RETURNING id) SELECT id FROM w', '25006' ],
	[ 'SELECT 1; SELECT 2', '42601' ], [ 'SELECT 1) q, (SELECT 2', '42601' ], [ '', '42501' ], [ 'SELECT $1::int', '42P02' ])
{
	refused_at($hostile->[0], $hostile->[1], "refused: $hostile->[0]", 'clerk');
}
refused_at("COPY (SELECT 1) TO PROGRAM 'touch $mark'", '42501', 'a superuser does not get that either');
refused_at("SELECT 1 FROM dblink('dbname=postgres port=" . $node->port . " host=" . $node->host . "', 'SELECT 1') AS t(a int)", '2F003', 'dblink leads nowhere', 'clerk') if $has_dblink;
ok(!-e $mark, 'no program was run');
is(value("SELECT * FROM pitr_query_at('$point', 'SELECT count(*) FROM shop.orders') AS t(n bigint)"), '3000', 'and nothing has changed there');

# --- what is wrong with a query ---
my $wrong = refused_at('SELECT 1, nocolumn FROM shop.orders', '42703', 'an unknown column');
like($wrong->{err}, qr/LINE 1: SELECT 1, nocolumn.*\n {18}\^/, 'with its place') or diag($wrong->{err});
refused_at('SELEC 1', '42601', 'no SQL');
refused_at('SELECT 1 / (id - 7) FROM shop.orders', '22012', 'an error behind some rows');
like(refused_at('SELECT id, name FROM shop.orders', '42804', 'more columns')->{err}, qr/DETAIL:  The query returns \(integer, text\), the column list says \(integer\)/, 'both are told');
refused_at('SELECT id FROM shop.orders', '42804', 'another type', undef, 'a text');
refused_at(q{SELECT 'sad'::shop.mood}, '42804', 'a type that is not the caller\'s', undef, 'a int');
is(refusal($node, "SELECT pitr_query_at('$point', 'SELECT 1')")->{sqlstate} =~ /^(42601|0A000)$/, 1, 'no column list');
is(refusal($node, "SELECT * FROM pitr_query_at(NULL, 'SELECT 1') AS t(a int)")->{sqlstate}, '22023', 'no point');
is(refusal($node, "SELECT * FROM pitr_query_at('$point', 'SELECT 1', 'nowhere') AS t(a int)")->{sqlstate}, '3D000', 'no such database then');
is(value("SELECT * FROM pitr_query_at('$point', 'SELECT current_database()::text', 'template1') AS t(a text)"), 'template1', 'another database');
is(refusal($node, "SET work_mem = '64kB'; SET temp_file_limit = '1MB'; " . ask('SELECT g FROM generate_series(1, 300000) g', undef, 'g int'))->{sqlstate}, '53400', 'temp_file_limit holds');

# --- cancelled ---
my $look = open_at($node, $point);
my $past = look_node($node, $look);
$began = time;
is(refusal($node, "SET statement_timeout = '300ms'; " . ask('SELECT 1 FROM pg_sleep(60)', undef, 'n int'))->{sqlstate}, '57014', 'statement_timeout ends it');
cmp_ok(time - $began, '<', 5, 'at once');
ok(poll_until($past, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pitr_query_at'", 0, 10), 'there as well');
is(asked('SELECT 1', undef, 'n int'), '1', 'the next one is answered');

ok(no_look_is_left($node, abs_path($node->data_dir) . '.pitr'), 'it goes when it is off');
$node->stop;
done_testing();
