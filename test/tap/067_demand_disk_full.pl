# The disk is full while a directory is incomplete: a page that is missing cannot be laid out, and whoever reads it gets an error that says so; the
# server, and what is there, go on; all is well when there is room again.
#
# PITR_MOUNTED: a file system of some 400 MB, to be filled (test/run makes one as root).
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $mounted = $ENV{PITR_MOUNTED};
plan skip_all => 'PITR_MOUNTED names no file system' unless $mounted && -w $mounted;

my $disk = "$mounted/full";
mkdir $_, 0700 or die "mkdir $_: $!" foreach $disk, "$disk/data";
my $node = pitr_node('full', place => "$disk/data", init => { extra => ['--wal-segsize=1'] }, conf => <<'CONF');
max_wal_size = 32MB
min_wal_size = 16MB
autovacuum = off
fsync = on
pitr.demand_load = auto
pitr.fill_rate = '32kB'
pitr.max_replay_bytes = 0
CONF
my $ballast = "$disk/ballast";

sub value { return $node->safe_psql('postgres', $_[0]); }

# To the last byte.
sub fill_disk
{
	open(my $file, '>:raw', $ballast) or die "$ballast: $!";
	my $size = 1 << 20;
	while ($size >= 4096)
	{
		my $written = syswrite $file, "\1" x $size;
		$size /= 2 if !defined $written || $written < $size;
	}
	close $file;
}

value(q{CREATE TABLE large AS SELECT g AS id, repeat(md5(g::text), 3) AS v FROM generate_series(1, 200000) g});
value(q{CREATE TABLE other AS SELECT * FROM large WHERE id <= 1000});
value("SELECT id FROM pitr_create_snapshot('base')");
my ($target, $then) = (value('SELECT pg_current_wal_insert_lsn()'), contents($node));
value('DELETE FROM large WHERE id % 2 = 0');
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)");
is($row->{outcome}, 'done', 'restored') or diag(explain($row));
is(value('SELECT incomplete_bytes > 0 FROM pitr_branches WHERE is_self'), 't', 'the directory is incomplete');
is(value('SELECT count(*) FROM other'), '1000', 'a table that is read before');

fill_disk();
my $from = -s $node->logfile;
my $refused = refusal($node, 'SELECT count(*), sum(id) FROM large');
is($refused->{sqlstate}, '53100', 'a page for which there is no room: the code of a full disk') or diag($refused->{text});
like($refused->{text}, qr/could not read blocks? [\d.]+ in file "[^"]+": No space left on device/, 'and its error');
is(value('SELECT count(*) FROM other'), '1000', 'what is there can be read');
# Completion meets it as well, and does not give up.
ok(wait_until(60, sub { slurp_file($node->logfile, $from) =~ /a page could not be loaded.*\n.*No space left on device/ }), 'the log tells why completion waits');
ok(poll_until($node, "SELECT count(*) FROM pitr_operations WHERE kind = 'complete' AND state = 'running'", 1), 'and it goes on trying');
my $postmaster = postmaster_of($node);

unlink $ballast or die "unlink: $!";
is(value('SELECT count(*), sum(id) FROM large'), '200000|20000100000', 'with room again everything can be read');
is(contents($node), $then, 'and is what it was');
value('ALTER SYSTEM SET pitr.fill_rate = 0');
$node->reload;
ok(poll_until($node, 'SELECT incomplete_bytes FROM pitr_branches WHERE is_self', 0), 'the directory becomes complete');
is(postmaster_of($node), $postmaster, 'by the same server');
is(contents($node), $then, 'complete, it is the same');
$node->stop;
done_testing();
