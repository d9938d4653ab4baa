# A restore in place that is killed, or fails, at every point of its way: afterwards the server is in the complete old or in the
# complete new state, says which, has nothing left over, and the next restore works.
#
# By default some kills of processes and a subset of the fault points, another one each day; PITR_SWEEP=full runs everything,
# PITR_SWEEP=<text> what has the text in its name.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The whole list

# Points of a build, of an exchange and of what follows it, met once a restore: the actions that mean something there.
my %once = (
	(map { $_ => [ 'kill', 'error' ] }
		qw(build.before_line build.lay_out.done build.start_staging build.at_target build.promoted build.roles
		build.before_second_start build.before_sync build.done
		exchange.before_intent exchange.after_intent exchange.before_cut exchange.after_cut exchange.before_rename
		finish.before_names finish.after_names finish.after_rename finish.after_rest finish.before_close)),
	'build.lay_out.frame' => [ 'kill', 'error' ],
	# What has happened there cannot fail any more.
	(map { $_ => ['kill'] } qw(exchange.armed exchange.after_rename exchange.after_sync exchange.before_confirm exchange.confirmed)));
# Points met many times: by the worker of the operation (the first visits of the process), and by the launcher after the exchange.
my @often = qw(catalogue.before_put catalogue.after_put store.put.before_sync store.put.after_sync store.put.after_link);

my @cases;
foreach my $point (sort keys %once)
{
	push @cases, map { { name => "$point $_", point => $point, action => $_ } } @{ $once{$point} };
}
foreach my $point (@often)
{
	foreach my $action (qw(kill error))
	{
		push @cases, map { { name => "$point $action, visit $_", point => $point, action => $action, skip => $_ - 1 } } 1 .. 3;
		push @cases, map {
			{ name => "$point $action, visit $_ after the exchange", point => $point, action => $action, skip => $_ - 1,
				after => 'exchange.confirmed' } } 1 .. 3;
	}
}
# The leases of both lines, which the launcher takes and gives back after the exchange.
foreach my $point (qw(lease.before_intend lease.after_intend lease.after_put))
{
	foreach my $action (qw(kill error))
	{
		push @cases, map {
			{ name => "$point $action, visit $_ after the exchange", point => $point, action => $action, skip => $_ - 1,
				after => 'exchange.confirmed' } } 1 .. 2;
	}
}
# kill -9 of a process while another one stands at a point.
my @kills = (
	(map { [ 'build.at_target', $_ ] } 'worker', 'child', 'staging', 'launcher', 'archiver', 'archive worker 1', 'archive worker 2',
		'postmaster'),
	[ 'build.lay_out.frame', 'worker' ], [ 'build.lay_out.frame', 'postmaster' ], [ 'build.before_second_start', 'worker' ],
	[ 'build.done', 'child' ],
	(map { [ 'exchange.before_cut', $_ ] } 'worker', 'launcher', 'archiver', 'postmaster', 'guard'),
	[ 'exchange.after_cut', 'postmaster' ], [ 'exchange.armed', 'postmaster' ],
	[ 'exchange.confirmed', 'postmaster' ], [ 'exchange.confirmed', 'archiver' ],
	[ 'finish.before_names', 'postmaster' ], [ 'finish.after_rename', 'postmaster' ], [ 'finish.before_close', 'launcher' ]);
push @cases, map { { name => "$_->[1] killed at $_->[0]", point => $_->[0], action => 'stop', victim => $_->[1] } } @kills;

my %covered = map { $_->{point} => 1 } @cases;
my @of_ours = grep { /^(build|exchange|finish|catalogue|store|lease)\./ } fault_points();
cmp_ok(scalar @of_ours, '>', 20, 'the list of fault points was read');
note("fault points: @of_ours");
is(join(' ', grep { !$covered{$_} } @of_ours), '', 'every fault point of the groups is in the full list');

# What is run today

my $sweep = $ENV{PITR_SWEEP} // '';
my @run = @cases;
if ($sweep eq '')
{
	my @always = ('worker killed at build.at_target', 'exchange.after_rename kill', 'finish.after_names kill');
	my @rest = grep { my $c = $_; !grep { $_ eq $c->{name} } @always } @cases;
	my $day = int(time / 86400);
	my $stride = int(@rest / 4);
	my @today = map { $rest[ ($day * 7 + $_ * $stride) % @rest ] } 0 .. 3;
	@run = ((grep { my $c = $_; grep { $_ eq $c->{name} } @always } @cases), @today);
}
elsif ($sweep ne 'full')
{
	@run = grep { index($_->{name}, $sweep) >= 0 } @cases;
}
note('cases of this run: ' . join('; ', map { $_->{name} } @run));

# The server: what was there at the target, and what is there when the restore is asked for

