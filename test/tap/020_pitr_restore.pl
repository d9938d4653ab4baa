# `pitr restore`: the server and its machine are gone, the repository is left.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('main', conf => "max_connections = 30\nmax_prepared_transactions = 5\n");
my $repository = repository_of($node);
my $host = $node->host;

sub pitr
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'pitr', @arguments ], '>', \$out, '2>', \$err);
	my $status = $? & 127 ? "signal $?" : $? >> 8;
	note("pitr @arguments: $status\n$err$out");
	return { status => $status, out => $out, err => $err };
}

sub mark
{
	return {
		lsn => $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'),
		time => $node->safe_psql('postgres', "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF:00')"),
		contents => contents($node) };
}

# -- a history ---------------------------------------------------------------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE TABLE steps (id int PRIMARY KEY, what text)');
$node->command_ok([ 'pgbench', '-i', '-s', '1', '-q', '-h', $host, '-p', $node->port, 'postgres' ], 'pgbench -i');
my %points;
$node->safe_psql('postgres', "INSERT INTO steps VALUES (1, 'one')");
$points{one} = mark();
sleep 0.05;
$node->command_ok([ 'pgbench', '-c', '2', '-t', '200', '-n', '-h', $host, '-p', $node->port, 'postgres' ], 'pgbench');
$node->safe_psql('postgres', "BEGIN; INSERT INTO steps VALUES (2, 'prepared'); PREPARE TRANSACTION 'left open'");
$points{two} = mark();
sleep 0.05;

# Settings that hot standby compares grow after the snapshot (internals 6): recovery would pause short of the target.
$node->append_conf('postgresql.conf', "max_connections = 60\nmax_prepared_transactions = 9\n");
$node->restart;
$node->safe_psql('postgres', "DELETE FROM pgbench_accounts WHERE aid % 3 = 0; INSERT INTO steps VALUES (3, 'three')");
$points{three} = mark();
sleep 0.05;

# A transaction with more subtransactions than hot standby follows, open from before a snapshot to the target: recovery promotes
# itself there (internals 6).
my ($in, $out, $err) = ('', '', '');
my $many = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
$in .= "BEGIN;\n" . join('', map { "SAVEPOINT s$_; INSERT INTO steps VALUES (1000 + $_, 'never');\n" } 1 .. 80) . "\\echo open\n";
$many->pump until $out =~ /open/;
$node->safe_psql('postgres', "SELECT * FROM pitr_create_snapshot('with open transaction')");
$node->safe_psql('postgres', "INSERT INTO steps VALUES (4, 'four')");
$points{four} = mark();
sleep 0.05;
$in .= "ROLLBACK;\n\\q\n";
$many->finish;
$node->safe_psql('postgres', "DELETE FROM steps WHERE id < 3; SELECT pg_switch_wal()");
$points{head} = mark();
poll_until($node, 'SELECT window_end >= ' . "'$points{head}{time}'::timestamptz - interval '1 second' FROM pitr_status", 't');
$node->stop;
rename $node->data_dir, $node->data_dir . '.gone' or die;

# -- what is there -----------------------------------------------------------------------------------------------------------------
my $info = pitr('info', '--repository', $repository, '--json');
is($info->{status}, 0, 'info');
my $contents = decode_json($info->{out});
is($contents->{branches}[0]{name}, 'main', 'it names the branch');
is(scalar @{ $contents->{snapshots} }, 2, 'and the snapshots');
ok(@{ $contents->{windows} } > 0, 'and what can be restored');
{
	local $ENV{PITR_REPOSITORY} = $repository;
	my $check = pitr('info', '--check');
	is($check->{status}, 0, 'info --check');
	like($check->{out}, qr/^PITR OK - main can be restored up to /, 'says it in one line');
	is(pitr('verify')->{status}, 0, 'verify finds nothing wrong');
}
is(pitr('info', '--repository', "$repository.absent", '--check')->{status}, 3, 'a repository that cannot be read is unknown');

# -- restores ----------------------------------------------------------------------------------------------------------------------
my $number = 0;

sub restored_node
{
	my (@arguments) = @_;
	my $new = PostgreSQL::Test::Cluster->new('restored' . ++$number);
	mkdir $new->basedir;
	my $result = pitr('restore', '--repository', $repository, '--directory', $new->data_dir, @arguments);
	return ($result, $new) if $result->{status} ne 0;
	$new->append_conf('postgresql.conf', 'port = ' . $new->port . "\nunix_socket_directories = '$host'\n");
	return ($result, $new);
}

