# Retention: what no window needs goes after a grace period, and nothing else does: a child holds what it needs of its ancestor, whoever is at work
# is waited for, a longer window takes marks back, and the last good snapshot stays. The clock of retention is put ahead, hours at a time.
use strict;
use warnings FATAL => 'all';
use BranchTest;
use FaultTest;
use File::Temp ();
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $clock = File::Temp->newdir('pitr-clock-XXXXXX', TMPDIR => 1);
chmod 0755, "$clock";
$ENV{PITR_RETENTION_AHEAD} = "$clock/ahead";
$ENV{PITR_RETENTION_SECONDS} = 1;
$ENV{PITR_ABANDONED_SECONDS} = 1;
$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('kept', init => { extra => ['--wal-segsize=1'] }, conf => "autovacuum = off\npitr.max_replay_bytes = 0\npitr.branch_ports = '6270-6279'\npitr.branch_idle_timeout = 0\n");
my $repository = repository_of($node);

sub value { return $node->safe_psql('postgres', $_[0]); }
sub snapshots { return value(q{SELECT coalesce(string_agg(name, ' ' ORDER BY start_lsn), '') FROM pitr_snapshots}); }
sub preview { return value(q{SELECT coalesce(string_agg(name, ' ' ORDER BY id), '') FROM pitr_retention_preview() WHERE kind = 'snapshot'}); }
sub segments { my ($branch) = @_; return scalar(() = glob("$repository/branches/$branch/wal/0*/*")); }

sub ahead
{
	my ($hours) = @_;
	open(my $file, '>', "$clock/new") or die "$clock/new: $!";
	print $file int($hours * 3600);
	close $file;
	rename "$clock/new", "$clock/ahead" or die "rename: $!";
}

# Some history, and what it is at its end.
my $rows = 0;
sub moment
{
	my ($server) = @_;
	$server //= $node;
	$rows++;
	$server->safe_psql('postgres', "INSERT INTO kept SELECT g, repeat(md5(g::text), 10) FROM generate_series($rows * 1000, $rows * 1000 + 999) g; SELECT pg_switch_wal()");
	my $moment = { time => text_time($server), contents => contents($server) };
	sleep 0.05;
	$server->safe_psql('postgres', 'DELETE FROM kept WHERE id % 7 = 0; SELECT pg_switch_wal()');
	return $moment;
}

