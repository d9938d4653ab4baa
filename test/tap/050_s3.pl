# The whole way on object storage: a server that archives to Ceph's radosgw, restored in place, and restored from the bucket alone.
# The keys show nowhere, the whole time. Skipped where test/run could not start an S3 server.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use IPC::Run;
use lib $FindBin::RealBin;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
plan skip_all => 'no S3 server' if $endpoint eq '';
s3_alone();
my $keys = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};
my ($secret) = slurp_file($keys) =~ /aws_secret_access_key = (\S+)/;

my $repository = 's3://pitr/tap/main';
my $node = pitr_node('main', conf => <<"CONF");
pitr.repository = '$repository'
pitr.s3_endpoint = '$endpoint'
pitr.s3_credentials_file = '$keys'
pitr.s3_retry_time = '20s'
CONF
pass('archiving, and the first snapshot');

$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 5000) g');
my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $then = contents($node);
my $stones = rows_of($node, 'stones');
$node->safe_psql('postgres', 'DELETE FROM stones WHERE id > 100');
my $later = contents($node);
past_reads_as($node, "main\@$lsn", 'stones', $stones);

is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing');
# What processes are called while they archive, copy, restore and recover: read all the time, shown below.
my $titles_file = $node->basedir . '/titles';
my $watcher = IPC::Run::start([ $^X, '-e', <<'PERL', $titles_file ], '>', '/dev/null');
use strict; use warnings; use Time::HiRes qw(sleep);
open(my $out, '>', $ARGV[0]) or die; select((select($out), $| = 1)[0]);
my %seen;
while (getppid() != 1)
{
	foreach my $file (glob '/proc/[0-9]*/cmdline')
	{
		open(my $handle, '<', $file) or next;
		my $title = do { local $/; <$handle> } // next;
		print $out "$title\n" unless $seen{$title}++ || length $title > 4000;
	}
	sleep 0.05;
}
PERL
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)");
is($row->{outcome}, 'done', 'restored in place') or diag(explain($row));
is(contents($node), $then, 'contents of then');
$row = undo($node);
is($row->{outcome}, 'done', 'undone') or diag(explain($row));
is(contents($node), $later, 'contents of before');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pitr_verify() WHERE NOT ok'), '0', 'pitr_verify finds no damage');

# More than one part of an upload.
$node->safe_psql('postgres', 'CREATE TABLE heavy AS SELECT g AS id, gen_random_uuid() AS a, gen_random_uuid() AS b FROM generate_series(1, 600000) g');
$node->safe_psql('postgres', "SELECT * FROM pitr_create_snapshot('large')");
is($node->safe_psql('postgres', "SELECT state FROM pitr_snapshots WHERE name = 'large'"), 'ok', 'a snapshot with large packs');
$node->safe_psql('postgres', "INSERT INTO stones VALUES (0, 'the last one'); SELECT pg_switch_wal()");
my $last = contents($node);
is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'everything is in the bucket');

# The keys show nowhere: settings, what is said when keys are refused, views, files, the log.
my $wrong = $node->basedir . '/wrong.keys';
append_to_file($wrong, slurp_file($keys) =~ s/(aws_secret_access_key = ).*/${1}$secret-and-more/r);
chmod 0600, $wrong;
$node->append_conf('postgresql.conf', "pitr.s3_credentials_file = '$wrong'");
$node->reload;
$node->safe_psql('postgres', "INSERT INTO stones VALUES (1000000, 'kept out'); SELECT pg_switch_wal()");
my (undef, undef, $refusal) = $node->psql('postgres', '\set VERBOSITY verbose' . "\nSELECT * FROM pitr_verify()");
like($refusal, qr/SignatureDoesNotMatch/, 'keys that are refused');
ok(poll_until($node, "SELECT count(*) > 0 FROM pitr_errors WHERE message LIKE '%SignatureDoesNotMatch%'", 't'), 'and in the background as well');
my (undef, $shown, $complaints) = $node->psql('postgres', join(';', 'SHOW ALL', map({ "SELECT x::text FROM $_ x" }
	qw(pg_settings pg_file_settings pg_stat_activity pitr_status pitr_archive pitr_errors pitr_operations pitr_audit pitr_repositories))),
	on_error_stop => 0);
my $all = $refusal . $shown . $complaints;
$node->append_conf('postgresql.conf', "pitr.s3_credentials_file = '$keys'");
$node->reload;
$all .= join '', map { slurp_file($_) } glob($node->data_dir . '/pitr/*.json'), glob(abs_path($node->data_dir) . '.pitr/*.json'), $node->logfile;
like($all, qr/\Q$wrong\E/, 'where keys are is shown');
unlike($all, qr/\Q$secret\E/, 'settings, errors, views, files and log show no secret');
my $titles = slurp_file($titles_file);
$watcher->kill_kill;
like($titles, qr/$_/, "process titles: $_ was seen") foreach qr/pitr\0.*wal-get|wal-get/, qr/postgres: .*archiver/, qr/startup recovering/;
unlike($titles, qr/\Q$secret\E/, 'nor does a process title');

# The store goes away and comes back.
my ($rgw, $rgw_directory) = ($ENV{PITR_TEST_RGW}, $ENV{PITR_TEST_RGW_DIR});
my $pid = slurp_file("$rgw_directory/rgw.pid") + 0;
kill 'KILL', $pid;
$node->safe_psql('postgres', "INSERT INTO stones VALUES (-$_, 'while it was away'); SELECT pg_switch_wal()") foreach 1 .. 3;
sleep 2;
is($node->safe_psql('postgres', 'SELECT count(*) FROM stones WHERE id < 0'), '3', 'the server goes on without its store');
my ($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; SELECT * FROM pitr_restore_window()");
like($err, qr/statement timeout|could not/, 'a call that needs the store can be cancelled') or diag($err);
system_or_bail($rgw, 'up', $rgw_directory, 'rgw');
ok(poll_until($node, "SELECT ready_count FROM pitr_archive", '0', 60), 'the backlog is drained once it is back');
is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing');
$last = contents($node);

# Nothing is left but the bucket.
$node->stop;
rename $node->data_dir, $node->data_dir . '.gone' or die;
my $restored = PostgreSQL::Test::Cluster->new('restored');
mkdir $restored->basedir;
my $address = "$repository?endpoint=$endpoint&credentials_file=$keys";
command_ok([ 'pitr', 'info', '--repository', $address ], 'pitr info');
command_ok([ 'pitr', 'restore', '--repository', $address, '--directory', $restored->data_dir ], 'pitr restore from the bucket');
$restored->append_conf('postgresql.conf',
	'port = ' . $restored->port . "\nunix_socket_directories = '" . $node->host . "'\narchive_mode = off\n");
$restored->start;
is(contents($restored), $last, 'the last contents');
$restored->stop;
done_testing();