sub restores
{
	my ($point, @arguments) = @_;
	my $what = "restore @arguments";
	my ($result, $new) = restored_node(@arguments);
	is($result->{status}, 0, $what) or return;
	$new->start;
	is(contents($new), $points{$point}{contents}, "$what: contents are those of point $point");
	my $open = $new->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
	is($open, $point eq 'one' ? '' : 'left open', 'prepared transactions are those of then');
	like($result->{out}, qr/prepared transaction, holds its locks: left open/, 'and were told') if $point ne 'one';
	ok(!-e $new->data_dir . '/recovery.signal' && !-e $new->data_dir . '/pitr/staging.log', 'nothing of staging is left');
	my $branch = $new->safe_psql('postgres', 'SELECT name FROM pitr_branches WHERE is_self');
	$new->safe_psql('postgres', 'CREATE TABLE later (id int); SELECT pg_switch_wal()');
	ok(poll_until($new, 'SELECT last_archived_wal IS NOT NULL AND failed_count = 0 FROM pitr_archive', 't'), 'it archives its own line');
	$new->stop;
	like($result->{out}, qr/^branch: \Q$branch\E /m, "which is the branch \"$branch\"");
	system_or_bail('rm', '-rf', $new->data_dir);
}

restores('one', '--target-lsn', $points{one}{lsn});
restores('two', '--target', "main\@$points{two}{lsn}", '--name', 'second');
restores('three', '--target-time', $points{three}{time}, '--jobs', '1');
restores('four', '--target', $points{four}{lsn});
restores('head');

# -- refusals ----------------------------------------------------------------------------------------------------------------------
my ($result, $new) = restored_node('--target-lsn', 'FF/0');
is($result->{status}, 200, 'a point that was never reached');
ok(!-e $new->data_dir, 'and nothing was made');
($result) = restored_node('--target-lsn', '0/1000028');
is($result->{status}, 200, 'a point before every snapshot');
($result) = restored_node('--target-time', '2026-11-20 10:00');
is($result->{status}, 200, 'a time without a zone');
like($result->{err}, qr/HINT:  ?Write it with its zone/, 'with a hint');
($result) = restored_node('--target-lsn', '0/0', '--target-time', 'x');
is($result->{status}, 200, 'two targets');
is(pitr('restore', '--repository', $repository)->{status}, 2, 'no directory is wrong usage');
is(pitr('restore', '--nonsense')->{status}, 2, 'so is an unknown option');
my $full = PostgreSQL::Test::Utils::tempdir();
append_to_file("$full/mine", 'kept');
is(pitr('restore', '--repository', $repository, '--directory', $full)->{status}, 200, 'a directory that is not empty');
is(slurp_file("$full/mine"), 'kept', 'is left alone');
($result) = restored_node('--name', 'second');
is($result->{status}, 200, 'a name that is taken');

# -- faults ------------------------------------------------------------------------------------------------------------------------
sub branches { return join ' ', sort map { $_->{name} } @{ decode_json(pitr('info', '--repository', $repository, '--json')->{out})->{branches} }; }

my @faults = grep { /^build\./ } split /\n/, pitr('fault-points')->{out};
my $before = branches();
foreach my $fault (@faults)
{
	# These two are steps of the restore in place.
	next if $fault =~ /^build\.(before_line|before_second_start)$/;
	arm_fault("$fault error");
	my ($failed, $there) = restored_node('--target-lsn', $points{one}{lsn});
	clear_faults();
	is($failed->{status}, 200, "an error at $fault");
	ok(!-e $there->data_dir, 'leaves no directory');
	is(branches(), $before, 'and no branch, nor one of the restore that was killed before');

	arm_fault("$fault kill");
	($failed, $there) = restored_node('--target-lsn', $points{one}{lsn});
	clear_faults();
	isnt($failed->{status}, 0, "a kill at $fault");
	my $give_up = time + 30;
	sleep 0.1 while server_runs_in($there->data_dir) && time < $give_up;
	ok(!server_runs_in($there->data_dir), 'leaves no server behind');
	system_or_bail('rm', '-rf', $there->data_dir);
}

sub server_runs_in
{
	my ($directory) = @_;
	return 0 unless -e "$directory/postmaster.pid";
	my ($pid) = split /\n/, slurp_file("$directory/postmaster.pid");
	return $pid && kill(0, $pid);
}

# A segment that recovery needs is damaged: recovery must fail, never end early.
my $segment = sprintf '00000001%08X%08X', 0, hex((split '/', $points{two}{lsn})[1]) >> 24;
my ($object) = glob("$repository/branches/*/wal/00000001/$segment");
chmod 0600, $object;
open(my $file, '+<:raw', $object) or die "$object: $!";
seek $file, 100, 0;
print $file 'damaged';
close $file;
($result, $new) = restored_node('--target-lsn', $points{three}{lsn});
is($result->{status}, 200, 'a damaged segment on the way');
ok(!-e $new->data_dir, 'nothing is left of the attempt');
my $verify = pitr('verify', '--repository', $repository);
is($verify->{status}, 1, 'verify says so');
like($verify->{out}, qr/^segment \S*\Q$segment\E: /m, 'and names the segment');

done_testing();