sub possible { my ($moment, $branch) = @_; return plan_of($node, "'main', '" . ($branch // 'main') . "\@$moment->{time}'")->{possible} // ''; }

value('CREATE TABLE kept (id int, v text)');
my $first = value('SELECT name FROM pitr_snapshots');
my $one = moment();
value(q{SELECT pitr_create_snapshot('soon', expires_at => now() + '1 hour')});
my $two = moment();
is(value(qq{SELECT state FROM pitr_create_branch('child', 'main\@$two->{time}')}), 'running', 'a child');
my $child = branch_node($node, 'child');
is(contents($child), $two->{contents}, 'of then');
my $three = moment();
value(q{SELECT pitr_create_snapshot('by hand')});
my $four = moment();
value(q{SELECT pitr_create_snapshot('newest', expires_at => now() + '1 hour')});
my $five = moment();
my ($main, $child_id) = map { branch_of($node, $_)->{id} } 'main', 'child';

# Bad input.
foreach my $bad (
	[ q{pitr_set_restore_window('main', '59 min')}, '22023', qr/3540 seconds is shorter than an hour/ ],
	[ q{pitr_set_restore_window('main', '-1 day')}, '22023', qr/-86400 seconds/ ],
	[ q{pitr_set_restore_window('main', '200 years')}, '22023', qr/longer than a century/ ],
	[ q{pitr_set_restore_window('nobody', '1 day')}, '42704', qr/nobody/ ],
	[ q{pitr_set_restore_window(NULL, '1 day')}, '22023', qr/branch must not be null/ ],
	[ q{pitr_set_retention('main', daily => 0)}, '22023', qr/daily is 0/ ],
	[ q{pitr_set_retention('nobody')}, '42704', qr/nobody/ ],
	[ q{pitr_retention_preview('nobody')}, '42704', qr/nobody/ ])
{
	my ($call, $sqlstate, $text) = @$bad;
	my $refused = refusal($node, "SELECT * FROM $call");
	is($refused->{sqlstate}, $sqlstate, $call);
	like($refused->{text}, $text, '... with the reason');
}

# The default window holds it all.
sleep 3;
is(snapshots(), "$first soon by hand newest", 'nothing goes by itself within seven days');
is(preview(), '', 'and nothing is about to');

# One hour, seen from three hours ahead: the window begins with the newest snapshot. The child has none of its own, and needs those from before its fork.
is(value(q{SELECT bytes_unreachable FROM pitr_set_restore_window('child', '1 hour')}), 0, 'of the child nothing goes');
my $set = psql_row($node, q{SELECT * FROM pitr_set_restore_window('main', '1 hour')});
is($set->{duration}, '01:00:00', 'a window of an hour');
value('ALTER SYSTEM SET pitr.retention_grace = 600; SELECT pg_reload_conf()');
ahead(3);
my $wal = segments($main);
ok(poll_until($node, q{SELECT string_agg(name, ' ' ORDER BY id) FROM pitr_retention_preview() WHERE kind = 'snapshot'}, $first), 'what would go: the first, since the child has a newer one, "soon"');
cmp_ok(value(q{SELECT bytes_unreachable FROM pitr_set_restore_window('main', '1 hour')}), '>', 0, 'the call says how much');
is(value(q{SELECT string_agg(kind, ' ' ORDER BY kind) FROM pitr_retention_preview('main')}), 'snapshot wal', 'a row for the snapshot, one for WAL');
is(possible($one), 't', 'still there');

# Marked by now; lengthened again in time, nothing goes.
sleep 2.5;
value(q{SELECT pitr_set_restore_window('main', '30 days')});
is(preview(), '', 'a longer window: nothing is about to go');
sleep 2.5;
ahead(14);
sleep 2.5;
is(snapshots(), "$first soon by hand newest", 'nor has anything gone when the grace period is over');
is(possible($one), 't', 'and every point is there');
value(q{SELECT pitr_set_restore_window('main', '1 hour')});
my $said = preview();
is($said, $first, 'shortened again');
sleep 2.5;

# Somebody at work is waited for.
arm_fault('build.lay_out.done stop');
my $slow = begin_sql($node, qq{SELECT state FROM pitr_create_branch('slow', 'main\@$one->{time}')});
ok(wait_for_hit('build.lay_out.done'), 'a branch is being made from the oldest snapshot');
ahead(25);
sleep 3;
is(snapshots(), "$first soon by hand newest", 'nothing goes meanwhile');
clear_faults();
my ($rc, $out, $err) = end_sql($slow);
is($out, "running\n", 'it is made') or diag($err);
my $slow_node = branch_node($node, 'slow');
is(contents($slow_node), $one->{contents}, 'with what was there then');
sleep 2;
is(preview(), '', 'and needs what it was made from, from now on');

# It is deleted. Died at each step on the way, retention goes on: marks first, then ten hours later.
arm_fault('retention.before_mark kill');
value(q{SELECT pitr_delete_branch('slow', force => true)});
ok(poll_until($node, q{SELECT string_agg(name, ' ' ORDER BY id) FROM pitr_retention_preview() WHERE kind = 'snapshot'}, $first), 'until it is deleted');
foreach my $point (qw(before_mark marked before_mark_wal))
{
	arm_only("retention.$point kill");
	ok(wait_for_hit("retention.$point", 20), "killed at $point");
}
arm_only('retention.started kill');
ok(wait_for_hit('retention.started', 20), 'the launcher, too');
clear_faults();
ok(ensure_running($node), 'the server is there again');
is(snapshots(), "$first soon by hand newest", 'nothing is gone');
ok(poll_until($node, 'SELECT count(*) FROM pitr_branches WHERE state = \'running\'', 2), 'the child, too');
sleep 3;
ahead(40);
foreach my $point (qw(before_manifest before_record recorded before_segment))
{
	arm_only("retention.$point kill");
	ok(wait_for_hit("retention.$point", 20), "killed at $point");
}
clear_faults();
is(join(' ', grep { /^retention\./ && !fault_hit($_) } fault_points()), '', 'every point of retention was met');
ok(poll_until($node, q{SELECT string_agg(name, ' ' ORDER BY start_lsn) FROM pitr_snapshots}, 'soon by hand newest'), 'what was said goes');
ok(poll_until($node, q{SELECT count(*) FROM pitr_retention_preview('main')}, 0), 'with its WAL');
cmp_ok(segments($main), '<', $wal, 'which is fewer objects');
ok(poll_until($node, q{SELECT count(*) > 0 FROM pitr_operations WHERE kind = 'retention' AND state = 'done'}, 't'), 'there is a row of it');
like(slurp_file($node->logfile), qr/LOG: .*retention removed \d+ snapshots.* objects with WAL, \d+ bytes/, 'and a line in the log');
is(value('SELECT count(*) FROM pitr_gaps()'), 0, 'it is no gap');
is(value('SELECT count(*) FROM pitr_verify() WHERE NOT ok'), 0, 'nothing is damaged');
is(value(q{SELECT string_agg(kind, ' ' ORDER BY earliest_lsn) FROM pitr_restore_window()}), 'continuous snapshot continuous', 'what the child needs, what was taken by hand, the window');
my $plan = plan_of($node, "'main', 'main\@$one->{time}'");
is("$plan->{possible} $plan->{sqlstate}", 'f PI003', 'before all of them: PI003');
$plan = plan_of($node, "'main', 'main\@$four->{time}'");
is("$plan->{possible} $plan->{sqlstate}", 'f PI001', 'between two of them: PI001') or diag(explain($plan));
is(plan_of($node, q{'main', 'main@snapshot:by hand'})->{possible}, 't', 'what was taken by hand can be restored');
is(possible($five), 't', 'and so can what lies in the window');

# The child goes back to a point of its own, by the snapshot of its ancestor and the WAL up to the fork.
my $own = moment($child);
my $restored = restore($child, qq{SELECT * FROM pitr_restore_branch('$own->{time}')});
is($restored->{outcome}, 'done', 'the child is restored') or diag(explain($restored));
is(contents($child), $own->{contents}, 'to what it held');
is(possible($two, 'child'), 't', 'the oldest point that it has of its ancestor is there, too');

# The oldest point left of the other.
my $head = contents($node);
$restored = restore($node, q{SELECT * FROM pitr_restore_branch('main', 'main@snapshot:by hand')});
is($restored->{outcome}, 'done', 'restored to what was taken by hand') or diag(explain($restored));
is(value('SELECT max(id) FROM kept'), 3999, 'which is what was there');
is(value(q{SELECT count(*) FROM pitr_retention_preview() WHERE kind = 'snapshot' AND name = 'newest'}), 0, 'what the undo branch begins with stays');
$restored = undo($node);
is($restored->{outcome}, 'done', 'undone') or diag(explain($restored));
is(contents($node), $head, 'and there it all is again');

# Without any history the newest good snapshot stays, though it has expired, and so does the newest state.
value(q{SELECT pitr_set_restore_window('main', '0')});
sleep 2;
ahead(60);
sleep 3;
like(snapshots(), qr/newest/, 'the last good snapshot is never removed');
is(plan_of($node, q{'main', 'main'})->{possible}, 't', 'the newest state can be restored');

is(unexpected_log_lines($node, 0, qr/ERROR:|FATAL:/, qr/server process|terminating|background worker|could not|is being restored|connection to client lost/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();
