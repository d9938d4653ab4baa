# Schedules: what is refused, snapshots that are taken when they are due, once, whatever clock, server and launcher do meanwhile, and skipped when there is
# nothing new.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);

# The launcher's clock of schedules is so many seconds later than the machine's as the file says.
$ENV{PITR_SCHEDULE_CLOCK} = fault_file() . '.clock';
$ENV{PITR_SWEEP_SECONDS} = 1;

sub set_clock
{
	my ($text) = @_;
	my ($year, $month, $day, $hour, $minute, $second) = $text =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)$/ or die $text;
	my $path = $ENV{PITR_SCHEDULE_CLOCK};
	open(my $file, '>', "$path.new") or die $!;
	printf $file "%d\n", timegm($second, $minute, $hour, $day, $month - 1, $year) - int time;
	close $file;
	rename "$path.new", $path or die $!;
}

set_clock('2027-01-10 12:00:00');
# The heartbeat commits each second: nothing of that counts.
my $node = pitr_node('main', init => { extra => ['--wal-segsize=1'] }, conf => <<'CONF');
autovacuum = off
pitr.max_replay_bytes = 0
pitr.heartbeat_interval = 1s
CONF
sub value { return $node->safe_psql('postgres', $_[0]); }
sub write_row { return value("INSERT INTO stones VALUES (md5(random()::text))"); }
sub utc { my ($what) = @_; return "to_char($what AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"; }
sub snapshots { return value(q{SELECT count(*) FROM pitr_snapshots WHERE state = 'ok'}); }
my $schedule = q{[{"frequency": "daily", "hour": 5, "retention_seconds": 172800}]};
sub set_schedule { my ($items) = @_; return "pitr_set_backup_schedule('main', '$items', 'Europe/Berlin')"; }
# Waits until the run that was due then has that state.
sub ran
{
	my ($due, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sql = "SELECT count(*) > 0 FROM pitr_schedules WHERE last_state = '$state' AND " . utc('next_run') . " > '$due' AND last_run >= '$due UTC'";
	return ok(poll_until($node, $sql, 't', 60), $name) || diag(value('SELECT * FROM pitr_schedules'));
}
value('CREATE TABLE stones (v text)');

# --- what is refused, and where it is wrong ---
sub refused
{
	my ($call, $sqlstate, $text) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, "SELECT * FROM $call");
	ok($refusal->{sqlstate} eq $sqlstate && $refusal->{text} =~ $text, "$call: $sqlstate") or diag($refusal->{err});
}
refused(q{pitr_set_backup_schedule('main', NULL)}, '22023', qr/schedule must not be null/);
refused(q{pitr_set_backup_schedule(NULL, '[]')}, '22023', qr/branch must not be null/);
refused(q{pitr_set_backup_schedule('main', '{"frequency": "daily"}')}, '22023', qr/not an array/);
refused(q{pitr_set_backup_schedule('main', '[{"frequency": "daily"}, {"frequency": "daily", "hour": 24}]')}, '22023', qr/item 2: hour 24 is not in 0-23/);
refused(q{pitr_set_backup_schedule('main', '[{"frequency": "weekly", "day": 8}]')}, '22023', qr/item 1: day 8 is not in 1-7/);
refused(q{pitr_set_backup_schedule('main', '[{"frequency": "daily", "retention_seconds": 3599}]')}, '22023', qr/retention_seconds 3599/);
refused(q{pitr_set_backup_schedule('main', '[{"frequency": "daily", "retain": 7}]')}, '22023', qr/"retain" is not known/);
refused(q{pitr_set_backup_schedule('main', '[{"cron": "0 5 * *"}]')}, '22023', qr/day of the week is missing at position 8/);
refused(q{pitr_set_backup_schedule('main', '[{"cron": "0 5 1-45 * *"}]')}, '22023', qr/day of the month 45 is not in 1-31 at position 7/);
refused(q{pitr_set_backup_schedule('main', '[{"cron": "0 5 31 2 *"}]')}, '22023', qr/a day that never comes at position 5/);
refused(q{pitr_set_backup_schedule('main', '[]', 'Mars/Olympus')}, '22023', qr/time zone "Mars\/Olympus" not recognized/);
refused(q{pitr_set_backup_schedule('nobody', '[]')}, '42704', qr/nobody/);
refused(q{pitr_set_backup_preset('gold')}, '22023', qr/preset "gold" is not known.*neon-free/s);
refused(q{pitr_set_backup_preset('none', 'nobody')}, '42704', qr/nobody/);
refused(q{pitr_delete_schedule('sc-nothing')}, '42704', qr/sc-nothing/);
refused(q{pitr_delete_schedule(NULL)}, '22023', qr/null/);
is(value('SELECT count(*) FROM pitr_schedules'), 0, 'none is set by any of that');

