# Drills: a point is restored beside the server and looked at. One that is sound passes, and what is measured is there; one of a damaged snapshot does
# not; nothing is left behind, however it ends.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('main', init => { extra => ['--data-checksums'] }, conf => "autovacuum = off\nmax_prepared_transactions = 5\nmax_worker_processes = 16\n");
my $place = $node->data_dir . '.pitr';
sub value { return $node->safe_psql('postgres', $_[0]); }
sub drill { my ($arguments) = @_; return psql_row($node, "SELECT * FROM pitr_run_drill($arguments)"); }
sub last_drill { return psql_row($node, 'SELECT * FROM pitr_drills ORDER BY started_at DESC LIMIT 1'); }
sub left { return join ' ', grep { m{/(?:br|op)-[^/]*$} && !/\.log$/ } glob("$place/*"), glob($node->data_dir . '/pitr/cache/drill-*'); }

# Without one before it is a full one, which reads every file.
sub only_snapshot
{
	my ($name) = @_;
	value('SELECT count(*) FROM pitr_snapshots s, pitr_delete_snapshot(s.id)');
	is(psql_row($node, "SELECT * FROM pitr_create_snapshot('$name')")->{kind}, 'full', "snapshot $name");
	return;
}

value(<<'SQL');
CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 5000) g;
CREATE INDEX stones_name ON stones (name);
CREATE SCHEMA "Odd one"; CREATE TABLE "Odd one"."a ""table" (); INSERT INTO "Odd one"."a ""table" DEFAULT VALUES;
CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (1), (2);
CREATE MATERIALIZED VIEW seen AS SELECT * FROM stones WHERE id <= 10; CREATE MATERIALIZED VIEW unseen AS SELECT 1 WITH NO DATA;
CREATE UNLOGGED TABLE fast AS SELECT 1;
SQL
value('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE TABLE t AS SELECT generate_series(1, 7)');
value(q{BEGIN; LOCK TABLE stones IN ACCESS EXCLUSIVE MODE; INSERT INTO stones VALUES (0, 'prepared'); PREPARE TRANSACTION 'p'});
is(value('SELECT count(*) FROM pitr_drills'), 0, 'none yet');
value(q{ROLLBACK PREPARED 'p'});
value(q{BEGIN; INSERT INTO parts VALUES (3); PREPARE TRANSACTION 'q'});

