# What wal-get tells a recovering server: 0 delivered, 1 proven absent, above 125 whatever was not found out. A doubt that is told as 1
# ends a recovery early and loses data (conventions 5.10).
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pitr_node('main');
my $repository = repository_of($node);
my $place = PostgreSQL::Test::Utils::tempdir();

sub wal_get
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	local $ENV{PITR_REPOSITORY} = $ENV{PITR_REPOSITORY} // $repository;
	local $ENV{PITR_BRANCH} = $ENV{PITR_BRANCH} // 'main';
	IPC::Run::run([ 'pitr', 'wal-get', @arguments ], '>', \$out, '2>', \$err);
	note("wal-get @arguments: $err") if $err;
	return $? & 127 ? "signal $?" : $? >> 8;
}

my $got = "$place/got";

sub gives
{
	my ($wanted, $name, $what) = @_;
	unlink $got;
	is(wal_get($name, $got), $wanted, $what);
	ok($wanted == 0 ? -e $got : !-e $got, $wanted == 0 ? 'the file is there' : 'no file was made');
}

# A segment whose bytes we keep to compare, in the repository as a whole one.
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
my $segment = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
my $original = slurp_file($node->data_dir . "/pg_wal/$segment");
my $found;
for (1 .. 600)
{
	($found) = glob("$repository/branches/*/wal/00000001/$segment");
	last if $found;
	Time::HiRes::usleep(100_000);
}
ok($found, 'the segment is in the repository');

gives(0, $segment, 'a segment that is there');
ok(slurp_file($got) eq $original, 'with the bytes that the server wrote');
gives(1, '0000000100000000000000F0', 'a segment that was never written');
gives(1, '00000009' . substr($segment, 8), 'the same on a timeline that was never used');
gives(1, '00000002.history', 'the history of a timeline that was never used');

gives(200, 'nonsense', 'a name that is none');
gives(200, "$segment.partial", 'a name that no server asks for');
is(wal_get($segment), 200, 'too few arguments');
is(wal_get($segment, $got, 'more'), 200, 'too many arguments');
is(wal_get($segment, "$place/absent/file"), 200, 'a place where nothing can be written is no absence');
is(wal_get('00000002.history', "$place/absent/file"), 1, 'what is absent needs no place');

{
	local $ENV{PITR_BRANCH} = 'nobody';
	gives(200, $segment, 'a branch that is not there');
}
{
	local $ENV{PITR_WAL_GET_CONFIG} = "$place/absent.json";
	gives(200, $segment, 'a configuration that cannot be read');
	append_to_file("$place/broken.json", '{"repository":');
	$ENV{PITR_WAL_GET_CONFIG} = "$place/broken.json";
	gives(200, $segment, 'a configuration that is broken');
}

# Damage: a byte in the middle, a missing end, an empty object.
my $object = slurp_file($found);

sub with_object
{
	my ($bytes, $code) = @_;
	chmod 0600, $found;
	open(my $file, '>:raw', $found) or die "$found: $!";
	print $file $bytes;
	close $file;
	$code->();
}
my $middle = int(length($object) / 3);
my $flipped = $object;
substr($flipped, $middle, 1) = chr(ord(substr($object, $middle, 1)) ^ 0x40);
with_object($flipped, sub { gives(200, $segment, 'a damaged object'); });
with_object(substr($object, 0, $middle), sub { gives(200, $segment, 'an object cut short'); });
with_object('', sub { gives(200, $segment, 'an empty object'); });
with_object($object, sub { gives(0, $segment, 'whole again'); });

SKIP:
{
	skip 'root can read everything', 2 if $> == 0;
	chmod 0000, $found;
	gives(200, $segment, 'an object that may not be read');
	chmod 0600, $found;
}

# The repository itself: gone, an empty mount point, without its first object.
rename $repository, "$repository.away" or die;
gives(200, $segment, 'a repository that is gone');
gives(200, '0000000100000000000000F0', 'and what it never had');
mkdir $repository or die;
gives(200, $segment, 'an empty folder in its place');
gives(200, '0000000100000000000000F0', 'and what it never had');
rmdir $repository or die;
rename "$repository.away", $repository or die;
rename "$repository/repository.json", "$repository/away" or die;
gives(200, '0000000100000000000000F0', 'a repository without its first object');
rename "$repository/away", "$repository/repository.json" or die;
gives(0, $segment, 'all is back');

$node->stop;
done_testing();