# --- on time ---
my $row = psql_row($node, 'SELECT *, ' . utc('next_run') . ' AS at FROM ' . set_schedule($schedule));
is("$row->{kind} $row->{branch} $row->{timezone} $row->{at} $row->{last_state}", 'snapshot main Europe/Berlin 2027-01-11 04:00 ', 'at five in Berlin') or diag($row->{_err});
is(value('SELECT count(*) FROM pitr_schedules'), 1, 'the view has it');
my $id = $row->{id};
write_row();
my $before = snapshots();
set_clock('2027-01-11 03:59:58');
ran('2027-01-11 04:00', 'ok', 'a snapshot is taken');
my $taken = psql_row($node, q{SELECT s.name, s.origin, s.id, expires_at - last_run AS kept, made_up FROM pitr_schedules, pitr_snapshots s WHERE s.id = last_detail});
is("$taken->{name} $taken->{origin} $taken->{made_up}", 'sched_main_2027-01-11T04:00:00Z schedule f', 'of that name, when it was due');
like($taken->{kept}, qr/^(1 day 23:5|2 days 00:0|47:5|48:0)/, 'kept for two days');
is(snapshots(), $before + 1, 'one');

# --- nothing new ---
set_clock('2027-01-12 03:59:58');
ran('2027-01-12 04:00', 'skipped', 'a day without a commit is skipped');
is(value(q{SELECT name || ' ' || branch || ' ' || origin || ' ' || (id IS NULL) FROM pitr_snapshots WHERE state = 'skipped'}),
	'sched_main_2027-01-12T04:00:00Z main schedule true', 'which leaves a row');
like(value('SELECT last_detail FROM pitr_schedules'), qr/nothing was committed since snapshot "sched_main_2027-01-11T04:00:00Z"/, 'and says since when');
is(snapshots(), $before + 1, 'and no snapshot');

# --- two at once ---
my $both = '[{"cron": "0 5 * * *", "retention_seconds": 259200, "active_only": false}, {"frequency": "daily", "hour": 5, "retention_seconds": 172800}]';
is(value("SELECT count(*) FROM " . set_schedule($both) . " WHERE id = '$id' AND last_state = 'skipped'"), 1, 'an item that is set again is the one that was there');
set_clock('2027-01-13 03:59:58');
ran('2027-01-13 04:00', 'ok', 'one of two is for idle days, too');
ok(poll_until($node, q{SELECT count(*) FROM pitr_schedules WHERE last_state = 'ok'}, 2, 20), 'both are served');
is(value('SELECT count(DISTINCT last_detail) FROM pitr_schedules'), 1, 'by one snapshot');
is(value(q{SELECT count(*) FROM pitr_snapshots, pitr_schedules WHERE pitr_snapshots.id = last_detail AND expires_at - last_run > '2 days 23:55'}), 2, 'which is kept as long as the longer one wants');
is(snapshots(), $before + 2, 'the only one');

