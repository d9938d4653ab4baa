# The server stops at once, whatever archiving is doing: idle, with a store that is away, with an upload under way. What waits at
# a stop is archived before it when the store is there, and after the next start when it is not.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Other tests run on the machine as well: the best of some tries tells what the server itself needs.
my $prompt = 2.0;

my $node = archive_node('main');
my $repository = repository_of($node);
my @segments = make_segments($node, 2);
ok(wait_archived($node), 'archiving works');

sub stop_time
{
	my ($mode) = @_;
	my $begin = time;
	$node->stop($mode);
	return time - $begin;
}

sub best_of
{
	my ($tries, $prepare, $mode) = @_;
	my $best;
	foreach (1 .. $tries)
	{
		$prepare->();
		my $took = stop_time($mode);
		$best = $took if !defined $best || $took < $best;
		$node->start;
		last if $best < $prompt;
	}
	return $best;
}

foreach my $mode ('fast', 'smart', 'immediate')
{
	cmp_ok(best_of(3, sub { push @segments, make_segments($node, 1) }, $mode), '<', $prompt, "idle, $mode");
}

# What waits at a stop is archived in the archiver's last round, workers gone.
push @segments, make_segments($node, 30);
$node->stop;
is(scalar(ready_files($node)), 0, 'a backlog is archived before the server is down');
$node->start;

# The store is away, and the archiver in the pause after some failures.
rename $repository, "$repository.away" or die $!;
my $from = -s $node->logfile;
push @segments, make_segments($node, 5);
ok(wait_log($node, $from, qr/could not archive/), 'the store is away');
sleep 3;
cmp_ok(best_of(3, sub { sleep 2 }, 'fast'), '<', $prompt, 'store away, fast');
ok(wait_log($node, $from, qr/LOG:  WAL that waits to be archived is kept/, 5), 'told so');
cmp_ok(scalar(ready_files($node)), '>=', 5, 'what waits is kept');
rename "$repository.away", $repository or die $!;
ok(wait_archived($node), 'and archived after the next start');

# Signals to the workers alone: they end at once and come back.
my @workers = workers_of($node);
kill 'TERM', @workers;
ok(wait_for('the workers\' end', sub { my %now = map { $_ => 1 } workers_of($node); !grep { $now{$_} } @workers }, 5),
	'workers end at once');
ok(wait_for('new workers', sub { scalar(my @all = workers_of($node)) == @workers }, 30), 'and are started again');

push @segments, make_segments($node, 2);
ok(wait_archived($node), 'archiving works');
ok(same_as_repository($node, @segments), 'nothing is missing');
is(unexpected_log_lines($node, 0, qr/could not archive/, qr/pitr (launcher|tail shipper): /, qr/failed too many times/,
		qr/terminating connection due to administrator command/, qr/the database system is shutting down/), '',
	'nothing unexpected in the log');
$node->stop;
done_testing();
