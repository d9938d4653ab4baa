# pitr_find_events: what happened is found in the WAL, under the names of then, and its target leads to just before it: every target is
# planned, those of each kind are restored. Row counts are pg_waldump's.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('found', conf => <<'CONF');
max_prepared_transactions = 5
autovacuum = off
wal_keep_size = 1GB
pitr.branch_ports = '6340-6349'
CONF

sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

# Events of an accident: kind, database, object, rows, detail.
sub found
{
	my ($where, $arguments) = @_;
	return value("SELECT concat_ws(' ', kind, database, object, row_count, detail) FROM pitr_find_events(" . ($arguments // 'min_rows => 100') . ") $where");
}

my (%before, %xid, @names);

# Does something in a transaction of its own, and remembers what there was before and which transaction it was.
sub accident
{
	my ($name, $sql, $database) = @_;
	$before{$name} = contents($node);
	my @lines = split /\n/, value("BEGIN; $sql; SELECT 'xid ' || pg_current_xact_id(); COMMIT", $database);
	($xid{$name}) = map { /^xid (\d+)/ ? $1 : () } @lines;
	push @names, $name;
	return;
}

# --- something to lose ---
value(<<'SQL');
CREATE SCHEMA sales;
CREATE TABLE sales.orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 3000) g;
CREATE TABLE sales.lines (id int PRIMARY KEY, order_id int, note text);
INSERT INTO sales.lines SELECT g, g % 3000, repeat('x', 20) FROM generate_series(1, 2000) g;
CREATE TABLE events (id int, what text) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (1000);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (1000) TO (2000);
INSERT INTO events SELECT g, 'e' FROM generate_series(0, 1999) g;
CREATE TABLE "Odd name" (id serial PRIMARY KEY, v text);
INSERT INTO "Odd name" (v) SELECT 'v' FROM generate_series(1, 500);
CREATE TABLE kept AS SELECT g AS id FROM generate_series(1, 1500) g;
CREATE VIEW some_view AS SELECT * FROM sales.orders;
CREATE DATABASE shop;
SQL
value('CREATE TABLE goods AS SELECT g AS id, g * 2 AS price FROM generate_series(1, 800) g', 'shop');
value('CHECKPOINT');
sleep 0.01;
my $since = value('SELECT clock_timestamp()');

# --- accidents ---
accident('delete', 'DELETE FROM sales.orders WHERE id > 1000');
accident('update', "UPDATE sales.lines SET note = 'changed' WHERE id <= 700");
accident('subtransactions', 'DELETE FROM sales.lines WHERE id <= 100; SAVEPOINT a; DELETE FROM sales.lines WHERE id BETWEEN 101 AND 250; RELEASE a; SAVEPOINT b; DELETE FROM sales.lines WHERE id > 1000; ROLLBACK TO b; UPDATE sales.lines SET order_id = 1 WHERE id BETWEEN 1001 AND 1150');
accident('moved', 'UPDATE events SET id = id + 1000 WHERE id < 300');
accident('rename', 'ALTER TABLE sales.orders RENAME TO old_orders');
accident('delete again', 'DELETE FROM sales.old_orders WHERE id <= 500');
accident('truncate partitioned', 'TRUNCATE events');
accident('add column', 'ALTER TABLE kept ADD COLUMN c int');
accident('drop column', 'ALTER TABLE kept DROP COLUMN c');
accident('rewrite', 'ALTER TABLE kept ALTER COLUMN id TYPE bigint');
value('VACUUM FULL sales.lines');
value('CLUSTER sales.lines USING lines_pkey');
value('VACUUM FULL pg_class');
value('VACUUM FULL pg_namespace');
accident('delete after the rewrite', 'DELETE FROM kept WHERE id <= 400');
accident('function', 'CREATE FUNCTION sales.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$');
accident('drop function', 'DROP FUNCTION sales.f()');
accident('drop with odd name', 'DROP TABLE "Odd name"');
accident('truncate', 'TRUNCATE kept');
value('SET wal_compression = on; CHECKPOINT; CREATE TABLE compressed AS SELECT g AS id FROM generate_series(1, 300) g');
my ($aborted) = split /\n/, value('BEGIN; DROP TABLE sales.lines; TRUNCATE compressed; DELETE FROM sales.old_orders; SELECT pg_current_xact_id(); ROLLBACK');
$before{prepared} = contents($node);
value("BEGIN; DELETE FROM compressed WHERE id <= 200; DROP TABLE events; PREPARE TRANSACTION 'half'");
my $undecided = found("WHERE NOT committed ORDER BY kind", 'min_rows => 100');
value("COMMIT PREPARED 'half'");
accident('drop in another database', 'DROP TABLE goods', 'shop');
value("CREATE TABLE goods AS SELECT g AS id FROM generate_series(1, 100) g", 'shop');
accident('schema', 'DROP SCHEMA sales CASCADE');
value('CREATE TABLE loaded (id int); COPY loaded FROM PROGRAM \'seq 1 5000\'; DELETE FROM loaded WHERE id > 4900');
value('BEGIN; CREATE TEMP TABLE passing AS SELECT 1 AS a; UPDATE passing SET a = 2; DROP TABLE passing; COMMIT');
value("SELECT pg_create_restore_point('a place')");
$before{database} = contents($node);
value('DROP DATABASE shop');
value("CREATE ROLE somebody; DROP ROLE somebody");

# --- what was found ---
my %expected = (
	'delete' => 'delete postgres sales.orders 2000',
	'update' => 'update postgres sales.lines 700',
	'subtransactions' => "delete postgres sales.lines 250\nupdate postgres sales.lines 150",
	'moved' => 'update postgres public.events_1 300',
	'rename' => 'ddl postgres sales.orders table renamed to sales.old_orders',
	'delete again' => 'delete postgres sales.old_orders 500',
	'truncate partitioned' => "truncate postgres public.events_1\ntruncate postgres public.events_2",
	'add column' => 'ddl postgres public.kept table changed',
	'drop column' => 'ddl postgres public.kept table changed',
	'rewrite' => 'ddl postgres public.kept table rewritten',
	'delete after the rewrite' => 'delete postgres public.kept 400',
	'function' => 'ddl postgres sales.f function created',
	'drop function' => 'drop postgres sales.f function',
	'drop with odd name' => 'drop postgres public."Odd name" table',
	'truncate' => 'truncate postgres public.kept',
	'drop in another database' => 'drop shop public.goods table',
	'schema' => "drop postgres sales schema\ndrop postgres public.some_view view\ndrop postgres sales.lines table\ndrop postgres sales.old_orders table");
my $all = value("SELECT string_agg(concat_ws(' ', commit_xid, kind, database, object, row_count, detail), E'\\n' ORDER BY lsn) FROM pitr_find_events('$since', min_rows => 100)");
foreach my $name (@names)
{
	is(join("\n", sort map { /^$xid{$name} (.*)/ ? $1 : () } split /\n/, $all), join("\n", sort split /\n/, $expected{$name}), "found: $name");
}
unlike($all, qr/^$aborted /m, 'nothing of a transaction that was rolled back');
is(found('WHERE kind = \'drop\' AND object ~ \'lines\' AND commit_xid <> ' . "'$xid{schema}'"), '', 'no drop of tables that VACUUM FULL and CLUSTER rewrote');
is(found("WHERE detail = 'table rewritten' AND object = 'sales.lines'"), join("\n", ('ddl postgres sales.lines table rewritten') x 2), '... which are told as rewritten');
is($undecided, "delete postgres public.compressed 200\ndrop postgres public.events partitioned table\ndrop postgres public.events_1 table\ndrop postgres public.events_2 table",
	'a prepared transaction that is not decided is not committed');
is(found("WHERE object ~ '^public.events' AND kind = 'drop' AND committed"), "drop postgres public.events partitioned table\ndrop postgres public.events_1 table\ndrop postgres public.events_2 table", '... and is when it was');
is(found('', "kinds => '{drop_database,restore_point}'"), "restore_point a place\ndrop_database shop shop", 'a dropped database, a restore point');
is(found("WHERE object ~ 'somebody'"), "ddl somebody role created\ndrop somebody role", 'roles');
is(found("WHERE object ~ 'loaded'", 'min_rows => 50'), "ddl postgres public.loaded table created\ndelete postgres public.loaded 100", 'rows that COPY brought');
unlike($all, qr/passing|pg_temp|pg_toast|pg_class/, 'nothing of temporary tables, TOAST or catalogs');
is(found('', "min_rows => 100, relation => 'sales.orders'"), "ddl postgres sales.orders table created\ndelete postgres sales.orders 2000\nddl postgres sales.orders table renamed to sales.old_orders", 'of one relation, by its name then');
is(found('', "relation => 'orders', kinds => '{delete}'"), 'delete postgres sales.orders 2000', '... or without its schema');
is(found('', "kinds => '{delete,update}', min_rows => 1000"), 'delete postgres sales.orders 2000', 'rows enough');
is(found("WHERE object IS NULL"), '', 'everything has a name');
is(found('', "since => '$since'::timestamptz - interval '1 hour', until => '$since', kinds => '{delete,truncate,drop}'"), '', 'nothing happened before');

# --- pg_waldump is the judge of rows ---
my ($first, $last) = split /\n/, value("SELECT pg_walfile_name(s.start_lsn) FROM pitr_snapshots s LIMIT 1; SELECT pg_walfile_name(pg_current_wal_lsn())");
my ($dump, $errors) = ('', '');
IPC::Run::run([ 'pg_waldump', '-p', $node->data_dir . '/pg_wal', '-r', 'Heap', $first, $last ], '>', \$dump, '2>', \$errors);
my %judged;
while ($dump =~ /tx:\s+(\d+),.*? desc: (DELETE|UPDATE|HOT_UPDATE).*?blkref #0: rel \d+\/(\d+)\/(\d+)/g)
{
	$judged{$1}{ $2 eq 'DELETE' ? 'delete' : 'update' }++ if $4 >= 16384;
}
foreach my $name ('delete', 'update', 'delete again', 'delete after the rewrite')
{
	my ($kind, $count) = $all =~ /^$xid{$name} (delete|update) .* (\d+)$/m;
	is($count, $judged{ $xid{$name} }{$kind}, "rows of $name as pg_waldump counts them");
}

# --- every target is a point just before ---
my %target = map { my ($xid, $target) = split / /, $_; ($xid => $target) } split /\n/,
  value("SELECT commit_xid || ' ' || target FROM pitr_find_events('$since', min_rows => 100) WHERE commit_xid IS NOT NULL");
foreach my $name (@names)
{
	my $plan = plan_of($node, "'$target{$xid{$name}}'");
	is("$plan->{possible} $plan->{next_commit_xid}", "t $xid{$name}", "the target of $name lies right before it") or diag(explain($plan));
}

# --- and what is restored there is what there was ---
sub branch_holds
{
	my ($name, $target, $contents) = @_;
	my $branch = psql_row($node, "SELECT * FROM pitr_create_branch('$name', '$target')");
	is($branch->{state}, 'running', "a branch at $target") or diag($branch->{_err});
	# What is prepared there holds its locks, as it did.
	my $prepared = branch_node($node, $name)->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
	branch_node($node, $name)->safe_psql('postgres', "ROLLBACK PREPARED '$prepared'") if $prepared ne '';
	is(contents(branch_node($node, $name)), $contents, "... holds what there was before: $name");
	value("SELECT pitr_delete_branch('$name', force => true)");
	return;
}
branch_holds('schema', $target{ $xid{schema} }, $before{schema});
branch_holds('delete', $target{ $xid{delete} }, $before{delete});
branch_holds('truncated', $target{ $xid{'truncate partitioned'} }, $before{'truncate partitioned'});
branch_holds('prepared', value("SELECT target FROM pitr_find_events('$since', kinds => '{drop}') WHERE object = 'public.events'"), $before{prepared});
if (($ENV{PITR_SWEEP} // '') eq 'full')
{
	branch_holds("at $_", $target{ $xid{$_} }, $before{$_}) foreach grep { !/^(schema|delete|truncate partitioned)$/ } @names;
}

# --- bad input ---
my %refused = (
	"since => now(), until => now() - interval '1 hour'" => [ '22023', qr/^since .* is later than until / ],
	"kinds => '{drop,vanish}'" => [ '22023', qr/unknown kind of event "vanish"/ ],
	'min_rows => -5' => [ '22023', qr/min_rows must not be negative: -5/ ],
	'min_rows => NULL' => [ '22023', qr/min_rows must not be null/ ],
	"since => 'infinity'" => [ '22007', qr/infinity/ ],
	"branch => 'nobody'" => [ '42704', qr/nobody not found/ ]);
foreach my $arguments (sort keys %refused)
{
	my $error = refusal($node, "SELECT * FROM pitr_find_events($arguments)");
	is($error->{sqlstate}, $refused{$arguments}[0], "refused: $arguments");
	like($error->{text}, $refused{$arguments}[1], '... and says why') or diag(explain($error));
}
like(refusal($node, q{SELECT * FROM pitr_find_events(kinds => '{x}')})->{text}, qr/drop, truncate, delete, update, ddl, drop_database, restore_point/, 'valid kinds are listed');

# --- the database comes back in place, from before it was marked as being dropped ---
my $row = restore($node, "SELECT * FROM pitr_restore_branch('" . value("SELECT target FROM pitr_find_events(kinds => '{drop_database}')") . "')");
is($row->{outcome}, 'done', 'restored to before DROP DATABASE') or diag(explain($row));
is(contents($node), $before{database}, 'with the database and all else');
$node->stop;
done_testing();