my $node = pitr_node('sweep', init => { extra => ['--wal-segsize=1'] }, conf => "max_wal_size = 64MB\nmin_wal_size = 4MB\n");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE rows_of_then AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 2000) g;
CREATE TABLE marks (what text);
INSERT INTO marks VALUES ('then');
SQL
my $target = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $then = contents($node);
$node->safe_psql('postgres', 'DELETE FROM rows_of_then WHERE id > 100; DROP TABLE marks; CREATE TABLE later (what text)');
my $statement = "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)";

sub intent { return $node->data_dir . '/pitr/intent.json'; }

# The fault is met while the restore runs; from then on nothing is in the way.
sub provoke
{
	my ($case) = @_;
	forget_hits();
	arm_fault($case->{after} . ' stop') if $case->{after};
	arm_fault(join ' ', $case->{point}, $case->{action}, $case->{skip} // ()) unless $case->{after};
	my $postmaster = postmaster_of($node);
	my $run = begin_sql($node, $statement);
	my $met = 1;
	if ($case->{after})
	{
		$met = wait_for_hit($case->{after});
		PitrTest::_write_faults("$case->{point} $case->{action} $case->{skip}\n");
	}
	$met &&= wait_for_hit($case->{point});
	if ($met && $case->{victim})
	{
		my $victim;
		# The postmaster starts an archiver at most every ten seconds, and may look only once a minute while our launcher stands still.
		wait_until(75, sub { $victim = find_process($node, $case->{victim}) });
		ok($victim, "$case->{name}: there is one");
		kill 'KILL', $victim if $victim;
		wait_until(5, sub { !is_alive($victim) }) if $victim;
		# The others notice before the one that stands goes on.
		sleep 0.3;
	}
	clear_faults();
	my ($rc, $out, $err) = end_sql($run);
	ok($met, "$case->{name}: the point was met") or diag("$out$err");
	note("answer after " . sprintf('%.1f', $run->{seconds}) . " s: $out$err");
}

sub judge
{
	my ($case, $now) = @_;
	my $name = $case->{name};
	ok(ensure_running($node), "$name: the server runs") or BAIL_OUT('no server');
	ok(wait_until(60, sub { !-e intent() }), "$name: the exchange was brought to its end") or diag(slurp_file(intent()));
	my $is = contents($node);
	my $state = $is eq $now ? 'old' : $is eq $then ? 'new' : 'mixed';
	isnt($state, 'mixed', "$name: a complete state") or diag("is:\n${is}old:\n${now}new:\n$then");
	my $ended = poll_until($node, "SELECT count(*) FROM pitr_operations WHERE state IN ('queued', 'running')", 0);
	ok($ended, "$name: no operation is said to run");
	my $said = $node->safe_psql('postgres',
		"SELECT state FROM pitr_operations WHERE kind = 'restore' AND started_at >= '$case->{began}' ORDER BY started_at DESC LIMIT 1");
	# A worker that did not live to write its first line is in no book.
	my $expected = $said eq '' && $state eq 'old' ? '' : $state eq 'new' ? 'done' : 'failed';
	$said = 'failed' if $said eq 'cancelled';
	is($said, $expected, "$name: the books say what happened ($state)");
	return $state;
}

my $count = 0;
foreach my $case (@run)
{
	$count++;
	my $began = time;
	$case->{began} = $node->safe_psql('postgres', <<"SQL");
CREATE TABLE IF NOT EXISTS later (what text);
INSERT INTO later VALUES ('case $count');
SELECT clock_timestamp();
SQL
	my $now = contents($node);
	provoke($case);
	my $state = judge($case, $now);
	check_health($node, $case->{name});
	# What comes next is a restore as well; its own fault may come before what this one has spoiled.
	if ($state eq 'old' || $sweep ne '' || $case == $run[-1])
	{
		my $row = restore($node, $statement);
		is($row->{outcome}, 'done', "$case->{name}: a restore afterwards") or diag(explain($row));
		is(contents($node), $then, "$case->{name}: brings back what was there");
	}
	forget_undo_branches($node);
	note(sprintf '%s: %s, %.1f s', $case->{name}, $state, time - $began);
}

# Files of guards, which are not directories of branches, go at the next sweep of the launcher.
ok(wait_until(45, sub { !grep { !/\.guard\.json(\.log)?$|\/server$/ } glob(abs_pitr() . '/*') }), 'nothing but guards has left files')
  or diag(join ' ', glob(abs_pitr() . '/*'));
sub abs_pitr { return $node->data_dir . '.pitr'; }

$node->command_ok([ 'pg_amcheck', '--all', '--install-missing' ], 'amcheck finds nothing wrong');
$node->stop;
done_testing();
