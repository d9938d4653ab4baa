# The whole way on object storage: a server that archives to Ceph's radosgw, restored in place, and restored from the bucket alone.
# The keys show nowhere. Skipped where test/run could not start an S3 server.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
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
$node->safe_psql('postgres', 'DELETE FROM stones WHERE id > 100');
my $later = contents($node);

is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing');
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

# The keys show nowhere.
my $all = $node->safe_psql('postgres',
	"SELECT string_agg(name || '=' || coalesce(setting, '') || coalesce(reset_val, ''), ' ') FROM pg_settings");
$all .= join '', map { slurp_file($_) } glob($node->data_dir . '/pitr/*.json'), glob(abs_path($node->data_dir) . '.pitr/*.json'), $node->logfile;
unlike($all, qr/\Q$secret\E/, 'settings, files and log show no secret');
my $titles = '';
foreach my $file (glob '/proc/[0-9]*/cmdline')
{
	open(my $handle, '<', $file) or next;
	$titles .= do { local $/; <$handle> } // '';
}
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
