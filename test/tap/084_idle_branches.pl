# A branch that nobody is connected to is stopped, its port held: the first who comes is told that it is starting, and who tries again is in. What
# counts as connected, what wakes it, and that stop, start, restore, branching, deletion and kill -9 work on one that is held.
#
# PITR_SWEEP=full also makes 20 branches at once.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use IO::Socket::INET;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('main', conf => "pitr.branch_ports = '6240-6243'\npitr.branch_listen_addresses = '127.0.0.1'\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 2000) g');

my $dev = psql_row($node, q{SELECT * FROM pitr_create_branch('dev', settings => '{"pitr.branch_idle_timeout": 1}')});
is($dev->{state}, 'running', 'a branch that is idle after a second') or diag($dev->{_err});
my $dev_node = branch_node($node, 'dev');
my $socket = $node->host . "/.s.PGSQL.$dev->{port}";

# Processes of `pitr compute` for a directory.
sub supervisor
{
	my ($directory) = @_;
	foreach my $entry (glob '/proc/[0-9]*')
	{
		open(my $file, '<', "$entry/cmdline") or next;
		my @words = split /\0/, do { local $/; <$file> } // '';
		return $entry =~ s{.*/}{}r if @words > 3 && $words[1] eq 'compute' && $words[3] eq $directory;
	}
	return 0;
}
# Who holds says so once it listens; sockets and the file may be there from one that was killed.
sub is_held
{
	my ($branch) = @_;
	my $pid = supervisor($branch->{directory}) or return 0;
	my $mark = eval { slurp_file("$branch->{directory}/pitr/idle") } // '';
	return $mark =~ /^$pid:/ && !runs_in($branch->{directory}) && -S $node->host . "/.s.PGSQL.$branch->{port}";
}
sub becomes_held
{
	my ($branch, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_until(30, sub { is_held($branch) }), $name) or diag(supervisor($branch->{directory}), ' ', join(' ', runs_in($branch->{directory})), slurp_file("$branch->{directory}.log"));
	return;
}
# (error of the first try, seconds until one succeeded)
sub knock
{
	my ($branch_node, $connection, $most) = @_;
	my ($began, $first) = (time);
	do
	{
		my ($out, $err) = ('', '');
		my $in = IPC::Run::run([ 'psql', '-X', '-A', '-t', '-d', $connection // $branch_node->connstr('postgres'), '-c', 'SELECT 1' ], '<', \undef, '>', \$out, '2>', \$err);
		$first //= $err;
		return ($first, time - $began) if $in;
		sleep 0.1;
	} while (time - $began < ($most // 20));
	return ($first, 99);
}
sub is_in
{
	my ($branch_node, $name, $connection) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($first, $seconds) = knock($branch_node, $connection);
	like($first, qr/FATAL:  branch is starting/, "$name: the first try hears that it is starting");
	cmp_ok($seconds, '<', 20, "$name: and who goes on trying is in");
	note(sprintf 'after %.2f s, of three on a machine that has nothing else to do', $seconds);
	return;
}

# --- what counts as connected; how it stops ---
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (5001, 'of dev')");
my $early = { lsn => $dev_node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'), contents => contents($dev_node) };
my $postmaster = postmaster_in($dev->{directory});
$dev_node->safe_psql('postgres', 'SELECT pg_sleep(3)');
is(postmaster_in($dev->{directory}), $postmaster, 'a session keeps it running, whatever it does');
my $follower = IPC::Run::start([ 'pg_receivewal', '-D', PostgreSQL::Test::Utils::tempdir('wal'), '-d', $dev_node->connstr, '--no-loop' ], '>', \my $said, '2>&1');
ok(poll_until($dev_node, "SELECT state FROM pg_stat_replication", 'streaming', 20), 'somebody streams its WAL');
sleep 3;
is(postmaster_in($dev->{directory}), $postmaster, 'which keeps it running, too') or diag($said);
$follower->signal('INT');
$follower->finish;
$dev_node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.branch_idle_timeout = 0');
$dev_node->safe_psql('postgres', 'SELECT pg_reload_conf()');
sleep 3;
is(postmaster_in($dev->{directory}), $postmaster, 'and a timeout of 0, although nobody is connected');
$dev_node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.branch_idle_timeout = 1');
$dev_node->safe_psql('postgres', 'SELECT pg_reload_conf()');
$dev_node->safe_psql('postgres', "INSERT INTO stones VALUES (5002, 'of dev')");
my $contents = contents($dev_node);
becomes_held($dev, 'a second after the last session its port is held');
my $row = branch_of($node, 'dev');
is($row->{state}, 'stopped', 'the view says stopped');
is($row->{connection}, $dev->{connection}, 'and where to connect');
is(value("SELECT count(*) FROM pitr_branches WHERE name = 'dev' AND window_end IS NOT NULL"), 1, 'it can be restored');

# --- who wakes it ---
my @silent = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $dev->{port}) } 1 .. 200;
print { $silent[0] } "GET / HTTP/1.0\r\n\r\n";
is(scalar(grep { defined } @silent), 200, 'two hundred knock and say nothing');
ok(is_held($dev), 'which wakes nobody');
is_in($dev_node, 'by the socket');
is(contents($dev_node), $contents, 'with what it had');
@silent = ();
becomes_held($dev, 'held again');
is_in($dev_node, 'by TCP', "host=127.0.0.1 port=$dev->{port} dbname=postgres");
becomes_held($dev, 'and again');
my ($first, $seconds) = knock($dev_node, "host=127.0.0.1 port=$dev->{port} dbname=postgres sslmode=require", 0);
like($first, qr/does not support SSL/, 'a client that insists on TLS is told otherwise');
ok(wait_until(10, sub { postmaster_in($dev->{directory}) }), 'and wakes it all the same');

# --- start and stop ---
becomes_held($dev, 'idle');
is(psql_row($node, q{SELECT * FROM pitr_start_branch('dev')})->{port}, $dev->{port}, 'pitr_start_branch starts it');
is(state_of($node, 'dev'), 'running', 'it runs');
becomes_held($dev, 'idle once more');
is(psql_row($node, q{SELECT * FROM pitr_stop_branch('dev')})->{branch}, 'dev', 'pitr_stop_branch ends the holding');
ok(!supervisor($dev->{directory}) && !-e $socket && !-e "$socket.lock", 'nobody holds its port, nothing is left');
my $closed = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $dev->{port});
ok(!defined $closed, 'nobody listens');
is(psql_row($node, q{SELECT * FROM pitr_start_branch('dev')})->{port}, $dev->{port}, 'and it can be started');
is(contents($dev_node), $contents, 'with what it had');

# --- a branch from it, its port, a restore of it ---
becomes_held($dev, 'idle before the others');
my $copy = psql_row($node, q{SELECT * FROM pitr_create_branch('copy', 'dev')});
is($copy->{state}, 'running', 'a branch of one that is held') or diag($copy->{_err});
isnt($copy->{port}, $dev->{port}, 'its port is nobody else\'s');
is(contents(branch_node($node, 'copy')), $contents, 'with everything that was committed there');
ok(is_held($dev), 'which was not started for that');
$row = psql_row($node, "SELECT * FROM pitr_restore_branch('dev', '^self\@$early->{lsn}')");
is($row->{state}, 'done', 'one that is held is restored') or diag($row->{_err});
is(state_of($node, 'dev'), 'running', 'and runs');
$dev = branch_of($node, 'dev');
$dev_node = branch_node($node, 'dev');
is(contents($dev_node), $early->{contents}, 'with what was there then');

# --- killed at each step ---
becomes_held($dev, 'idle before the faults');
kill 'KILL', supervisor($dev->{directory});
ok(wait_until(20, sub { is_held($dev) }), 'a holder that was killed is replaced');
is_in($dev_node, 'then');
arm_only('idle.asked kill');
ok(wait_for_hit('idle.asked', 20), 'the launcher dies when it has asked to be held');
clear_faults();
becomes_held($dev, 'idle.asked kill: it is held in the end');
forget_hits();
arm_only('idle.before_start kill');
knock($dev_node) for 1;
clear_faults();
ok(fault_hit('idle.before_start'), 'the holder dies when somebody wants the server');
ok(poll_until($dev_node, 'SELECT count(*) FROM stones WHERE id > 5000', 1, 20), 'idle.before_start kill: whoever tries again is in');
arm_only('idle.held kill');
ok(wait_for_hit('idle.held', 20), 'it dies when it holds');
clear_faults();
becomes_held($dev, 'idle.held kill: it is held in the end');
is(contents($dev_node), $early->{contents}, 'with what it had') if (knock($dev_node))[1] < 20;
is(join(' ', grep { /^idle\./ && !/^idle\.(asked|before_start|held)$/ } fault_points()), '', 'every point of holding was met');

# --- deleted, and one whose processes were all killed ---
becomes_held($dev, 'idle before the end');
is(value("SELECT name FROM pitr_delete_branch('dev')"), 'dev', 'one that is held is deleted');
ok(!supervisor($dev->{directory}) && !-e $socket && !-e $dev->{directory}, 'with its holder, socket and directory');
value("SELECT pitr_set_branch_expiration('copy', ttl => '2 seconds')");
ok(wait_until(30, sub { !-e $copy->{directory} && !runs_in($copy->{directory}) && !supervisor($copy->{directory}) }), 'one that runs and expires is deleted, with its server');
ok(poll_until($node, "SELECT outcome FROM pitr_audit WHERE function = 'pitr_delete_branch' AND branch = 'copy' AND arguments = 'expired'", 'done', 20), 'the audit says why');

# --- all ports in use ---
value(q{SELECT pitr_create_branch('p' || g, start => false) FROM generate_series(1, 4) g});
my $refusal = refusal($node, q{SELECT * FROM pitr_create_branch('p5')});
is($refusal->{sqlstate}, '53400', 'no port is left, also when none of them runs') or diag($refusal->{err});
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');

twenty() if ($ENV{PITR_SWEEP} // '') eq 'full';

# MB of all processes that work in a directory, what they share counted once.
sub pss_of
{
	my ($directory) = @_;
	my $sum = 0;
	foreach my $pid (runs_in($directory))
	{
		open(my $file, '<', "/proc/$pid/smaps_rollup") or next;
		while (my $line = <$file>) { $sum += $1 if $line =~ /^Pss:\s+(\d+)/; }
	}
	return $sum / 1024;
}

sub twenty
{
	value("SELECT pitr_delete_branch('p' || g) FROM generate_series(1, 4) g");
	value(q{ALTER SYSTEM SET pitr.branch_ports = '6240-6269'});
	value('SELECT pg_reload_conf()');
	my $all = contents($node);
	my $began = time;
	my @rows = map { psql_row($node, "SELECT * FROM pitr_create_branch('b$_')") } 1 .. 20;
	is(scalar(grep { ($_->{state} // '') eq 'running' } @rows), 20, '20 branches run') or diag(map { $_->{_err} } @rows);
	diag(sprintf '20 branches made one after the other: %.1f s', time - $began);
	is(scalar(grep { contents(branch_node($node, "b$_")) eq $all } 1 .. 20), 20, 'with what they shall have');
	sleep 5;
	diag(sprintf 'one that nobody uses: %.1f MB (PSS of its processes, beside 19 others)', pss_of($rows[0]{directory}));
	$node->restart;
	$began = time;
	is(scalar(grep { poll_until(branch_node($node, "b$_"), 'SELECT count(*) FROM stones', 2000, 120) } 1 .. 20), 20, 'all are back after a restart');
	diag(sprintf '20 branches back after a restart of the host: %.1f s', time - $began);
	$began = time;
	value("SELECT pitr_delete_branch('b' || g) FROM generate_series(1, 20) g");
	diag(sprintf '20 branches deleted: %.1f s', time - $began);
	is(join(' ', grep { -e } map { ($_->{directory}, "$_->{directory}.log") } @rows), '', 'nothing is left of them');
	is(scalar(grep { runs_in($_->{directory}) } @rows), 0, 'no process either');
	return;
}
$node->stop;
done_testing();
