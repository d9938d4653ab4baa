# Who writes a branch: one server at a time. What proves it is the data directory, so a server that crashed, was stopped or was moved goes
# on by itself; a copy and an old primary that comes back are refused with both identities named and keep their WAL; a promoted standby
# continues when its primary is gone; and a dead writer is taken over, explicitly.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $timeout = 10;

# No tail: pieces of what a killed writer had not finished would be in the way of its copy.
my $node = pitr_node('first', init => { allows_streaming => 1, extra => ['--wal-segsize=1'] },
	conf => "wal_keep_size = '1GB'\npitr.lease_timeout = '${timeout}s'\npitr.tail_interval = 0\nautovacuum = off\n");
my $repository = repository_of($node);

# The newest lease of the branch: its number, and what it says.
sub newest_lease
{
	my ($branch) = @_;
	$branch //= '*';
	my ($newest) = sort { $b cmp $a } glob "$repository/branches/$branch/lease/*";
	return { number => 0 } unless defined $newest;
	my $text = eval { slurp_file($newest) } // '';
	my %lease = $text =~ /"(\w+)": "?([^",\n]*)/g;
	($lease{number}) = $newest =~ /(\d+)$/;
	return \%lease;
}

# It archives, and was never in doubt about the writer since then.
sub goes_on
{
	my ($server, $from, $what) = @_;
	my @segments = make_segments($server, 2);
	ok(wait_archived($server, 60), "$what: it archives");
	is(join("\n", log_lines($server, $from, qr/another writer|another server/)), '', "$what: as the writer, without a pause");
	return @segments;
}

# All of its processes gone, so that it can be started again.
sub kill_all
{
	my ($server) = @_;
	my @all = map { $_->{pid} } grep { $_->{cwd} eq abs_path($server->data_dir) } processes_of($server);
	$server->kill9;
	# Reaped as well: the next postmaster takes a dead one that is not for one that lives.
	wait_until(30, sub { !grep { -d "/proc/$_" } @all });
	return;
}

sub writer_row { my ($server) = @_; return psql_row($server, "SELECT * FROM pitr_check() WHERE item = 'writer'"); }

# -- held and renewed ------------------------------------------------------------------------------------------------------------------
my $lease = newest_lease();
is($lease->{data_directory}, $node->data_dir, 'the lease names the data directory');
is($lease->{released}, 'false', 'it is held');
ok(wait_for('a renewal', sub { newest_lease()->{number} > $lease->{number} + 1 }, $timeout), 'it is renewed');
is(newest_lease()->{since}, $lease->{since}, 'and says since when');
cmp_ok(scalar(my @kept = glob "$repository/branches/*/lease/*"), '<=', 5, 'old numbers leave');
is(writer_row($node)->{ok}, 't', 'pitr_check: this server is the writer');
is($node->safe_psql('postgres', "SELECT previous_writer IS NULL FROM pitr_take_over_branch('main')"), 't',
	'whoever is the writer takes over from nobody');
is(refusal($node, "SELECT * FROM pitr_take_over_branch('nobody')")->{sqlstate}, '42704', 'an unknown branch');
is(refusal($node, 'SELECT * FROM pitr_take_over_branch(NULL)')->{sqlstate}, '22023', 'no branch');

# -- killed at each step of a renewal --------------------------------------------------------------------------------------------------
my @points = grep { /^lease\./ } fault_points();
is("@points", 'lease.after_intend lease.after_put lease.before_intend', 'the steps of a renewal');
foreach my $point (@points)
{
	my $from = -s $node->logfile;
	forget_hits();
	arm_only("$point kill");
	ok(wait_for_hit($point, 3 * $timeout), "$point: killed there");
	clear_faults();
	ok(wait_log($node, $from, qr/all server processes terminated/), "$point: the server ends its processes");
	ok(poll_until($node, 'SELECT 1', 1), "$point: and is back");
	goes_on($node, $from, "killed at $point");
	forget_hits();
	arm_only("$point error");
	ok(wait_for_hit($point, 3 * $timeout), "$point: failed there");
	clear_faults();
	goes_on($node, $from, "failed at $point");
}

# -- crash, stop, move ---------------------------------------------------------------------------------------------------------------
my $from = -s $node->logfile;
kill_all($node);
$node->start;
goes_on($node, $from, 'killed and started again');

$node->stop;
is(newest_lease()->{released}, 'true', 'a clean stop gives the lease back');
$node->start;
goes_on($node, $from, 'stopped and started again');

# In a place of its own, as after a move to another disk.
sub move_directory
{
	my $data = $node->data_dir;
	rename $data, "$data.before" or die $!;
	system('cp', '-a', "$data.before", $data) == 0 or die 'cp';
	system('rm', '-rf', "$data.before");
	return;
}
$node->stop;
move_directory();
$node->start;
goes_on($node, $from, 'stopped and moved');

