# Several repositories that hold the same: one of them away and back, lost, new, damaged, foreign; the catch-up killed at each of its steps.
# Encrypted, since what is copied lies below the encryption; the part with S3 is not.
use strict;
use warnings FATAL => 'all';
use Cwd qw(abs_path);
use Digest::MD5 ();
use File::Find ();
use File::Path qw(remove_tree);
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $top = PostgreSQL::Test::Utils::tempdir();
my %at = map { $_ => "$top/$_" } qw(a b c d);
mkdir $_, 0700 foreach values %at;
my $key_file = "$top/key";
{
	open(my $out, '>', $key_file) or die "$key_file: $!";
	chmod 0600, $key_file;
	print $out join('', map { sprintf '%02x', int rand 256 } 1 .. 32), "\n";
	close $out;
}

# name => MD5 of everything that counts in a folder.
sub objects_of
{
	my ($folder) = @_;
	my %objects;
	return {} unless -d $folder;
	no warnings 'File::Find';    # a folder that goes while it is looked at
	File::Find::find(
		{
			no_chdir => 1,
			wanted => sub {
				my $name = substr($_, length $folder);
				return if $name =~ m{^/(\.tmp|probe)(/|$)} || !-f $_;
				open(my $in, '<:raw', $_) or return;
				$objects{$name} = Digest::MD5->new->addfile($in)->hexdigest;
			}
		},
		$folder);
	return \%objects;
}

