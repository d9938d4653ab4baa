# A branch that is being made, or deleted, when something dies: afterwards there is the whole branch or nothing of it, no directory and no
# process, and the same call works. Branches that run beside it go on, or are back.
#
# By default a few points; PITR_SWEEP=full takes all of them.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6220-6229'\n");
my $place = abs_path($node->data_dir) . '.pitr';
$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 1000) g');
my $contents = contents($node);
my $kept = psql_row($node, q{SELECT * FROM pitr_create_branch('kept')});
is($kept->{state}, 'running', 'a branch that nothing happens to') or diag($kept->{_err});

my @making = qw(branch.before_line branch.built branch.before_start branch.started branch.before_publish);
my @deleting = qw(branch.delete.before_stop branch.delete.before_remove);
my @restoring = qw(branch.restore.before_stop branch.restore.before_names);
my %covered = map { $_ => 1 } @making, @deleting, @restoring;
is(join(' ', grep { /^branch\./ && !$covered{$_} } fault_points()), '', 'every point of branches is in the lists');
my @cases = map { my $point = $_; map { [ $point, $_ ] } qw(kill error) } @making;
my @always = ([ 'branch.built', 'kill' ], [ 'branch.started', 'kill' ], [ 'branch.before_publish', 'error' ]);
@cases = @always if ($ENV{PITR_SWEEP} // '') ne 'full';

# Directories of branches that no listed branch has; processes that work in them.
sub strays
{
	my %owned = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT directory FROM pitr_branches WHERE directory IS NOT NULL AND deleted_at IS NULL');
	return grep { !$owned{$_} } grep { m{/br-[a-z0-9-]+(\.pitr)?$} } glob("$place/br-*");
}

sub nothing_is_left
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_until(40, sub { eval { !strays() && $node->safe_psql('postgres', "SELECT count(*) FROM pitr_branches WHERE name = 'new' AND deleted_at IS NULL") == 0 } }),
		"$name: no branch and no directory")
	  or diag(join "\n", strays(), $node->safe_psql('postgres', 'SELECT name, id, state FROM pitr_branches'));
	my @running = grep { my $cwd = readlink("/proc/$_/cwd") // ''; $cwd =~ m{^\Q$place\E/br-} && index($cwd, $kept->{directory}) != 0 && is_alive($_) } map { m{(\d+)$} } glob '/proc/[0-9]*';
	is("@running", '', "$name: no process");
	return;
}

foreach my $case (@cases)
{
	my ($point, $action) = @$case;
	my $name = "$point $action";
	forget_hits();
	arm_only("$point $action");
	my $failed = begin_sql($node, q{SELECT * FROM pitr_create_branch('new')});
	my ($rc) = end_sql($failed);
	clear_faults();
	isnt($rc, 0, "$name: the call fails");
	ok(fault_hit($point), "$name: at that point");
	ok(ensure_running($node), "$name: the server answers");
	nothing_is_left($name);
}
is(psql_row($node, q{SELECT * FROM pitr_create_branch('new')})->{state}, 'running', 'the same call works after all that');
is(contents(branch_node($node, 'new')), $contents, 'with what it shall have');

foreach my $point (($ENV{PITR_SWEEP} // '') eq 'full' ? @deleting : $deleting[0])
{
	my $row = psql_row($node, q{SELECT * FROM pitr_create_branch('new')});
	is($row->{state}, 'running', 'there is a branch') or diag($row->{_err});
	arm_only("$point kill");
	end_sql(begin_sql($node, q{SELECT * FROM pitr_delete_branch('new')}));
	clear_faults();
	ok(ensure_running($node), "$point kill: the server answers");
	nothing_is_left("$point kill");
}

# A restore of another branch that dies around its stop: the branch goes on as what it was.
foreach my $point (($ENV{PITR_SWEEP} // '') eq 'full' ? @restoring : $restoring[1])
{
	arm_only("$point kill");
	end_sql(begin_sql($node, q{SELECT * FROM pitr_reset_branch('kept')}));
	clear_faults();
	ok(fault_hit($point), "$point kill: met");
	ok(ensure_running($node), "$point kill: the server answers");
	ok(poll_until(branch_node($node, 'kept'), 'SELECT count(*) FROM stones', 1000, 40), "$point kill: the branch is back");
	is(branch_of($node, 'kept')->{id}, $kept->{id}, "$point kill: as what it was");
	nothing_is_left("$point kill");
	ok(poll_until($node, "SELECT state FROM pitr_branches WHERE name = 'kept' AND deleted_at IS NULL", 'running'), "$point kill: and nobody restores it any more");
}

# The whole server dies while a branch is made.
arm_only('build.at_target stop');
my $cut = begin_sql($node, q{SELECT * FROM pitr_create_branch('new')});
ok(wait_for_hit('build.at_target'), 'a branch is being made');
kill 'KILL', postmaster_of($node);
clear_faults();
end_sql($cut);
ok(ensure_running($node), 'the server is started again');
nothing_is_left('postmaster killed at build.at_target');
ok(poll_until(branch_node($node, 'kept'), 'SELECT count(*) FROM stones', 1000, 30), 'the other branch is back');
is(contents(branch_node($node, 'kept')), $contents, 'with what it had');
$node->stop;
done_testing();