# --- the server was down, for days, with the extension in no database ---
write_row();
value('DROP EXTENSION pitr_ext');
$node->stop;
set_clock('2027-01-20 12:00:00');
my $repository = repository_of($node);
my $manifests = () = glob("$repository/snapshots/*/manifest");
$node->start;
ok(wait_until(60, sub { (() = glob("$repository/snapshots/*/manifest")) > $manifests }), 'what was missed is made up');
value('CREATE EXTENSION pitr_ext');
ran('2027-01-20 04:00', 'ok', 'the newest of what was missed');
is(value(q{SELECT bool_and(made_up) FROM pitr_schedules}), 't', 'which is said');
is(value(q{SELECT count(*) FROM pitr_snapshots WHERE name = 'sched_main_2027-01-20T04:00:00Z'}), 1, 'under the time when it was due');
sleep 2;
is(snapshots(), $before + 3, 'once');

# --- the clock is put back ---
set_clock('2027-01-20 03:59:58');
sleep 4;
is(snapshots(), $before + 3, 'a clock that is put back repeats nothing');
set_clock('2027-01-21 03:59:58');
ran('2027-01-21 04:00', 'ok', 'the next time is served');
is(value(q{SELECT bool_or(made_up) FROM pitr_schedules}), 'f', 'as usual');

# --- the launcher dies ---
my $day = 22;
foreach my $point (qw(schedule.recorded schedule.started schedule.before_outcome))
{
	write_row();
	forget_hits();
	arm_only("$point kill");
	set_clock("2027-01-$day 03:59:59");
	ok(wait_for_hit($point), "$point: the launcher dies");
	clear_faults();
	ok(ensure_running($node), '... the server answers');
	ran("2027-01-$day 04:00", 'ok', '... the run comes to its end');
	is(value(qq{SELECT count(*) FROM pitr_snapshots WHERE name = 'sched_main_2027-01-${day}T04:00:00Z' AND state = 'ok'}), 1, '... with one snapshot');
	$day++;
}

# --- it fails ---
write_row();
my $log = -s $node->logfile;
arm_only('snapshot.manifest.before_write error');
set_clock("2027-01-$day 03:59:59");
ok(poll_until($node, q{SELECT count(*) FROM pitr_schedules WHERE last_state = 'failed' AND last_detail LIKE '%injected fault%'}, 2), 'a failure is said');
clear_faults();
like(slurp_file($node->logfile, $log), qr/WARNING:  scheduled snapshot "sched_main_2027-01-${day}T04:00:00Z" of branch "main" failed: .*injected fault.*\n.*DETAIL:  It is tried again in 60 s/, 'in the log as well');
is(value(qq{SELECT count(*) FROM pitr_schedules WHERE next_run < '2027-01-$day 04:02 UTC'}), 2, 'and it is tried again soon');
set_clock("2027-01-$day 04:03:00");
ran("2027-01-$day 04:00", 'ok', 'with success');
is(value(qq{SELECT count(*) FROM pitr_snapshots WHERE name = 'sched_main_2027-01-${day}T04:00:00Z' AND state = 'ok'}), 1, 'for the time when it was due');
$day++;

# --- a schedule goes with the name of its branch ---
my $lsn = value('SELECT pg_current_wal_insert_lsn()');
write_row();
is(restore($node, "SELECT * FROM pitr_restore_branch('$lsn'::pg_lsn)")->{outcome}, 'done', 'the branch is restored');
is(value(qq{SELECT count(*) FROM pitr_schedules WHERE branch = 'main' AND id = '$id'}), 1, 'it has its schedules');
write_row();
set_clock("2027-01-$day 03:59:58");
ran("2027-01-$day 04:00", 'ok', 'which are followed');
$day++;