# Both hold the same, soon.
sub same_soon
{
	my ($first, $second, $name, $seconds) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $give_up = time + ($seconds // 90);
	my ($mine, $theirs, @odd);
	do
	{
		sleep 0.3;
		($mine, $theirs) = (objects_of($first), objects_of($second));
		@odd = grep { ($mine->{$_} // '') ne ($theirs->{$_} // '') } sort keys %{ { %$mine, %$theirs } };
	} while (@odd && time < $give_up);
	ok(!@odd && %$mine, $name) or diag("different: @odd[0 .. ($#odd < 9 ? $#odd : 9)]");
	return;
}

sub pitr
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	local $ENV{PITR_ENCRYPTION_KEY_FILE} = $key_file;
	IPC::Run::run([ 'pitr', @arguments ], '>', \$out, '2>', \$err);
	my $status = $? & 127 ? "signal $?" : $? >> 8;
	note("pitr @arguments: $status\n$err$out");
	return { status => $status, out => $out, err => $err };
}

# What a server holds that was made from one repository alone.
my $restored = 0;
sub contents_from
{
	my ($address, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $server = PostgreSQL::Test::Cluster->new('restored' . ++$restored);
	mkdir $server->basedir;
	my $run = pitr('restore', '--repository', $address, '--directory', $server->data_dir);
	is($run->{status}, 0, "pitr restore: $name") or return ('', $run);
	$server->append_conf('postgresql.conf',
		'port = ' . $server->port . "\nunix_socket_directories = '" . $server->host . "'\narchive_mode = off\n");
	$server->start;
	my $contents = contents($server);
	$server->stop;
	return ($contents, $run);
}

sub set_repository
{
	my ($node, $address) = @_;
	$node->append_conf('postgresql.conf', "pitr.repository = '$address'");
	$node->reload;
	poll_until($node, 'SHOW pitr.repository', $address) or die 'reload';
	return;
}

sub archived { my ($node) = @_; return poll_until($node, 'SELECT ready_count FROM pitr_archive', '0', 90); }

my $number = 0;
sub work
{
	my ($node) = @_;
	$number++;
	$node->safe_psql('postgres', "INSERT INTO stones SELECT $number, md5(g::text) FROM generate_series(1, 500) g; SELECT pg_switch_wal()");
	return;
}

sub shown
{
	my ($node, $place, $columns) = @_;
	return "SELECT $columns FROM pitr_repositories WHERE repository = '$place'";
}

my $whole = 'reachable, behind_segments, behind_bytes, last_error IS NULL';

my $node = pitr_node('main', conf => <<"CONF");
pitr.repository = '$at{a},$at{b}'
pitr.encryption_key_file = '$key_file'
CONF
$node->safe_psql('postgres', 'CREATE TABLE stones (id int, name text)');
work($node) foreach 1 .. 3;
ok(archived($node), 'archived');
same_soon($at{a}, $at{b}, 'WAL and the first snapshot are in both, byte for byte');
is($node->safe_psql('postgres', 'SELECT repository, required, reachable, conditional_writes, encrypted, key_id IS NOT NULL FROM pitr_repositories'),
	"$at{a}|t|t|t|t|t\n$at{b}|f|t|t|t|t", 'pitr_repositories shows both');
is($node->safe_psql('postgres', "SELECT count(*) FROM pitr_check() WHERE item LIKE 'repository %' AND ok"), '2', 'pitr_check has a row for each');

# -- one that is best effort is away -------------------------------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT * FROM pitr_create_snapshot('short_lived')");
same_soon($at{a}, $at{b}, 'a second snapshot is in both');
rename $at{b}, "$at{b}.away" or die;
work($node) foreach 1 .. 3;
ok(archived($node), 'archiving goes on without the best effort one');
ok(poll_until($node, shown($node, $at{b}, 'reachable, last_error IS NOT NULL, behind_segments >= 3'), 'f|t|t'), 'it is shown as down and behind');
like($node->safe_psql('postgres', 'SELECT problem FROM pitr_status'), qr/\Q$at{b}\E" is down/, 'pitr_status names it');
is($node->safe_psql('postgres', "SELECT ok FROM pitr_check() WHERE item = 'repository 2'"), 'f', 'so does pitr_check');
$node->safe_psql('postgres', "SELECT * FROM pitr_delete_snapshot('short_lived')");
my $then = contents($node);
my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
rename "$at{b}.away", $at{b} or die;
same_soon($at{a}, $at{b}, 'it is caught up when it is back, and the deleted snapshot is gone from it');
ok(poll_until($node, shown($node, $at{b}, $whole), 't|0|0|t'), 'and shown as whole');
my ($contents, $run) = contents_from($at{b}, 'from the one that was away, alone');
is($contents, $then, 'it has everything');

# -- the catch-up is killed ----------------------------------------------------------------------------------------------------------
sub hits { return -e fault_file() . '.hits' ? slurp_file(fault_file() . '.hits') : ''; }

my %killed;
sub kill_catch_up
{
	my ($point, $skip) = @_;
	my $before = () = hits() =~ /^\Q$point\E /mg;
	arm_only("$point kill " . ($skip // 0));
	return sub {
		my $give_up = time + 90;
		sleep 0.1 while (() = hits() =~ /^\Q$point\E /mg) <= $before && time < $give_up;
		clear_faults();
		$killed{$point} = (() = hits() =~ /^\Q$point\E /mg) > $before;
		ok($killed{$point}, "killed at $point");
	};
}

rename $at{b}, "$at{b}.away" or die;
work($node) foreach 1 .. 3;
ok(archived($node), 'archived');
my $wait = kill_catch_up('replicate.before_copy', 2);
rename "$at{b}.away", $at{b} or die;
$wait->();
same_soon($at{a}, $at{b}, 'what was killed in the middle of the catch-up is completed by the next');

# -- a required one is away ----------------------------------------------------------------------------------------------------------
rename $at{a}, "$at{a}.away" or die;
work($node) foreach 1 .. 2;
ok(poll_until($node, 'SELECT archive_state, ready_count >= 2 FROM pitr_status, pitr_archive', 'failing|t'), 'without the required one WAL is kept');
rename "$at{a}.away", $at{a} or die;
ok(archived($node), 'and archived when it is back');
same_soon($at{a}, $at{b}, 'both have it');

# -- the first one is lost -----------------------------------------------------------------------------------------------------------
my $later = contents($node);
rename $at{a}, "$at{a}.lost" or die;
set_repository($node, $at{b});
ok(poll_until($node, 'SELECT can_restore, problem IS NULL FROM pitr_status', 't|t'), 'the other one alone will do');
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)");
is($row->{outcome}, 'done', 'restored in place from it') or diag(explain($row));
is(contents($node), $then, 'contents of then');
$row = undo($node);
is($row->{outcome}, 'done', 'undone') or diag(explain($row));
is(contents($node), $later, 'contents of before');

# -- a new one is filled, and killed at each step of that ----------------------------------------------------------------------------
arm_only('replicate.before_publish stop');
set_repository($node, "$at{b},$at{c}?mode=required");
my $give_up = time + 90;
sleep 0.1 while hits() !~ /^replicate\.before_publish /m && time < $give_up;
$run = pitr('info', '--repository', $at{c});
isnt($run->{status}, 0, 'a half filled one is no repository');
like($run->{err}, qr/not filled yet/, 'and says so');
work($node);
ok(archived($node), 'archiving does not wait for one that is being filled, required or not');
clear_faults();
same_soon($at{b}, $at{c}, 'the new one is filled');
foreach my $point (qw(replicate.before_mark replicate.before_publish replicate.after_publish))
{
	set_repository($node, $at{b});
	sleep 3;    # the launcher sees both lists, one after the other
	remove_tree($at{c}, { keep_root => 1 });
	my $wait = kill_catch_up($point);
	set_repository($node, "$at{b},$at{c}?mode=required");
	$wait->();
	same_soon($at{b}, $at{c}, "filled after all, killed at $point");
}
ok(poll_until($node, shown($node, $at{c}, $whole), 't|0|0|t'), 'it is shown as whole');
ok(!-e "$at{c}/replica.json", 'the mark of filling is gone');

# A writer dies when the first has the object and the second has not.
work($node);
ok(archived($node), 'archived');
$wait = kill_catch_up('mirror.put.after_judge');
eval { work($node) };    # the server goes down with whoever dies
$wait->();
poll_until($node, 'SELECT 1', '1') or die 'the server did not come back';
ok(archived($node), 'archived after a death between the two');
same_soon($at{b}, $at{c}, 'both have it');
$then = contents($node);
($contents, $run) = contents_from($at{c}, 'from the new one alone');
is($contents, $then, 'it has everything');

# -- the order of the list -----------------------------------------------------------------------------------------------------------
set_repository($node, "$at{c},$at{b}?mode=required");
work($node);
ok(archived($node), 'the order is changed by a reload');
same_soon($at{b}, $at{c}, 'both have it');
$then = contents($node);

# -- damage in the nearest -----------------------------------------------------------------------------------------------------------
$node->safe_psql('postgres', "SELECT * FROM pitr_create_snapshot('for_damage')");
work($node);
ok(archived($node), 'archived');
same_soon($at{b}, $at{c}, 'both are the same');
$then = contents($node);
my $objects = objects_of($at{c});
my @packs = sort grep { m{^/packs/} } keys %$objects;
my @segments = sort { -M "$at{c}$b" <=> -M "$at{c}$a" } grep { m{/wal/[0-9A-F]{8}/[0-9A-F]{24}$} } keys %$objects;
my @damaged = ($packs[-1], $segments[-1]);
foreach my $name (@damaged)
{
	open(my $file, '+<:raw', "$at{c}$name") or die "$at{c}$name: $!";
	seek $file, 100, 0;
	print $file "damage";
	close $file;
}
$run = pitr('verify', '--repository', "$at{c},$at{b}");
is($run->{status}, 1, 'pitr verify finds the damage');
like($run->{out}, qr/\Q$at{c}\E/, 'and says where');
unlike($run->{out}, qr/in "\Q$at{b}\E"/, 'and not in the other one');
($contents, $run) = contents_from("$at{c},$at{b}", 'from both, the nearest damaged');
is($contents, $then, 'what is damaged is read from the other one');
like($run->{err}, qr/is damaged: it is read from another/, 'and named');
# What is taken away comes back.
unlink "$at{c}$_" or die foreach @damaged;
$node->reload;
same_soon($at{b}, $at{c}, 'what was removed for damage comes back from the sound one');

# -- what is refused -----------------------------------------------------------------------------------------------------------------
my $log_from = -s $node->logfile;
rename $at{c}, "$at{c}.away" or die;
mkdir $at{c}, 0700;
work($node);
ok(poll_until($node, shown($node, $at{c}, "reachable, last_error LIKE '%is empty, but was a repository%'"), 'f|t')
	  || poll_until($node, "SELECT problem LIKE '%is empty, but was a repository%' FROM pitr_status", 't', 20),
	'an empty folder in the place of a replica is told from a new one');
is(join('', glob "$at{c}/*"), '', 'and not filled');
rmdir $at{c} or die;
rename "$at{c}.away", $at{c} or die;
ok(archived($node), 'archived when it is back');

my $other = pitr_node('other', conf => "pitr.repository = '$at{d}'\n");
$other->stop;
set_repository($node, "$at{b},$at{d}");
my $refusal = refusal($node, 'SELECT * FROM pitr_restore_window()');
like($refusal->{text}, qr/\Q$at{b}\E" and "\Q$at{d}\E" are two repositories|not encrypted/, 'another repository is refused, both named');
is($refusal->{sqlstate}, 'PI004', 'with its SQLSTATE');
set_repository($node, "$at{b},$at{c}");
work($node);
ok(archived($node), 'archiving goes on with the right list');
same_soon($at{b}, $at{c}, 'both have it');
foreach my $wrong ([ "$at{a},$at{a}/", 'twice' ], [ "$at{a}?mode=best_effort,$at{b}?mode=best_effort", 'no repository is required' ],
	[ "$at{a},$at{a}/x", 'lies in the other' ], [ "$at{a}?mode=no", 'mode' ])
{
	like(refusal($node, "ALTER SYSTEM SET pitr.repository = '$wrong->[0]'")->{err}, qr/$wrong->[1]/, "refused: $wrong->[1]");
}
$node->stop;

my @points = grep { /^(mirror|replicate)\./ } split /\n/, `pitr fault-points`;
# Nothing is left over for removal when the only thing that goes is what a deleted snapshot had.
is(join(' ', grep { !$killed{$_} && $_ ne 'replicate.before_remove' } @points), '', 'killed at every step');

# -- a folder and a bucket -----------------------------------------------------------------------------------------------------------
SKIP:
{
	my $endpoint = $ENV{PITR_TEST_S3_ENDPOINT} // '';
	skip 'no S3 server', 1 if $endpoint eq '';
	s3_alone();
	my $keys = $ENV{PITR_TEST_S3_SERVER_CREDENTIALS};
	my $bucket = "s3://pitr/tap/several$$";
	mkdir "$top/near", 0700;
	my $far = pitr_node('far', conf => <<"CONF");
pitr.repository = '$top/near,$bucket'
pitr.s3_endpoint = '$endpoint'
pitr.s3_credentials_file = '$keys'
CONF
	my $alone = "$bucket?endpoint=$endpoint&credentials_file=$keys";
	$far->safe_psql('postgres', 'CREATE TABLE stones (id int, name text)');
	work($far) foreach 1 .. 2;
	ok(archived($far), 'archived to a folder and a bucket');
	ok(poll_until($far, shown($far, $bucket, $whole), 't|0|0|t'), 'the bucket is whole');
	kill 'KILL', slurp_file("$ENV{PITR_TEST_RGW_DIR}/rgw.pid") + 0;
	my $began = time;
	work($far) foreach 1 .. 3;
	ok(archived($far), 'archiving goes on while the S3 server is dead');
	cmp_ok(time - $began, '<', 60, 'and is not held up by it');
	ok(poll_until($far, shown($far, $bucket, 'reachable, last_error IS NOT NULL'), 'f|t'), 'it is shown as down');
	my $recorded = contents($far);
	system_or_bail($ENV{PITR_TEST_RGW}, 'up', $ENV{PITR_TEST_RGW_DIR}, 'rgw');
	ok(poll_until($far, shown($far, $bucket, $whole), 't|0|0|t', 120), 'caught up when it is back');
	$far->stop;
	rename "$top/near", "$top/near.lost";
	$key_file = '';
	my ($contents) = contents_from($alone, 'from the bucket alone');
	is($contents, $recorded, 'the bucket has everything');
}
done_testing();
