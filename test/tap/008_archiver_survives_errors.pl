# Whatever happens to the repository or to a process that ships: the server goes on, no WAL is let go before it is durable, each
# change of state is told once, and everything is archived in the end.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultTest qw(fault_hit forget_hits);
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = archive_node('main');
my $repository = repository_of($node);
my @segments = make_segments($node, 3);
ok(wait_archived($node), 'archiving works');
my @announced = (qr/could not archive/, qr/pitr (launcher|tail shipper): /, qr/failed too many times/, qr/not the one that was opened/);

sub set_workers
{
	my ($count) = @_;
	$node->append_conf('postgresql.conf', "pitr.archive_workers = $count");
	$node->reload;
}

sub is_refused_then_recovers
{
	my ($what, $break, $repair, $message, $states) = @_;
	my $from = -s $node->logfile;
	my $archiver = archiver_pid($node);
	my $failed = counters($node)->{failed_count};
	$break->();
	push @segments, make_segments($node, 4);
	ok(wait_log($node, $from, $message), "$what: told");
	$node->safe_psql('postgres', 'CHECKPOINT');
	cmp_ok(scalar(ready_files($node)), '>=', 4, "$what: segments wait");
	is(scalar(grep { !-f $node->data_dir . "/pg_wal/$_" } ready_files($node)), 0, "$what: and are kept");
	cmp_ok(counters($node)->{failed_count}, '>', $failed, "$what: counted");
	sleep 2;    # some attempts more
	my @told = log_lines($node, $from, qr/WARNING:  could not archive/);
	cmp_ok(scalar(@told), '<=', $states // 1, "$what: told once for each state") or diag(join "\n", @told);
	$repair->();
	ok(wait_archived($node), "$what: archived afterwards");
	is(scalar(my @again = log_lines($node, $from, qr/LOG:  archiving works again/)), 1, "$what: told once");
	is(archiver_pid($node), $archiver, "$what: the archiver is the same process");
	ok(same_as_repository($node, @segments[ -4 .. -1 ]), "$what: nothing is missing");
}

is_refused_then_recovers(
	'folder away',
	sub { rename $repository, "$repository.away" or die $! },
	sub { rename "$repository.away", $repository or die $! },
	qr/could not archive/, 2);
is_refused_then_recovers(
	'folder read-only',
	sub { system_or_bail('chmod', '-R', 'a-w', $repository) },
	sub { system_or_bail('chmod', '-R', 'u+w', $repository) },
	qr/could not archive.*Permission denied/);

# An empty folder in its place, as the mount point of a disk that is not there: no second repository is made in it.
is_refused_then_recovers(
	'empty folder',
	sub { rename $repository, "$repository.away" or die $!; mkdir $repository, 0700 or die $! },
	sub { rmdir $repository or die "something was written: $!"; rename "$repository.away", $repository or die $! },
	qr/could not archive/, 2);

# Another server's repository.
my $other = archive_node('other');
make_segments($other, 1);
ok(wait_archived($other), 'another server with its repository');
is_refused_then_recovers(
	'repository of another server',
	sub {
		$node->append_conf('postgresql.conf', "pitr.repository = '" . repository_of($other) . "'");
		$node->reload;
	},
	sub {
		$node->append_conf('postgresql.conf', "pitr.repository = '$repository'");
		$node->reload;
	},
	qr/could not archive .*belongs to another repository/);
is(scalar(my @branches = glob(repository_of($other) . '/branches/*')), 1, 'nothing was written into it');
$other->stop;

# No repository at all: the server keeps its WAL and says why.
{
	my $from = -s $node->logfile;
	$node->append_conf('postgresql.conf', "pitr.repository = ''");
	$node->reload;
	push @segments, make_segments($node, 2);
	ok(wait_log($node, $from, qr/archiving is not configured|pitr\.repository is not set/), 'no repository: told');
	cmp_ok(scalar(ready_files($node)), '>=', 2, 'no repository: segments wait');
	$node->append_conf('postgresql.conf', "pitr.repository = '$repository'");
	$node->reload;
	ok(wait_archived($node, 120), 'no repository: archived afterwards');
	push @announced, qr/archiving is not configured/;
}

# A power cut takes a `.ready` file that the server did not sync; it would not miss it before the segment is recycled.
{
	set_workers(2);
	rename $repository, "$repository.away" or die $!;
	my @forgotten = make_segments($node, 3);
	push @segments, @forgotten;
	$node->stop('immediate');
	my $status = $node->data_dir . '/pg_wal/archive_status';
	unlink map { "$status/$_.ready" } @forgotten[ 0, 2 ] or die $!;
	rename "$repository.away", $repository or die $!;
	my $from = -s $node->logfile;
	$node->start;
	ok(wait_for('forgotten segments', sub { !grep { !-f "$status/$_.done" } @forgotten }), 'forgotten segments: archived');
	ok(same_as_repository($node, @forgotten), 'forgotten segments: nothing is missing');
	is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'forgotten segments: pitr_check finds nothing');

	# WAL that is really lost is told by pitr_check, and a snapshot begins anew.
	my ($lost) = make_segments($node, 1);
	ok(wait_archived($node), 'a segment is archived');
	unlink object_of($node, $lost) or die $!;
	like($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'),
		qr/^snapshots\|WAL is missing behind [0-9A-F\/]+: what was written later cannot be restored$/, 'lost WAL: pitr_check tells');
	$node->safe_psql('postgres', 'SELECT * FROM pitr_create_snapshot()');
	is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'lost WAL: a snapshot mends it');
}

