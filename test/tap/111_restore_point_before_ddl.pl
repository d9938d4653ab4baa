# pitr.restore_point_before_ddl: a restore point of its own before each statement that changes definitions; and pitr_find_events on a
# branch, over a gap, and cancelled.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('points', conf => <<'CONF');
autovacuum = off
pitr.branch_ports = '6350-6359'
CONF

sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]); }
sub points { return value("SELECT string_agg(regexp_replace(object, '_\\d{8}T\\d{6}\\.\\d{6}Z\$', ''), ' ' ORDER BY lsn) FROM pitr_find_events(kinds => '{restore_point}')"); }

# --- off by default ---
value('CREATE TABLE quiet (id int); CREATE ROLE nobody_yet; DROP TABLE quiet');
is(points(), '', 'off: no restore points');

# --- on ---
value('CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 500) g');
value('ALTER SYSTEM SET pitr.restore_point_before_ddl = on; SELECT pg_reload_conf()');
poll_until($node, 'SHOW pitr.restore_point_before_ddl', 'on');
value('CREATE DATABASE shop');
value('CREATE TABLE goods AS SELECT g AS id FROM generate_series(1, 300) g', 'shop');
value('ALTER TABLE t ADD COLUMN v text');
value('CREATE SCHEMA s CREATE TABLE inner_one (id int) CREATE VIEW inner_view AS SELECT 1 AS one');
value(q{DO $$ BEGIN EXECUTE 'TRUNCATE s.inner_one'; END $$});
value('CREATE ROLE somebody');
my $before = contents($node);
value('DROP TABLE t');
my $before_database = contents($node);
value('DROP DATABASE shop');
value('DROP ROLE somebody');
# Nothing for what is no DDL, or none that anybody would go back for.
value('CREATE TEMP TABLE passing (id int); CREATE TEMP TABLE passing_too AS SELECT 1 AS a; INSERT INTO s.inner_one VALUES (1); DELETE FROM s.inner_one; VACUUM s.inner_one; ANALYZE; SET work_mem = 65536; CHECKPOINT');
is(refusal($node, 'BEGIN READ ONLY; DROP TABLE s.inner_one')->{sqlstate}, '25006', 'refused in a read-only transaction');
value("SET pitr.restore_point_before_ddl = off; CREATE TABLE not_told (id int)");
is(points(), join(' ', map { "before_ddl_$_" } qw(create_database create_table_as alter_table create_schema truncate_table create_role drop_table drop_database drop_role)),
	'one for each statement');
# A statement that fails leaves its point; an extension is one statement.
isnt(refusal($node, 'DROP TABLE never_was')->{sqlstate}, '', 'a statement that fails');
value('DROP EXTENSION pitr_ext; CREATE EXTENSION pitr_ext');
like(points(), qr/ before_ddl_drop_table before_ddl_drop_extension before_ddl_create_extension$/, '... has its point, and so has an extension as a whole');
is(refusal($node, 'SET ROLE nobody_yet; SET pitr.restore_point_before_ddl = off')->{sqlstate}, '42501', 'only superusers switch it');

# --- the point cannot be written ---
arm_fault('ddl.before_point error');
my $error = refusal($node, 'DROP TABLE s.inner_one');
is($error->{sqlstate}, '58030', 'an error when the point cannot be written');
like($error->{text}, qr/^could not write the restore point before DROP TABLE\n.*injected.*\n.*pitr\.restore_point_before_ddl = off/s, '... which says so and what to do');
is(value("SELECT to_regclass('s.inner_one') IS NOT NULL"), 't', 'and the statement was not run');
value('SET pitr.restore_point_before_ddl = off; DROP TABLE s.inner_one CASCADE');
clear_faults();

# --- gone back to by name ---
my $name = value("SELECT object FROM pitr_find_events(kinds => '{restore_point}') WHERE object LIKE 'before_ddl_drop_table_%' ORDER BY lsn LIMIT 1");
my $branch = psql_row($node, "SELECT * FROM pitr_create_branch('then', 'main\@name:$name')");
is($branch->{state}, 'running', 'a branch at the point before DROP TABLE') or diag($branch->{_err});
my $then = branch_node($node, 'then');
is(contents($then), $before, 'holds the table');

# --- events of another branch, and of a branch from within ---
$then->safe_psql('postgres', 'DELETE FROM t WHERE id > 100; SELECT pitr_check()');
my $there = q{SELECT concat_ws(' ', kind, object, row_count) || ' ' || (target LIKE 'then@%%') FROM pitr_find_events(kinds => '{delete}', min_rows => 400, branch => '%s')};
is($then->safe_psql('postgres', sprintf $there, '^self'), 'delete public.t 400 true', 'events of a branch, asked there');
is(value(sprintf $there, 'then'), 'delete public.t 400 true', '... and from its host');
is($then->safe_psql('postgres', q{SELECT count(*) FROM pitr_find_events(kinds => '{drop}') WHERE object = 'public.t'}), 0, 'what happened to its source behind the fork is not its history');

# --- cancelled ---
is(refusal($node, q{SET statement_timeout = '1ms'; SELECT count(*) FROM pitr_find_events(min_rows => 0)})->{sqlstate}, '57014', 'a statement that is cancelled');

# --- a gap ---
value('CREATE TABLE later AS SELECT 1 AS id; SELECT pg_switch_wal(); CREATE TABLE in_the_gap (id int)');
my $lost = value('SELECT pg_walfile_name(pg_current_wal_lsn())');
value('DROP TABLE later; SELECT pg_switch_wal(); CREATE TABLE after_it AS SELECT 1 AS id; SELECT pg_switch_wal()');
poll_until($node, "SELECT last_archived_wal > '$lost' FROM pg_stat_archiver", 't');
my $database_row = value("SELECT target FROM pitr_find_events(kinds => '{drop_database}')");
unlink glob(repository_of($node) . "/branches/*/wal/*/$lost") or die "no segment $lost";
my ($rc, $out, $err) = $node->psql('postgres', "SELECT object FROM pitr_find_events() WHERE object ~ 'later'");
like($err, qr/NOTICE:  WAL is missing from .* to /, 'a gap in the window is told');
is($out, 'public.later', '... and what lies before it is found');
($rc, $out, $err) = $node->psql('postgres', "SELECT object FROM pitr_find_events(until => now() - interval '1 hour')");
is($err, '', 'not when it is outside');

# --- by its target before the gap, in place ---
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$database_row')");
is($row->{outcome}, 'done', 'restored to before DROP DATABASE') or diag(explain($row));
is(contents($node), $before_database, 'with the database');
$node->stop;
done_testing();
