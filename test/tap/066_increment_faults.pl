# Increments that are killed, whose base goes while they are made, and what becomes fewer: at each moment what is listed can be read and restored,
# and what nobody refers to is collected.
#
# PITR_SWEEP=full: each point; otherwise one of each kind.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'a build without fault points' unless ($ENV{PITR_FAULTS} // '1') eq '1' && `pitr fault-points` =~ /collect\./;

my $full = ($ENV{PITR_SWEEP} // '') eq 'full';
$ENV{PITR_ABANDONED_SECONDS} = 3;
$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('faults', init => { extra => ['--wal-segsize=1'] }, conf => <<'CONF');
autovacuum = off
max_wal_size = 64MB
min_wal_size = 4MB
pitr.max_replay_bytes = 0
CONF
my $repository = repository_of($node);
$node->safe_psql('postgres', 'CREATE TABLE numbers (id int, v text); CREATE TABLE still AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 20000) g');

sub value { return $node->safe_psql('postgres', $_[0]); }
sub names { return value("SELECT string_agg(name, ' ' ORDER BY name) FROM pitr_snapshots WHERE name IS NOT NULL AND state = 'ok'"); }
sub replay_count { return value("SELECT count(*) FROM pitr_snapshots WHERE origin = 'replay'"); }
sub write_wal { return value("INSERT INTO numbers SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, $_[0] * 1000) g"); }
sub change { return value('UPDATE still SET v = md5(v) WHERE id % 10 = 0; CHECKPOINT'); }

sub snapshot
{
	my ($name) = @_;
	change();
	my $row = psql_row($node, "SELECT * FROM pitr_create_snapshot('$name')");
	is("$row->{state} $row->{kind}", 'ok increment', "$name: an increment") or diag($row->{_err});
	return value("SELECT id FROM pitr_snapshots WHERE name = '$name'");
}

# Whatever happened: everything that is listed can be read, and the newest of it restored.
sub all_is_well
{
	my ($name) = @_;
	ok(ensure_running($node), "$name: the server runs");
	ok(no_operation_runs($node), "$name: no operation runs");
	is(value("SELECT string_agg(detail, '; ') FROM pitr_verify() WHERE NOT ok"), '', "$name: all that is listed can be read");
	snapshot("after $name");
	my ($lsn, $then) = (value('SELECT pg_current_wal_insert_lsn()'), contents($node));
	value('DELETE FROM still');
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)");
	is($row->{outcome}, 'done', "$name: a restore works") or diag(explain($row));
	is(contents($node), $then, "$name: and brings back what was there");
	value('SELECT * FROM pitr_complete_branch()');
	forget_undo_branches($node);
}

# The session that deletes dies between the manifest and the packs: a crash of the server, after which the snapshot is gone and the rest is collected.
foreach my $point ($full ? ('collect.after_manifest', 'collect.before_pack') : 'collect.after_manifest')
{
	my $name = "deletion killed at $point";
	my $id = snapshot($name);
	# With another one upon it its packs have to stay.
	snapshot("upon $name") if $point eq 'collect.after_manifest';
	my $packs = () = glob("$repository/packs/$id/*");
	cmp_ok($packs, '>', 0, "$name: there are packs");
	forget_hits();
	arm_fault("$point kill");
	my ($rc, $out, $err) = end_sql(begin_sql($node, "SELECT * FROM pitr_delete_snapshot('$id')"));
	clear_faults();
	ok(fault_hit($point), "$name: the point was met");
	ok(ensure_running($node), "$name: the server is back");
	is(value("SELECT count(*) FROM pitr_snapshots WHERE id = '$id'"), 0, "$name: the snapshot is gone");
	all_is_well($name);
	value("SELECT pitr_delete_snapshot(id) FROM pitr_snapshots WHERE name IN ('upon $name', 'after $name')");
	ok(no_operation_runs($node), "$name: nothing reads them");
	ok(wait_until(30, sub { !(() = glob("$repository/packs/$id/*")) }), "$name: its packs are collected when nobody refers to them");
}

# The child dies when the manifest is there and has not been looked at again.
{
	my $point = 'snapshot.manifest.before_look_at_base';
	my $name = "child killed at $point";
	my $names = names();
	change();
	forget_hits();
	arm_fault("$point kill");
	my ($rc, $out, $err) = end_sql(begin_sql($node, "SELECT * FROM pitr_create_snapshot('never')"));
	clear_faults();
	ok(fault_hit($point), "$name: the point was met");
	like($err, qr/signal 9/, "$name: the caller is told");
	is(names(), $names, "$name: nothing came to be");
	all_is_well($name);
}

# Somebody else deleted the base while the increment was made: it is none.
foreach my $killed ($full ? (0, 1) : 1)
{
	my $name = 'base deleted meanwhile' . ($killed ? ', and the child killed' : '');
	my $base = snapshot($name);
	change();
	forget_hits();
	arm_fault('snapshot.manifest.before_write stop');
	my $run = begin_sql($node, "SELECT * FROM pitr_create_snapshot('never')");
	ok(wait_for_hit('snapshot.manifest.before_write'), "$name: the point was met");
	# As another server would: the manifest first, then what only it referred to.
	unlink "$repository/snapshots/$base/manifest" or die $!;
	unlink glob("$repository/packs/$base/*");
	$killed ? arm_only('snapshot.manifest.before_look_at_base kill') : clear_faults();
	my ($rc, $out, $err) = end_sql($run);
	clear_faults();
	like($err, $killed ? qr/signal 9/ : qr/snapshot "$base", on which this one was based, was deleted meanwhile/, "$name: the caller is told");
	unlike(names(), qr/never/, "$name: it is not listed");
	all_is_well($name);
}

# Those that are taken for replay become fewer: the worker dies before it removes one.
if ($full)
{
	my $point = 'snapshot.thin.before_remove';
	my $name = "worker killed at $point";
	value("ALTER SYSTEM SET pitr.max_replay_bytes = '2MB'; SELECT pg_reload_conf()");
	forget_hits();
	arm_fault("$point kill");
	foreach my $round (1 .. 20)
	{
		last if fault_hit($point);
		my ($rc, $before) = $node->psql('postgres', 'SELECT max(start_lsn) FROM pitr_snapshots');
		$node->psql('postgres', 'INSERT INTO numbers SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 2500) g');
		wait_until(20, sub {
			return 1 if fault_hit($point);
			my ($rc, $now) = $node->psql('postgres', 'SELECT max(start_lsn) FROM pitr_snapshots');
			return $rc == 0 && $now ne $before;
		});
	}
	clear_faults();
	ok(fault_hit($point), "$name: the point was met");
	ok(ensure_running($node), "$name: the server is back");
	my $count = replay_count();
	foreach my $round (1 .. 3)
	{
		my $newest = value('SELECT max(start_lsn) FROM pitr_snapshots');
		write_wal(2.5);
		poll_until($node, "SELECT max(start_lsn) > '$newest' FROM pitr_snapshots", 't') or last;
	}
	ok(no_operation_runs($node), "$name: increments go on");
	cmp_ok(replay_count(), '<=', $count, "$name: and become fewer: the one that was to go first has gone");
	value('ALTER SYSTEM RESET ALL; SELECT pg_reload_conf()');
	all_is_well($name);
}

$node->stop;
done_testing();
