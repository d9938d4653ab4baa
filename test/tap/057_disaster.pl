# From nothing: the server, its directory and its machine are gone; what is left is the bucket, the key, and a machine that has
# PostgreSQL's own package and the program `pitr`, without the extension.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
plan skip_all => 'no S3 server' if $endpoint eq '';
s3_shared();
my $keys = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};

my $machine = PostgreSQL::Test::Utils::tempdir();
my $key = "$machine/repository.key";
append_to_file($key, join('', map { sprintf '%02x', int rand 256 } 1 .. 32) . "\n");
chmod 0600, $key;

my $node = pitr_node('main', conf => <<"CONF");
shared_preload_libraries = 'auto_explain, pitr_ext'
pitr.repository = 's3://pitr/tap/disaster'
pitr.s3_endpoint = '$endpoint'
pitr.s3_credentials_file = '$keys'
pitr.encryption_key_file = '$key'
CONF
$node->safe_psql('postgres', 'CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS what FROM generate_series(1, 3000) g');
sleep 0.05;
my $time = $node->safe_psql('postgres', "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF:00')");
my $then = contents($node);
sleep 0.05;
$node->safe_psql('postgres', 'DELETE FROM orders WHERE id % 2 = 0');
my $last = contents($node);
ok(poll_until($node, 'SELECT loss_if_crashed_now FROM pitr_status', '00:00:00', 60), 'everything is in the bucket');

# The machine burns down.
my $port = $node->port;
$node->stop('immediate');
$node->clean_node;
ok(!-e $node->data_dir, 'nothing of the server is left');

# The other machine: a copy of PostgreSQL without what `make install` adds, but the program.
my ($bin, $library, $share) = map { chomp(my $told = `pg_config $_`); $told } '--bindir', '--pkglibdir', '--sharedir';
my ($root) = $bin =~ m{^(.*?)/usr/} or die $bin;
foreach my $directory ($bin, $library, $share)
{
	my $copy = $machine . substr($directory, length $root);
	system_or_bail('mkdir', '-p', $copy);
	system_or_bail('cp', '-a', "$directory/.", $copy);
}
my $bare = $machine . substr($bin, length $root);
my @ours = glob("$machine/usr/{lib,share}/postgresql/*/{lib,extension,lib/bitcode}/pitr_ext*");
ok(@ours > 0, 'the extension was there');
system_or_bail('rm', '-rf', @ours);

sub on_other_machine
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'env', '-i', "PATH=$bare:/usr/bin:/bin", "HOME=$machine", @command ], '>', \$out, '2>', \$err);
	note("@command: $?\n$out$err");
	return ($? >> 8, $out, $err);
}

# As contents() of PitrTest, over the socket that the restored server has.
foreach my $case ([ 'point', $then, '--target-time', $time ], [ 'end', $last ])
{
	my ($what, $expected, @target) = @$case;
	my $directory = "$machine/$what";
	my ($status, $out, $err) = on_other_machine('pitr', 'restore', '--repository',
		"s3://pitr/tap/disaster?endpoint=$endpoint&credentials_file=$keys",
		'--encryption-key-file', $key, '--directory', $directory, @target, '--start');
	is($status, 0, "$what: restored and started") or diag($err);
	like($out, qr/next steps:\n  1\. install the extension pitr_ext/, "$what: the next steps are told");
	my ($psql) = $out =~ m{(\S+/psql .*postgres)$}m;
	ok($psql, "$what: how to connect is told");
	# The server kept the port and socket of the old one.
	is(contents($node), $expected, "$what: its contents");
	my (undef, $one) = on_other_machine('sh', '-c', "$psql -XAtc 'SHOW shared_preload_libraries'");
	is($one, "auto_explain\n", "$what: other libraries are loaded");
	is((on_other_machine("$bare/pg_ctl", 'stop', '-s', '-m', 'fast', '-D', $directory))[0], 0, "$what: it stops");
	my $waiting = () = glob "$directory/pg_wal/archive_status/*.ready";
	cmp_ok($waiting, '>', 0, "$what: its WAL waits for the extension");
}

# With the extension it archives as a branch of its own.
system_or_bail('cp', '-a', "$root$_", "$machine$_") foreach map { substr($_, length $machine) } @ours;
is((on_other_machine("$bare/pg_ctl", 'start', '-w', '-s', '-D', "$machine/end", '-l', "$machine/log"))[0], 0, 'it starts with the extension');
ok(poll_until($node, 'SELECT ready_count FROM pitr_archive', '0', 60), 'what waited is archived');
is($node->safe_psql('postgres', 'SELECT name FROM pitr_branches WHERE is_self'), 'main_restored_2', 'as its own branch');
is((on_other_machine("$bare/pg_ctl", 'stop', '-s', '-m', 'fast', '-D', "$machine/end"))[0], 0, 'it stops');
done_testing();