# --- sound ---
my $row = drill(q{queries => ARRAY['SELECT count(*) = 5000 FROM stones', 'SELECT pg_is_in_recovery() = false']});
is("$row->{amcheck_ok} $row->{checksums_ok} $row->{queries_ok} $row->{passed}", 't t t t', 'all is well') or diag(explain($row));
is("$row->{row_count} $row->{row_count_expected}", '5013 5013', 'as many rows as there were');
is($row->{relations}, value(q{SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm') AND relpersistence = 'p' AND relispopulated AND relnamespace <> 'pg_catalog'::regnamespace AND relnamespace <> 'information_schema'::regnamespace}) + 1, 'all tables of all databases were read');
cmp_ok(value("SELECT extract(epoch FROM restore_time) FROM pitr_drills"), '>', 0, 'how long it took');
is(value("SELECT first_query_time >= restore_time AND data_loss >= interval '0' AND data_loss < interval '10 s' AND point_time <= started_at FROM pitr_drills"), 't', 'and what it would have cost');
is(value(q{SELECT (SELECT id FROM pitr_drills) = (SELECT operation_id FROM pitr_audit WHERE function = 'pitr_run_drill' AND outcome = 'done')}), 't', 'the audit has it');
is(value('SELECT last_drill_at = (SELECT started_at FROM pitr_drills) FROM pitr_status'), 't', 'pitr_status too');
is(left(), '', 'nothing is left');
is(value('SELECT count(*) FROM pg_prepared_xacts'), 1, 'here nothing has changed');

# A point of the past: nobody has counted then.
my $then = value('SELECT pg_current_wal_insert_lsn()');
value('DELETE FROM stones WHERE id > 100');
$row = drill(qq{'main\@$then', ARRAY['SELECT count(*) = 5000 FROM stones']});
is("$row->{passed} $row->{queries_ok} $row->{row_count} $row->{row_count_expected}", 't t 5020 ', 'a point of the past: rows of all databases, and the queries') or diag(explain($row));

# --- not sound ---
my $bad = refusal($node, q{SELECT * FROM pitr_run_drill(queries => ARRAY['SELECT true', 'SELECT count(*) > 1000 FROM stones', 'SELECT nowhere', 'SELECT 1 WHERE false'])});
is($bad->{sqlstate}, 'XX001', 'a query that says no: the drill fails');
like($bad->{text}, qr/query "SELECT count\(\*\) > 1000 FROM stones": false.*query "SELECT nowhere": .*query "SELECT 1 WHERE false": no row/s, 'and says which');
$row = last_drill();
is("$row->{passed} $row->{queries_ok} $row->{amcheck_ok}", 'f f t', 'the row tells them apart');
is(left(), '', 'nothing is left');

# Files of the snapshot are damaged in a way that every checksum agrees with: pages of zeros, as a broken copy leaves them.
value('CHECKPOINT');
foreach my $case ([ 'stones', qr/table public\.stones has 0 rows, and had 100/, 'a table' ], [ 'stones_name', qr/pg_amcheck: .*stones_name/s, 'an index' ])
{
	my ($relation, $expected, $what) = @$case;
	my $path = $node->data_dir . '/' . value("SELECT pg_relation_filepath('$relation')");
	my $size = -s $path;
	$node->stop;
	my $kept = slurp_file($path);
	open(my $file, '+<', $path) or die;
	print $file "\0" x $size;
	close $file;
	$node->start;
	only_snapshot("zeroed $relation");
	$node->stop;
	open($file, '>', $path) or die;
	print $file $kept;
	close $file;
	$node->start;
	is(value('SELECT count(*) FROM stones'), 100, 'the server itself is well again');
	$bad = refusal($node, 'SELECT * FROM pitr_run_drill()');
	is($bad->{sqlstate}, 'XX001', "$what of zeros: the drill fails");
	like($bad->{text}, $expected, 'and says why');
}
only_snapshot('sound');
is(drill('')->{passed}, 't', 'without those snapshots all is well');

# --- interrupted ---
foreach my $how ('error', 'kill')
{
	forget_hits();
	arm_only("drill.restored $how");
	isnt(refusal($node, 'SELECT * FROM pitr_run_drill()')->{sqlstate}, '', "$how in the middle: an error");
	ok(wait_for_hit('drill.restored'), 'which was this one');
	clear_faults();
	ok(ensure_running($node), 'the server runs');
	ok(wait_until(60, sub { left() eq '' }), 'nothing is left') or diag(left());
}
is(refusal($node, "SET statement_timeout = '500ms'; SELECT * FROM pitr_run_drill()")->{sqlstate}, '57014', 'cancelled');
no_operation_runs($node);
ok(wait_until(30, sub { left() eq '' }), 'nothing is left') or diag(left());

# --- asked wrongly ---
is(refusal($node, 'BEGIN; SELECT * FROM pitr_run_drill(); COMMIT')->{sqlstate}, '25001', 'not in a transaction block');
is(refusal($node, "SELECT * FROM pitr_run_drill('nobody\@0/3000000')")->{sqlstate}, '42704', 'a branch that is not there');
is(refusal($node, "SELECT * FROM pitr_run_drill('main\@0/1')")->{sqlstate}, 'PI003', 'a point that cannot be reached');
$row = last_drill();
like($row->{detail}, qr/\w/, 'which is a drill that failed, too');
is($row->{passed}, 'f', 'and says so');
value('CREATE ROLE clerk LOGIN; GRANT EXECUTE ON FUNCTION pitr_run_drill TO clerk');
my ($rc, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM pitr_run_drill()", extra_params => [ '-U', 'clerk' ]);
like($err, qr/42501.*HINT:  Grant pg_read_all_data/s, 'whoever may not read everything is told');
$node->stop;
done_testing();
