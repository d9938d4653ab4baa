# `pitr restore --demand-load`: a directory with holes, made without a server; the server that starts on it holds what was recorded at the target,
# completes itself, and the snapshot that it is loaded from stays in the repository, whoever wants to delete it.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
my $keys = PostgreSQL::Test::Utils::tempdir();
my $number = 0;

sub folder { my ($node) = @_; return -d $node->data_dir . '/pgsql_tmp_pitr'; }
sub incomplete { my ($node) = @_; return $node->safe_psql('postgres', 'SELECT incomplete_bytes FROM pitr_branches WHERE is_self'); }

# A server with data, in a tablespace too if wanted, a snapshot, and a target behind it: what was there, and where.
sub prepared
{
	my ($name, $conf, $has_tablespace) = @_;
	my $node = pitr_node($name, conf => "autovacuum = off\npitr.fill_rate = '64kB'\nmax_worker_processes = 16\n$conf");
	my $aside = $has_tablespace ? 'aside' : 'pg_default';
	$node->safe_psql('postgres', "CREATE TABLESPACE aside LOCATION '" . PostgreSQL::Test::Utils::tempdir() . "'") if $has_tablespace;
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE big AS SELECT g AS id, md5(g::text) AS v, repeat('x', 60) AS pad FROM generate_series(1, 40000) g;
CREATE INDEX big_id ON big (id);
CREATE TABLE there TABLESPACE $aside AS SELECT * FROM big;
CREATE TABLE second AS SELECT * FROM big;
VACUUM FREEZE;
SQL
	$node->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('base')");
	$node->safe_psql('postgres', "CHECKPOINT; UPDATE big SET v = 'changed' WHERE id % 400 = 7; UPDATE there SET v = 'twice' WHERE id % 800 = 7");
	my $point = { contents => contents($node), lsn => $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'),
		tablespace => $node->safe_psql('postgres', "SELECT oid FROM pg_tablespace WHERE spcname = 'aside'") };
	$node->safe_psql('postgres', 'DELETE FROM big WHERE id > 100; DROP TABLE second; SELECT pg_switch_wal()');
	poll_until($node, "SELECT max(latest_lsn) > '$point->{lsn}' FROM pitr_restore_window()", 't');
	return ($node, $point);
}

# What a start that fails says, with settings for it alone.
sub start_log
{
	my ($node, $settings) = @_;
	my $file = $node->data_dir . '/postgresql.conf';
	my $before = slurp_file($file);
	$node->append_conf('postgresql.conf', $settings);
	my $started = $node->start(fail_ok => 1);
	$node->stop if $started;
	open(my $out, '>', $file) or die "$file: $!";
	print $out $before;
	close $out;
	my $log = slurp_file($node->logfile);
	unlink $node->logfile;
	return $started ? 'it started' : $log;
}

# The program on its way: finish it with `ended`.
sub begin_restore { my ($point, @arguments) = @_; return begin_restore_to(PostgreSQL::Test::Cluster->new('new' . ++$number), $point, @arguments); }