SKIP:
{
	skip 'a build without fault points', 1 unless ($ENV{PITR_FAULTS} // '1') eq '1' && `pitr fault-points` =~ /archiver\./;

	# The disk fills up.
	is_refused_then_recovers(
		'disk full',
		sub { arm_fault('store.put.before_sync enospc') },
		sub { clear_faults() },
		qr/could not archive/);

	# Workers would leave the archiver nothing to ship.
	set_workers(0);

	# A failure behind the durable write: the file is sent again, which is no conflict.
	foreach my $point ('archiver.after_ship', 'archiver.before_confirm')
	{
		my $archiver = archiver_pid($node);
		arm_fault("$point error");
		push @segments, make_segments($node, 2);
		ok(wait_log($node, 0, qr/injected fault at $point/, 60), "$point: fails");
		# Shipped once, it is not shipped again: only the second point keeps it waiting.
		cmp_ok(scalar(ready_files($node)), '>=', 1, "$point: not confirmed") if $point =~ /confirm/;
		clear_faults();
		ok(wait_archived($node), "$point: archived afterwards");
		is(archiver_pid($node), $archiver, "$point: the archiver is the same process");
		push @announced, qr/$point/;
	}

	# A process that dies takes the server through crash recovery; nothing is lost, nothing is there twice.
	# Ten seconds each: the server starts no archiver sooner again.
	my @points = ('archive_worker.claimed', 'archiver.after_ship');
	push @points, 'archive_worker.shipped', 'archiver.before_confirm', 'archive.segment.before_publish',
	  'archive.segment.after_publish'
	  if ($ENV{PITR_SWEEP} // '') eq 'full';
	foreach my $point (@points)
	{
		set_workers($point =~ /^archiver/ ? 0 : 2);
		my $from = -s $node->logfile;
		# The archiver may be faster than its workers: what fails makes them meet a backlog.
		rename $repository, "$repository.away" or die $!;
		push @segments, make_segments($node, 6);
		arm_fault("$point kill");
		rename "$repository.away", $repository or die $!;
		ok(wait_log($node, $from, qr/was terminated by signal 9/, 90), "$point: killed");
		clear_faults();
		ok(wait_for('recovery', sub { ($node->psql('postgres', 'SELECT 1'))[0] == 0 }), "$point: the server is back");
		push @segments, make_segments($node, 1);
		ok(wait_archived($node), "$point: everything is archived");
		ok(same_as_repository($node, @segments[ -7 .. -1 ]), "$point: with its bytes");
	}
	push @announced, qr/terminating connection because of crash/, qr/in recovery mode/, qr/not yet accepting connections/,
	  qr/the database system is starting up/;

	# A worker whose list is old by the time it gets to it: what was archived since is not shipped once more.
	set_workers(1);
	forget_hits();
	arm_only('archive_worker.listed stop');
	push @segments, make_segments($node, 4);
	ok(wait_archived($node), 'a worker with an old list: the archiver ships meanwhile');
	ok(fault_hit('archive_worker.listed'), 'a worker with an old list: it has one');
	forget_hits();
	arm_only('archive_worker.claimed error');
	sleep 1;
	arm_only('archive_worker.listed stop');
	push @segments, make_segments($node, 1);
	ok(wait_for('the next list', sub { fault_hit('archive_worker.listed') }, 30), 'a worker with an old list: it went through it');
	is(fault_hit('archive_worker.claimed'), 0, 'a worker with an old list: it ships nothing once more');
	clear_faults();

	# A worker that hangs: after a while the archiver ships by itself.
	SKIP:
	{
		skip 'takes half a minute (PITR_SWEEP=full)', 3 unless ($ENV{PITR_SWEEP} // '') eq 'full';
		arm_fault('archive_worker.claimed stop');
		push @segments, make_segments($node, 8);
		ok(wait_archived($node), 'a hanging worker does not stop archiving');
		clear_faults();
		push @segments, make_segments($node, 2);
		ok(wait_archived($node), 'and goes on when it can');
		ok(same_as_repository($node, @segments[ -10 .. -1 ]), 'all with their bytes');
	}
}

# Without workers the archiver does everything; raised, the number grows without a restart.
foreach my $count (0, 4, 2)
{
	set_workers($count);
	push @segments, make_segments($node, 5);
	ok(wait_archived($node), "$count workers: archived");
	ok(wait_for('workers', sub { scalar(my @all = workers_of($node)) >= $count }, 30), "$count workers: they are there");
}
ok(wait_for('workers', sub { scalar(my @all = workers_of($node)) == 2 }, 30), 'those that are too many have ended');

ok(same_as_repository($node, @segments), 'every segment ever made is in the repository with its bytes');
is(unexpected_log_lines($node, 0, @announced), '', 'nothing unexpected in the log');
$node->stop;
done_testing();