kill_all($node);
move_directory();
unlink $node->data_dir . '/postmaster.pid';
$from = -s $node->logfile;
my $begin = time;
$node->start;
ok(wait_log($node, $from, qr/LOG:  nothing is archived: branch "main" may have another writer/), 'killed and moved: waits');
make_segments($node, 2);
is(refusal($node, "SELECT * FROM pitr_create_snapshot()")->{sqlstate}, 'PI008', 'killed and moved: no snapshot while it waits');
ok(wait_archived($node, 4 * $timeout), 'killed and moved: goes on by itself');
cmp_ok(time - $begin, '>', $timeout - 1, 'killed and moved: not before the time is over');
ok(log_lines($node, $from, qr/LOG:  this server is the writer of its branch from now on/), 'killed and moved: and says so');

# -- the store is away for longer than the lease holds ---------------------------------------------------------------------------------
rename $repository, "$repository.away" or die $!;
make_segments($node, 2);
sleep 1.5 * $timeout;
rename "$repository.away", $repository or die $!;
ok(wait_archived($node, 60), 'store away and back: the same writer goes on');
is(newest_lease()->{data_directory}, $node->data_dir, 'store away and back: it is the writer');

# -- a copy ----------------------------------------------------------------------------------------------------------------------------
my $copies = 0;
sub copy_of
{
	my ($server, %options) = @_;
	my $name = 'copy' . ++$copies;
	$server->backup($name);
	my $copy = PostgreSQL::Test::Cluster->new($name);
	$copy->init_from_backup($server, $name, %options);
	return $copy;
}