sub begin_restore_to
{
	my ($new, $point, @arguments) = @_;
	mkdir $new->basedir;
	my %run = (node => $new, out => '', err => '');
	push @arguments, '--tablespace', "$point->{tablespace}=" . $new->basedir . '/aside' if $point->{tablespace};
	$run{run} = IPC::Run::start([ 'pitr', 'restore', '--directory', $new->data_dir, '--target-lsn', $point->{lsn}, '--demand-load', @arguments ], '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

sub ended
{
	my ($run) = @_;
	eval { $run->{run}->finish; 1 } or note($@);
	$run->{status} = $? & 127 ? "signal $?" : $? >> 8;
	note("$run->{err}$run->{out}");
	return $run;
}

# -- beside the living server, a plain folder
my ($main, $point) = prepared('main', '', 0);
my $repository = repository_of($main);
my $has_uring = $main->safe_psql('postgres', "SELECT 'io_uring' = ANY (enumvals) FROM pg_settings WHERE name = 'io_method'") eq 't';
note('io_uring is ' . ($has_uring ? 'there' : 'not there'));
# The sweep of lines that nobody builds any more takes place where there is a branch directory.
sub mark_branch_directory
{
	my ($node) = @_;
	mkdir $node->data_dir . '.pitr';
	append_to_file($node->data_dir . '.pitr/server', $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()') . "\n");
	return;
}
mark_branch_directory($main);

# -- one that is killed: its line and pin go when the server looks, its directory when the next restore wants the place
arm_fault('build.at_target kill');
my $killed = ended(begin_restore($point, '--repository', $repository));
clear_faults();
is($killed->{status}, 'signal 9', 'a restore is killed');
ok(-e $killed->{node}->data_dir . '/PG_VERSION', 'half a directory is left');
ok(poll_until($main, "SELECT count(*) FROM pitr_branches WHERE state = 'creating'", 0), 'the server drops its line');

arm_fault('build.at_target stop');
my $run = begin_restore_to($killed->{node}, $point, '--repository', $repository);
ok(wait_for_hit('build.at_target'), 'a restore is on its way');
sleep 3;
is($main->safe_psql('postgres', "SELECT state FROM pitr_branches WHERE name = 'main_restored'"), 'creating', 'the server does not sweep the line of another builder');
my $refused = refusal($main, "SELECT pitr_delete_snapshot('base')");
is($refused->{sqlstate}, '55006', 'nor deletes the snapshot that is being read');
my $second = ended(begin_restore_to($killed->{node}, $point, '--repository', $repository));
like($second->{err}, qr/is in use by another pitr restore/, 'a directory that is being made is not taken for a leftover');
clear_faults();
ended($run);
unlike($run->{err}, qr/FATAL|configuration parameter/, 'no word of settings that the configuration does not name');
is($run->{status}, 0, 'restored, in the same place');
like($run->{err}, qr/^removed what a pitr restore that did not end left in "\Q${\ $killed->{node}->data_dir}\E"$/m, 'where it was tidied up');
ok(!-e $killed->{node}->data_dir . '/pitr/building', 'nor a note that it is being made');
like($run->{out}, qr/^incomplete: \d{7,} bytes are loaded by the server that starts on it$/m, 'incomplete');
like($run->{out}, qr/keep the repository within reach until SELECT \* FROM pitr_complete_branch/, 'it says what that means');
my $new = $run->{node};
ok(folder($new), 'what is missing is noted');
my $auto = slurp_file($new->data_dir . '/postgresql.auto.conf');
like($auto, qr/^fsync = 'on'$/m, 'the configuration of the past says fsync = off: it is on');
unlike($auto, qr/shared_preload_libraries|pitr\.repository/, 'what it says as it should be is left alone');
$new->append_conf('postgresql.conf', 'port = ' . $new->port . "\nunix_socket_directories = '" . $new->host . "'\n");

like(start_log($new, "shared_preload_libraries = ''\narchive_library = ''\narchive_mode = off\n"), qr/FATAL:  control file contains invalid database cluster state/,
	'without the library no server starts on it');
if ($has_uring)
{
	# Its reads bypass what is redirected: they would find zeros.
	like(start_log($new, "io_method = io_uring\n"), qr/FATAL:  the data directory is incomplete and cannot be used like this: io_method is io_uring/,
		'nor with io_method = io_uring');
}
$new->start;
cmp_ok(incomplete($new), '>', 4 * 1024 * 1024, 'a server runs while most of it is missing');
is(contents($new), $point->{contents}, 'what was recorded at the target');
ok(folder($new), 'pages are still missing');
$refused = refusal($main, "SELECT pitr_delete_snapshot('base')");
is($refused->{sqlstate}, '55006', 'its snapshot is not deleted by the other server');
like($refused->{text}, qr/directory of branch "main_restored" is still being loaded.*DETAIL:  It is "\Q${\ $new->data_dir}\E" on host ".+".*It is waited for until/s, 'which names it');
$new->stop('immediate');
$new->start;
is(contents($new), $point->{contents}, 'after an immediate stop as well');
$new->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
$new->reload;
is($new->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'complete');
ok(!folder($new) && !-e $new->data_dir . '/backup_label', 'a plain directory');
is(contents($new), $point->{contents}, 'and all is there');
$new->safe_psql('postgres', 'CREATE TABLE later (id int); SELECT pg_switch_wal()');
ok(poll_until($new, 'SELECT last_archived_wal IS NOT NULL AND failed_count = 0 FROM pitr_archive', 't'), 'it archives its own line');
$main->safe_psql('postgres', "SELECT id FROM pitr_create_snapshot('other')");

# -- the other way round: the living server is incomplete, and then its undo directory is
$main->append_conf('postgresql.conf', "fsync = on\n");
$main->reload;
poll_until($main, 'SHOW fsync', 'on');
my $row = restore($main, "SELECT * FROM pitr_restore_branch('$point->{lsn}'::pg_lsn)");
is($row->{outcome}, 'done', 'restored in place') or diag(explain($row));
ok(folder($main), 'incomplete');
$refused = refusal($new, "SELECT pitr_delete_snapshot('base')");
is($refused->{sqlstate}, '55006', 'the restored server does not delete the snapshot either');
like($refused->{text}, qr/directory of branch "main" is still being loaded.*on host/s, 'the pin names the branch');
is(undo($main)->{outcome}, 'done', 'undone');
ok(!folder($main), 'the first directory is complete');
my $undo = $main->safe_psql('postgres', "SELECT name FROM pitr_branches WHERE kind = 'undo' AND state <> 'deleted'");
sleep 2;
like(refusal($new, "SELECT pitr_delete_snapshot('base')")->{text}, qr/directory of branch "\Q$undo\E" is still being loaded.*on host/s, 'its undo directory is not, and is pinned');
# For a server that shares its past, the directory could be that of another machine.
mark_branch_directory($new);
$main->stop;
my $directory = $main->data_dir . '.pitr/' . $new->safe_psql('postgres', "SELECT id FROM pitr_branches WHERE name = '$undo'");
rename $directory, "$directory.away" or die "rename: $!";
sleep 3;
is($new->safe_psql('postgres', "SELECT directory FROM pitr_branches WHERE name = '$undo'"), $directory, 'the restored server does not miss it');
rename "$directory.away", $directory or die "rename: $!";
$main->start;
$main->safe_psql('postgres', "SELECT pitr_delete_branch('$undo')");
ok(!-e $directory, 'its own server deletes it');
is($new->safe_psql('postgres', "SELECT count(*) FROM pitr_delete_snapshot('base')"), '1', 'deleted when nobody wants it any more');

my $foreign = $new->safe_psql('postgres', 'SELECT name FROM pitr_branches WHERE is_self');
is($main->safe_psql('postgres', "SELECT name FROM pitr_delete_branch('$foreign', force => true)"), $foreign, "another server's branch is deleted");
ok(-e $new->data_dir . '/PG_VERSION', 'but not its directory');
is($new->safe_psql('postgres', 'SELECT 1'), 1, 'where it runs');

$main->stop;
$new->stop;

# -- an encrypted repository on S3, the key in another place than before; the server is gone
my $place = $ENV{PITR_TEST_S3_ENDPOINT} // '';
s3_shared() if $place ne '';
append_to_file("$keys/key", join('', map { sprintf '%02x', int rand 256 } 1 .. 32) . "\n");
chmod 0600, "$keys/key";
my $address = $place eq '' ? '' : "s3://pitr/tap/restored?endpoint=$place&credentials_file=$ENV{PITR_TEST_S3_SERVER_CREDENTIALS}";
($main, $point) = prepared('remote', "pitr.encryption_key_file = '$keys/key'\n" . ($address eq '' ? '' : "pitr.repository = '$address'\n"), 1);
$address = repository_of($main) if $address eq '';
$main->stop;
rename "$keys/key", "$keys/elsewhere" or die;
$run = ended(begin_restore($point, '--repository', $address, '--encryption-key-file', "$keys/elsewhere", '--start'));
is($run->{status}, 0, 'restored and started, encrypted');
ok(folder($run->{node}), 'incomplete');
# It has the port of the one that is gone.
is(contents($main), $point->{contents}, 'what was recorded at the target, the tablespace too, by fetch workers');
is($main->safe_psql('postgres', 'SHOW pitr.encryption_key_file'), "$keys/elsewhere", 'with the key that the restore was given');
$main->safe_psql('postgres', 'ALTER SYSTEM SET pitr.fill_rate = 0');
$main->safe_psql('postgres', 'SELECT pg_reload_conf()');
is($main->safe_psql('postgres', 'SELECT state FROM pitr_complete_branch()'), 'done', 'complete');
ok(!folder($run->{node}), 'a plain directory');
is(contents($main), $point->{contents}, 'and all is there');
command_ok([ 'pg_ctl', 'stop', '-s', '-w', '-D', $run->{node}->data_dir ], 'stopped');

# -- faults of the new step
arm_fault('restore.before_settings error');
$run = ended(begin_restore($point, '--repository', $address, '--encryption-key-file', "$keys/elsewhere"));
clear_faults();
is($run->{status}, 200, 'the settings cannot be written: an error');
ok(!-e $run->{node}->data_dir && !-e $run->{node}->basedir . '/aside', 'and nothing is left');
# -- killed, and no server is there that could look: the next one takes the place, that of the tablespace too, and the name
my @how = ('--repository', $address, '--encryption-key-file', "$keys/elsewhere");
my $place_of = PostgreSQL::Test::Cluster->new('new' . ++$number);
foreach my $point_of_death ('restore.before_settings', 'restore.claimed', 'restore.announced')
{
	arm_fault("$point_of_death kill");
	is(ended(begin_restore_to($place_of, $point, @how))->{status}, 'signal 9', "killed at $point_of_death");
	clear_faults();
}
arm_fault('restore.before_state kill');
$run = ended(begin_restore_to($place_of, $point, @how));
clear_faults();
is($run->{status}, 'signal 9', 'the place was free; killed when the directory was whole');
$run = ended(begin_restore_to($place_of, $point, @how));
like($run->{err}, qr/is not empty/, 'that is not taken away again');
$run = ended(begin_restore($point, @how));
is($run->{status}, 0, 'restored');
like($run->{out}, qr/^branch: main_restored_2 /m, 'the name is free again');
arm_fault('pin.put error');
$run = ended(begin_restore($point, '--repository', $address, '--encryption-key-file', "$keys/elsewhere"));
clear_faults();
is($run->{status}, 200, 'the snapshot cannot be pinned: an error');
ok(!-e $run->{node}->data_dir, 'before anything was made');
done_testing();
