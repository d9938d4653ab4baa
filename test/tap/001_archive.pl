# Archiving: what the server hands over is in the repository with exactly its bytes, under the id of its branch, and nothing else
# is. Sent again it is accepted, with other bytes it is refused, and WAL of another server is refused.
use strict;
use warnings FATAL => 'all';
use File::Copy qw(copy);
use FindBin;
use lib $FindBin::RealBin;
use ArchiveTest;
use JSON::PP;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = archive_node('main');
my $repository = repository_of($node);
my @announced;

# Segments.
my @segments = make_segments($node, 12);
ok(wait_archived($node), 'segments are archived');
ok(same_as_repository($node, @segments), 'the repository has their bytes');
is(scalar(log_lines($node, 0, qr/could not archive/)), 0, 'without a failure');

# Identity and branch.
my $identity = decode_json(slurp_file($node->data_dir . '/pitr/identity.json'));
my $system = $node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()');
is($identity->{system_identifier}, $system, 'the identity names the server');
is($identity->{segment_size}, 1 << 20, 'and its segment size');
like($identity->{branch_id}, qr/^br-[a-z0-9]+-[a-z0-9]+-[a-z0-9]+$/, 'and a branch');
is_deeply([ map { m{/([^/]+)$} } glob("$repository/branches/*") ], [ $identity->{branch_id} ],
	'the repository has that branch and no other');
is($node->safe_psql('postgres', 'SELECT name, is_default, is_self FROM pitr_branches'), 'main|t|t',
	'it is called main');

# Counters.
ok(wait_for('the statistics', sub {
	my $counters = counters($node);
	my $server = psql_row($node, 'SELECT archived_count, last_archived_wal, failed_count FROM pg_stat_archiver');
	return !grep { $counters->{$_} ne $server->{$_} } qw(archived_count last_archived_wal failed_count);
}, 30), 'pitr_archive counts as pg_stat_archiver does');
my $counters = counters($node);
is($counters->{timeline}, 1, 'timeline');
is($counters->{ready_count}, 0, 'nothing waits');
cmp_ok($counters->{raw_bytes}, '>=', 12 << 20, 'bytes as they were');
cmp_ok($counters->{stored_bytes}, '<', $counters->{raw_bytes} / 2, 'bytes as they are stored');

# Backup label files.
$node->safe_psql('postgres', <<'SQL');
SELECT pg_backup_start('label', true) \gset
SELECT count(*) FROM pg_backup_stop(false);
SQL
make_segments($node, 1);
ok(wait_archived($node), 'with a backup label file');
my @labels = map { m{([^/]+\.backup)$} } glob($node->data_dir . '/pg_wal/*.backup');
cmp_ok(scalar(@labels), '>=', 1, 'there is one');
ok(!(grep { !object_of($node, $_) } @labels), 'it is in the repository');

# The same again: after a crash the server may send what was sent before.
my $stored = counters($node)->{stored_bytes};
my $again = $segments[3];
my $status = $node->data_dir . '/pg_wal/archive_status';
rename "$status/$again.done", "$status/$again.ready" or die "rename: $!";
make_segments($node, 1);
ok(wait_archived($node), 'a segment that is sent again is accepted');
is(scalar(log_lines($node, 0, qr/could not archive/)), 0, 'without a word');

# Other content under a name that is taken.
my $from = -s $node->logfile;
my $victim = current_segment($node);
my $object = object_of($node, $segments[0]);
(my $blocked = $object) =~ s/[^\/]+$/$victim/;
copy($object, $blocked) or die "copy: $!";
make_segments($node, 3);
ok(wait_log($node, $from, qr/could not archive "$victim".*already in the repository with other content/),
	'other content is refused');
$node->safe_psql('postgres', 'CHECKPOINT');
is((ready_files($node))[0], $victim, 'the segment waits');
ok(-f $node->data_dir . "/pg_wal/$victim", 'and its WAL is kept');
like(counters($node)->{last_error}, qr/SHA-256/, 'pitr_archive has the error');
is(counters($node)->{last_failed_wal}, $victim, 'and the file');
is(slurp_file($blocked), slurp_file($object), 'what was there is untouched');
my @told = log_lines($node, $from, qr/WARNING:  could not archive/);
is(scalar(@told), 1, 'told once');
unlink $blocked or die "unlink: $!";
ok(wait_archived($node), 'archived when the way is free');
ok(wait_log($node, $from, qr/LOG:  archiving works again with "$victim"/, 5), 'told once');
ok(same_as_repository($node, $victim), 'with its own bytes');
push @announced, qr/could not archive "$victim"/, qr/archiving write-ahead log file "$victim" failed too many times/;

# WAL of another server.
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(extra => ['--wal-segsize=1']);
my ($foreign) = sort grep { /\/[0-9A-F]{24}$/ } glob($other->data_dir . '/pg_wal/*');
my $name = '0000000100000000000000F0';
$from = -s $node->logfile;
copy($foreign, $node->data_dir . "/pg_wal/$name") or die "copy: $!";
append_to_file("$status/$name.ready", '');
make_segments($node, 1);
my $their_system = (`pg_controldata -D @{[ $other->data_dir ]}` =~ /system identifier: +(\d+)/)[0];
ok(wait_log($node, $from, qr/WARNING:  could not archive "$name"/), 'WAL of another server is refused');
my $error = counters($node)->{last_error};
like($error, qr/$system/, 'the error names this server');
like($error, qr/$their_system/, 'and the other');
ok(!object_of($node, $name), 'nothing of it is in the repository');
# The archiver may be busy with the refused one just when the last good one becomes ready.
my $give_up = time + 90;
sleep 1 while time < $give_up && "@{[ ready_files($node) ]}" ne $name;
is_deeply([ ready_files($node) ], [$name], 'what comes before it is archived');
unlink $node->data_dir . "/pg_wal/$name", "$status/$name.ready";
ok(wait_log($node, $from, qr/LOG:  "$name" does not wait to be archived any more/), 'gone, and told so');
push @announced, qr/could not archive "$name"/, qr/archiving write-ahead log file "$name" failed too many times/,
  qr/orphan archive status file/;

# A new timeline: its history file is there before any of its segments.
wait_archived($node);
$node->stop;
$node->set_standby_mode;
$node->start;
$node->promote;
ok(poll_until($node, 'SELECT pg_is_in_recovery()', 'f'), 'promoted');
my @new = make_segments($node, 3);
like($new[0], qr/^00000002/, 'on timeline 2');
ok(wait_archived($node), 'its segments are archived');
ok(object_of($node, '00000002.history'), 'its history file is in the repository');
my ($part) = grep { /^00000001.*\.partial$/ } keys %{ objects_of($repository) };
ok($part, 'and the part of the old timeline\'s last segment');
ok(same_as_repository($node, '00000002.history', @new), 'all with their bytes');
my $history_time = (stat object_of($node, '00000002.history'))[10];
is(scalar(grep { (stat object_of($node, $_))[10] < $history_time } @new), 0, 'the history file came first');
is(counters($node)->{timeline}, 2, 'pitr_archive says so');
is(decode_json(slurp_file($node->data_dir . '/pitr/identity.json'))->{branch_id}, $identity->{branch_id},
	'the branch is the same');

push @announced, qr/specified neither "?primary_conninfo"? nor "?restore_command/;
is(unexpected_log_lines($node, 0, @announced), '', 'nothing unexpected in the log');
$node->stop;
done_testing();
