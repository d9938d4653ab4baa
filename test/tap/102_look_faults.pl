# Servers at points of the past when something dies: the look, its supervisor, one of its sessions, the launcher, the worker that makes it, the whole server.
# Afterwards nothing of it runs, its folder goes, and the next call works.
#
# By default one action a point of its own; PITR_SWEEP=full takes both, and points of building.
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

$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 1\npitr.time_travel_max = 2\n");
my $place = abs_path($node->data_dir) . '.pitr';
my $is_full = ($ENV{PITR_SWEEP} // '') eq 'full';
$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id FROM generate_series(1, 1000) g');
my $point = 'main@' . text_time($node);
$node->safe_psql('postgres', 'DELETE FROM stones');

sub ask { my ($query) = @_; return "SELECT * FROM pitr_query_at('$point', '$query') AS t(n bigint)"; }
my $count = ask('SELECT count(*) FROM stones');
my $forever = ask('SELECT count(*) FROM stones, pg_sleep(100)');

sub works { my ($name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; is($node->safe_psql('postgres', $count), 1000, "$name: the next call works"); return; }

sub processes_there { return grep { (readlink("/proc/$_/cwd") // '') =~ m{^\Q$place\E/look-} && is_alive($_) } map { m{(\d+)$} } glob '/proc/[0-9]*'; }

# Of what died, and of what answered afterwards.
sub nothing_is_left
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->safe_psql('postgres', "SELECT pitr_close_at('$point')");
	ok(wait_until(30, sub { !looks_in($place) && !processes_there() }), "$name: nothing is left") or diag(join ' ', looks_in($place), processes_there());
	return;
}

# A query that goes on for long there; the directory of the look, with its postmaster and the process that serves it.
sub begin_query
{
	my $query = begin_sql($node, $forever);
	my ($directory, $postmaster, $session);
	wait_until(30, sub {
		($directory) = map { "$_/data" } looks_in($place);
		my $facts = $directory ? eval { slurp_file("$directory/../look.json") } // '' : '';
		$postmaster = $facts =~ /"ready": ?true/ ? postmaster_in($directory) : 0;
		($session) = grep { my $words = eval { slurp_file("/proc/$_/cmdline") } // ''; $words =~ /\[local\] (SELECT|COPY)/ } $postmaster ? processes_there() : ();
		return $session;
	}) or diag('no query');
	return ($query, $directory, $postmaster, $session);
}

# --- one that answers ---
foreach my $case ([ postmaster => 2 ], [ session => 3 ])
{
	my ($what, $place_of) = @$case;
	my @query = begin_query();
	kill 'KILL', $query[$place_of];
	my ($rc, undef, $err) = end_sql($query[0]);
	like($err, qr/ERROR:  08006: /, "the $what of a look is killed: the query says so");
	works($what);
	nothing_is_left($what);
}
{
	my @query = begin_query();
	my ($supervisor) = grep { $_->{arguments} =~ /pitr compute --directory \Q$query[1]\E/ } processes_of($node);
	kill 'KILL', $supervisor->{pid};
	my (undef, undef, $err) = end_sql($query[0]);
	like($err, qr/ERROR:  08006: /, 'its supervisor is killed: it ends');
	works('supervisor');
	nothing_is_left('supervisor');
}

# --- this server's processes ---
foreach my $kind ($is_full ? ('launcher', 'archiver') : 'launcher')
{
	my @query = begin_query();
	my $pid = find_process($node, $kind);
	kill 'KILL', $pid;
	end_sql($query[0]);
	ok(ensure_running($node), "the $kind is killed: the server is back");
	ok(wait_until(10, sub { !is_alive($query[3]) }), 'nobody serves a session that is gone');
	works($kind);
	nothing_is_left($kind);
}

# --- while it is made ---
my %actions = ('look.reserved' => 'error', 'look.left' => 'kill', 'look.before_ready' => 'kill');
%actions = (%actions, map { $_ => 'kill' } qw(build.lay_out.done build.start_staging build.at_target)) if $is_full;
is(join(' ', grep { /^look\./ && !$actions{$_} } fault_points()), '', 'every point of looks is met');
foreach my $name (sort keys %actions)
{
	foreach my $action ($is_full ? qw(kill error) : $actions{$name})
	{
		forget_hits();
		arm_only("$name $action");
		my ($rc) = end_sql(begin_sql($node, $count));
		clear_faults();
		isnt($rc, 0, "$name $action: the call fails");
		ok(fault_hit($name), "$name $action: at that point");
		ok(ensure_running($node), "$name $action: the server answers");
		works("$name $action");
		nothing_is_left("$name $action");
	}
}

# --- cancelled, and asked for by two at once ---
arm_only('build.at_target stop');
my $began = time;
is(refusal($node, "SET statement_timeout = '1s'; $count")->{sqlstate}, '57014', 'cancelled while it is made');
cmp_ok(time - $began, '<', 6, 'in time');
clear_faults();
nothing_is_left('cancelled');
my $before = $node->safe_psql('postgres', "SELECT count(*) FROM pitr_operations WHERE kind = 'look'");
my @both = map { begin_sql($node, $count) } 1 .. 2;
is((end_sql($_))[1], "1000\n", 'one of two that ask at once') foreach @both;
is($node->safe_psql('postgres', "SELECT count(*) FROM pitr_operations WHERE kind = 'look'") - $before, 1, 'share one');

# --- the whole server ---
my @query = begin_query();
kill 'KILL', postmaster_of($node);
end_sql($query[0]);
ok(wait_until(15, sub { !processes_there() }), 'the postmaster is killed: its looks end');
ok(ensure_running($node), 'it is back');
works('postmaster of the server');
@query = begin_query();
$node->stop('immediate');
end_sql($query[0]);
ok(wait_until(15, sub { !processes_there() }), 'stopped: its looks end as well');
$node->start;
nothing_is_left('stopped');
is($node->safe_psql('postgres', "SELECT count(*) FROM pitr_operations WHERE state IN ('queued', 'running')"), 0, 'no operation is left running');
$node->stop;
done_testing();
