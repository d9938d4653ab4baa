# A store without conditional writes: one that ignores If-None-Match, and one that answers 501 to it. Both are found out when the
# repository is made; then names are looked for before they are written, and the lease decides who archives. A proxy makes them out of
# Ceph's radosgw (FaultProxy.pm). Skipped where test/run could not start an S3 server.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use FaultProxy;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
plan skip_all => 'no S3 server' if $endpoint eq '';
s3_shared();
my $keys = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};
my ($server_port) = $endpoint =~ /:(\d+)$/;
my $timeout = 10;
my $always = 1000000;

my $proxy = FaultProxy->start("$ENV{TESTDATADIR}/proxy059", $server_port);
END { local $?; $proxy->stop if $proxy }

sub settings
{
	my ($prefix, $through) = @_;
	return <<"CONF";
pitr.repository = 's3://pitr/tap/$prefix'
pitr.s3_endpoint = '@{[ $through // $proxy->endpoint ]}'
pitr.s3_credentials_file = '$keys'
pitr.s3_retry_time = '20s'
pitr.lease_timeout = '${timeout}s'
pitr.tail_interval = 0
autovacuum = off
CONF
}

foreach my $case ([ 'ignores', 200 ], [ 'refuses', 501 ])
{
	my ($name, $code) = @$case;
	$proxy->rules("^PUT no_conditions $code $always");
	my $node = pitr_node($name, init => { allows_streaming => 1, extra => ['--wal-segsize=1'] },
		conf => "wal_keep_size = '1GB'\n" . settings($name));
	pass("$name: a repository, and the first snapshot");
	is($node->safe_psql('postgres', 'SELECT conditional_writes, reachable FROM pitr_repositories'), 'f|t', "$name: pitr_repositories says so");
	# From here on a request with a condition would fail.
	$proxy->rules("^PUT no_conditions 403 $always");
	$node->safe_psql('postgres', 'CREATE TABLE stones AS SELECT g AS id FROM generate_series(1, 1000) g');
	my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
	my $then = contents($node);
	$node->safe_psql('postgres', 'DELETE FROM stones WHERE id > 10');
	make_segments($node, 5);
	ok(wait_archived($node, 60), "$name: archives");
	is($node->safe_psql('postgres', 'SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', "$name: pitr_check finds nothing");
	my $row = restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)");
	is($row->{outcome}, 'done', "$name: restored in place") or diag(explain($row));
	is(contents($node), $then, "$name: contents of then");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pitr_verify() WHERE NOT ok'), '0', "$name: nothing is damaged");
	my @processes = map { $_->{pid} } processes_of($node);
	$node->kill9;
	wait_until(30, sub { !grep { -d "/proc/$_" } @processes });
	$node->start;
	make_segments($node, 2);
	ok(wait_archived($node, 60), "$name: killed and started again, it archives");

	$node->backup('copy');
	my $copy = PostgreSQL::Test::Cluster->new("copy_$name");
	$copy->init_from_backup($node, 'copy');
	$copy->start;
	ok(wait_log($copy, 0, qr/WARNING:  nothing is archived: another server is the writer of branch "main"/, 4 * $timeout),
		"$name: a copy is refused");
	make_segments($copy, 2);
	make_segments($node, 2);
	ok(wait_archived($node, 60), "$name: the original goes on");
	is(counters($copy)->{archived_count}, '0', "$name: the copy archives nothing");
	$copy->stop('immediate');
	$node->stop;
}

# A store that heeds conditions unless two write at the same moment (OpenStack Swift): found out as well.
{
	$proxy->rules("(PUT|DELETE) late_conditions 0 $always");
	my $node = pitr_node('late', init => { extra => ['--wal-segsize=1'] }, conf => settings('late'));
	is($node->safe_psql('postgres', 'SELECT conditional_writes FROM pitr_repositories'), 'f', 'looks too early: pitr_repositories says so');
	make_segments($node, 2);
	ok(wait_archived($node), 'looks too early: archives');
	$node->stop;
}

# A repository that was made on a store with conditional writes, and comes to one without.
$proxy->rules();
my $node = pitr_node('moved', init => { extra => ['--wal-segsize=1'] }, conf => settings('moved'));
make_segments($node, 2);
ok(wait_archived($node), 'with conditions it archives');
is($node->safe_psql('postgres', 'SELECT conditional_writes FROM pitr_repositories'), 't', 'and says that it has them');
$node->stop;
$proxy->rules("^PUT no_conditions 200 $always");
$node->start;
make_segments($node, 2);
ok(wait_for('the error', sub { (counters($node)->{last_error} // '') =~ /be written once more.*If-None-Match/ }),
	'a store that takes names twice, and a repository that does not know, is refused')
  or diag(explain(counters($node)));
cmp_ok(scalar(my @ready = ready_files($node)), '>=', 2, 'WAL is kept');
$proxy->rules();
ok(wait_archived($node, 90), 'and archived when the store is right again');
$node->stop;
done_testing();