sub is_refused
{
	my ($server, $writer, $what) = @_;
	ok(wait_log($server, 0, qr/WARNING:  nothing is archived: another server is the writer of branch "main"/, 3 * $timeout),
		"$what: refused in the log");
	my ($detail) = log_lines($server, 0, qr/DETAIL:  The writer is /);
	like($detail, qr/\Q@{[ $writer->data_dir ]}\E.*since \d{4}-.*\Q@{[ $server->data_dir ]}\E/, "$what: both are named");
	make_segments($server, 3);
	cmp_ok(scalar(ready_files($server)), '>=', 3, "$what: its WAL is kept");
	ok(wait_for('the error', sub { (counters($server)->{last_error} // '') =~ /another server is the writer/ }, 45),
		"$what: pitr_archive tells why");
	is(counters($server)->{archived_count}, '0', "$what: nothing was archived");
	foreach my $statement ("pitr_create_snapshot()", "pitr_restore_branch('yesterday')", "pitr_rename_branch('main', 'x')",
		'pitr_undo_restore()', "pitr_keep_snapshot('x')", "pitr_delete_snapshot('x')", "pitr_delete_branch('x')")
	{
		my $refusal = refusal($server, "SELECT * FROM $statement");
		is($refusal->{sqlstate}, 'PI008', "$what: $statement") or diag($refusal->{err});
	}
	is(plan_of($server, "'yesterday'")->{sqlstate}, 'PI008', "$what: the plan says so");
	is($server->safe_psql('postgres', "SELECT count(*) FROM pitr_branches WHERE name = 'main'"), '1', "$what: reads go on");
	is(writer_row($server)->{ok}, 'f', "$what: pitr_check shows it");
	my @lines = log_lines($server, 0, qr/WARNING: .*is the writer of branch/);
	is(scalar @lines, 1, "$what: one line in the log") or diag(join "\n", @lines);
	return;
}

# Started at once its proof is as young as the lease; the place is not.
my $copy = copy_of($node);
$copy->start;
my @written = make_segments($node, 2);
is_refused($copy, $node, 'copy');
my $alive = refusal($copy, "SELECT * FROM pitr_take_over_branch('main')");
is($alive->{sqlstate}, 'PI008', 'no take-over from a writer that lives');
like($alive->{text}, qr/is alive.*\Q@{[ $node->data_dir ]}\E/s, 'it is named');
ok(wait_archived($node), 'the original is unharmed');
ok(same_as_repository($node, @written), 'and its WAL is what it wrote');
is(writer_row($node)->{ok}, 't', 'it is the writer');
is($copy->safe_psql('postgres', "SELECT outcome || sqlstate FROM pitr_audit WHERE function = 'pitr_take_over_branch' "
			. "AND outcome = 'refused' ORDER BY at DESC LIMIT 1"), 'refusedPI008', 'the refusal is in the audit');
$copy->stop('immediate');

# -- taking over from a dead one ---------------------------------------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE TABLE marks (what text)');
my $next = copy_of($node);
wait_archived($node);
# Time enough to see that the watch is cancelled.
$node->append_conf('postgresql.conf', "pitr.lease_timeout = '25s'");
$node->reload;
$lease = newest_lease();
ok(wait_for('a renewal', sub { newest_lease()->{number} > $lease->{number} + 1 }), 'the copy is older than the lease');
is(newest_lease()->{timeout_seconds}, '25', 'a changed setting goes into the next lease');
$next->start;
$next->safe_psql('postgres', "INSERT INTO marks VALUES ('in the copy')");
my @kept_back = make_segments($next, 3);
ok(wait_log($next, 0, qr/WARNING:  nothing is archived: another server is the writer/, 3 * $timeout), 'the second copy is refused');
kill_all($node);
$begin = time;
is(refusal($next, "SET statement_timeout = '1s'; SELECT * FROM pitr_take_over_branch('main')")->{sqlstate}, '57014',
	'the watch before a take-over can be cancelled');
cmp_ok(time - $begin, '<', 5, 'at once');
is(scalar(ready_files($next)) >= 3 ? 1 : 0, 1, 'the WAL of the copy waits');
my $row = psql_row($next, "SELECT * FROM pitr_take_over_branch('main')");
is($row->{branch}, 'main', 'taken over') or diag($row->{_err});
like($row->{previous_writer}, qr/\Q@{[ $node->data_dir ]}\E/, 'from whom');
ok(wait_archived($next, 60), 'its WAL flows');
ok(same_as_repository_of($next, @kept_back), 'all of it');
like($next->safe_psql('postgres', "SELECT arguments FROM pitr_audit WHERE function = 'pitr_take_over_branch' AND outcome = 'done' "
			. 'ORDER BY at DESC LIMIT 1'), qr/'main' -- from host ".*\Q@{[ $node->data_dir ]}\E/, 'the audit says from whom');
$node->start;
is(writer_row($node)->{ok}, 'f', 'who was taken over and comes back is refused');
$node->stop('immediate');

sub same_as_repository_of
{
	my ($server, @names) = @_;
	no warnings 'redefine';
	local *ArchiveTest::repository_of = sub { return $repository };
	return same_as_repository($server, @names);
}

# -- a standby that is promoted ----------------------------------------------------------------------------------------------------------
my $standby = copy_of($next, has_streaming => 1);
$standby->start;
$next->safe_psql('postgres', "INSERT INTO marks VALUES ('of the primary')");
my $before_switch = $next->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $contents_before = contents($next);
$next->safe_psql('postgres', "INSERT INTO marks VALUES ('after the mark')");
make_segments($next, 2);
wait_archived($next);
$next->wait_for_catchup($standby);
kill_all($next);
$begin = time;
$standby->promote;
$standby->safe_psql('postgres', "INSERT INTO marks VALUES ('of the standby')");
my $after_switch = $standby->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $contents_after = contents($standby);
$standby->safe_psql('postgres', "DELETE FROM marks");
make_segments($standby, 2);
ok(wait_archived($standby, 6 * $timeout), 'a promoted standby continues by itself');
cmp_ok(time - $begin, '>', $timeout - 1, 'when its primary was not heard of for the time');
ok(log_lines($standby, 0, qr/this server is the writer of its branch from now on/), 'and says so');
is(newest_lease()->{timeline}, '2', 'the lease is of its timeline');

$next->start;
ok(wait_log($next, 0, qr/WARNING:  nothing is archived: another server is the writer.*/, 3 * $timeout), 'the old primary is refused');
is(refusal($next, 'SELECT * FROM pitr_create_snapshot()')->{sqlstate}, 'PI008', 'its snapshots as well');
$next->stop('immediate');

# -- restores in place, on both sides of the switch --------------------------------------------------------------------------------------
$from = -s $standby->logfile;
foreach my $side ([ 'before', $before_switch, $contents_before ], [ 'after', $after_switch, $contents_after ])
{
	my ($name, $lsn, $then) = @$side;
	my $now = contents($standby);
	$row = restore($standby, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)");
	is($row->{outcome}, 'done', "restored to $name the switch") or diag(explain($row));
	is(contents($standby), $then, "$name the switch: the data of then");
	goes_on($standby, $from, "restored to $name the switch");
	is(newest_lease($row->{branch_id})->{released}, 'false', "$name the switch: the new line is held");
	is(newest_lease($row->{undo_branch_id})->{released}, 'true', "$name the switch: the old line was given back");
	$row = undo($standby);
	is($row->{outcome}, 'done', "$name the switch: undone") or diag(explain($row));
	is(contents($standby), $now, "$name the switch: the data of before");
	goes_on($standby, $from, "undone, $name the switch");
}
is(writer_row($standby)->{ok}, 't', 'it is the writer');
$standby->stop;

my @announced = (qr/could not archive/, qr/failed too many times/, qr/pitr (launcher|tail shipper): /, qr/is the writer of branch/,
	qr/terminating connection/, qr/the database system is/, qr/terminated by signal 9/, qr/injected fault/, qr/PI008|another writer/,
	qr/is alive/, qr/not found/, qr/must not be null/, qr/canceling statement/, qr/restart on purpose/, qr/postmaster.pid/);
is(unexpected_log_lines($node, 0, @announced), '', 'nothing unexpected in the log of the first');
is(unexpected_log_lines($next, 0, @announced), '', 'nothing unexpected in the log of its successor');
done_testing();