# --- dumps ---
refused(q{pitr_schedule_dump('nobody')}, '42704', qr/nobody/);
refused(q{pitr_schedule_dump('postgres', '0 25 * * *')}, '22023', qr/hour 25 is not in 0-23 at position 3/);
refused(q{pitr_schedule_dump('postgres', retention => '30 min')}, '22023', qr/retention of 1800 s/);
refused(q{pitr_schedule_dump('postgres', options => '{"formt": "custom"}')}, '22023', qr/"formt" is not known/);
refused(q{pitr_schedule_dump('postgres', options => '{"jobs": 4}')}, '22023', qr/custom format is written by one job/);
my $dump = psql_row($node, q{SELECT * FROM pitr_schedule_dump('postgres', '30 5 * * *', '2 days', options => '{"no_owner": true}')});
is("$dump->{kind} $dump->{database} $dump->{cron} $dump->{item}", 'dump postgres 30 5 * * * {"no_owner": true}', 'a dump each morning') or diag($dump->{_err});
is(value(q{SELECT id FROM pitr_schedule_dump('postgres', '30 5 * * *', '2 days', options => '{"no_owner": true}')}), $dump->{id}, 'the same call again is the same schedule');
set_clock("2027-01-$day 05:29:58");
ok(poll_until($node, "SELECT last_state FROM pitr_schedules WHERE id = '$dump->{id}'", 'ok', 90), 'it is made when it is due') or diag(value('SELECT * FROM pitr_schedules'));
is(value(qq{SELECT d.database || ' ' || d.state || ' ' || (d.expires_at > '2027-01-$day UTC') FROM pitr_dumps d, pitr_schedules s WHERE s.id = '$dump->{id}' AND d.id = s.last_detail}), 'postgres verified true', 'verified, and kept for a while');
is(value("SELECT pitr_delete_schedule('$dump->{id}')"), 't', 'and no more');
$day++;

# --- taken away ---
is(value("SELECT pitr_delete_schedule('$id')"), 't', 'one is deleted');
refused("pitr_delete_schedule('$id')", '42704', qr/$id/);
is(value('SELECT count(*) FROM pitr_schedules'), 1, 'the other is there');
is(value('SELECT count(*) FROM ' . set_schedule('[]')), 0, 'an empty list takes all away');
$before = snapshots();
write_row();
set_clock("2027-01-$day 03:59:59");

# --- presets ---
my %presets = ('neon-free' => '', 'neon-launch' => '', 'neon-scale' => '', 'neon-business' => '', 'none' => '', 'prisma-pro' => 'daily 0 true 7 days UTC', 'prisma-business' => 'daily 0 true 30 days UTC');
foreach my $preset (sort keys %presets)
{
	is(value(qq{SELECT (item->>'frequency') || ' ' || (item->>'hour') || ' ' || (item->>'active_only') || ' ' || extract(epoch FROM retention) / 86400 || ' days ' || timezone FROM pitr_set_backup_preset('$preset')}) =~ s/\.0+ / /r,
		$presets{$preset}, "preset $preset");
}
is(value(q{SELECT count(*) FROM pitr_schedules}), value(q{SELECT count(*) FROM pitr_set_backup_preset('prisma-pro')}), 'the last one holds');
is(snapshots(), $before, 'without a schedule nothing was taken');
is(value(q{SELECT string_agg(DISTINCT function, ' ' ORDER BY function) FROM pitr_audit WHERE function ~ 'schedule|preset' AND outcome = 'done'}),
	'pitr_delete_schedule pitr_schedule_dump pitr_set_backup_preset pitr_set_backup_schedule', 'each call left a row');

# --- the repository is away ---
my $rows = value('SELECT * FROM pitr_schedules');
rename $repository, "$repository.away" or die $!;
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM pitr_schedules');
rename "$repository.away", $repository or die $!;
is($out, $rows, 'the view answers with what it knows') or diag($err);
like($err, qr/WARNING:  the repository cannot be used: rows as of/, 'and says so');

is(unexpected_log_lines($node, 0, qr/ERROR:/, qr/terminating connection|the database system is|server process|terminating any other|all server processes/,
	qr/scheduled snapshot .* failed/, qr/pitr launcher|pitr archive|archiv|repository/, qr/restoring branch|is being restored|connection to client lost|background worker/), '', 'nothing unexpected in the log');
$node->stop;
done_testing();
