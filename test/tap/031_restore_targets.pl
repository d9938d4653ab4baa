# What a target means: every written form, on both sides of a commit, and what a plan and a restore make of it alike
# (rules.md 2, sql-surface.md 2).
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

srand($ENV{PITR_SEED} // 4711);

my $node = pitr_node('targets', conf => <<'CONF');
max_prepared_transactions = 5
track_commit_timestamp = on
autovacuum = off
pitr.undo_directory_retention = 0
CONF

sub value { return $node->safe_psql('postgres', $_[0]); }

# A commit on a table of its own history: its number, time, and what there is after it.
my @commits;

sub commit_one
{
	my ($sql) = @_;
	my ($xid) = split /\n/, value("BEGIN; $sql; SELECT pg_current_xact_id(); COMMIT");
	my $time = value("SET TimeZone = 'UTC'; SELECT to_char(pg_xact_commit_timestamp('$xid'::xid), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
	my $commit = { xid => $xid, time => $time, lsn => value('SELECT pg_current_wal_insert_lsn()'), contents => contents($node) };
	push @commits, $commit;
	return $commit;
}

sub now_text { return value("SET TimeZone = 'UTC'; SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"); }

# The text of a time, written as its name says in the session's time zone.
sub in_zone
{
	my ($zone, $time, $format) = @_;
	return value("SET TIME ZONE $zone; SELECT to_char('$time'::timestamptz, '$format')");
}

# Restores, and checks that it was what the plan said and that everything is as recorded.
sub goes_to
{
	my ($arguments, $contents, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $plan = plan_of($node, $arguments);
	is($plan->{possible}, 't', "$name: possible") or diag(explain($plan));
	my $row = restore($node, "SELECT * FROM pitr_restore_branch($arguments)");
	is($row->{outcome}, 'done', "$name: done") or diag(explain($row));
	is("$row->{restored_lsn} $row->{commit_xid} $row->{commit_time}", "$plan->{target_lsn} $plan->{commit_xid} $plan->{commit_time}",
		"$name: what the plan said");
	is(contents($node), $contents, "$name: contents of then");
	return $row;
}

# --- the first line of history ---
value('CREATE TABLE events (id int PRIMARY KEY, what text)');
value('CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE TABLE goods AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 2000) g');

my $first = commit_one("INSERT INTO events VALUES (1, 'first')");
my $second = commit_one("INSERT INTO events VALUES (2, 'second')");
my $between = now_text();
my $third = commit_one("INSERT INTO events VALUES (3, 'third')");

value("SELECT pg_create_restore_point('twice')");
commit_one("INSERT INTO events VALUES (4, 'between the restore points')");
my $named = contents($node);
value("SELECT pg_create_restore_point('twice')");
my $fifth = commit_one("INSERT INTO events VALUES (5, 'after the restore point')");

my $at_snapshot = contents($node);
value("SELECT pitr_create_snapshot('in between')");
commit_one("UPDATE events SET what = 'changed after the snapshot' WHERE id = 1");

# rules.md 2: deleted here but not committed, the position noted there, committed. If anything else was written at that
# position, the commit begins behind it, so that another round is needed.
my ($noted, $deleted, $before_delete);
foreach my $round (1 .. 5)
{
	value("INSERT INTO events SELECT g, 'to be deleted' FROM generate_series(1000, 1020) g");
	$before_delete = contents($node);
	my $session = $node->background_psql('postgres');
	my $xid = $session->query_safe("BEGIN; DELETE FROM events WHERE id >= 1000; SELECT pg_current_xact_id()");
	$noted = value('SELECT pg_current_wal_insert_lsn()');
	$session->query_safe('COMMIT');
	$session->quit;
	$deleted = { xid => $xid, contents => contents($node) };
	last if plan_of($node, "'$noted'::pg_lsn, inclusive => false")->{next_commit_lsn} eq $noted;
}
my $after_delete = commit_one("INSERT INTO events VALUES (6, 'after the deletion')");

# A transaction that was rolled back, and one that is prepared over some others.
my ($aborted) = split /\n/, value("BEGIN; DELETE FROM events; SELECT pg_current_xact_id(); ROLLBACK");
value("BEGIN; INSERT INTO events VALUES (7, 'in two phases'); PREPARE TRANSACTION 'half done'");
my $while_prepared = commit_one("INSERT INTO events VALUES (8, 'while one is prepared')");
value("COMMIT PREPARED 'half done'");
my $after_prepared = commit_one("INSERT INTO events VALUES (9, 'after both phases')");

my $before_drop = contents($node);
my $drop_noted = value('SELECT pg_current_wal_insert_lsn()');
my $drop_time = now_text();
value('DROP DATABASE shop');
my $after_drop = commit_one("INSERT INTO events VALUES (10, 'after the database')");

# A few more, so that chance has a choice.
foreach my $id (11 .. 16)
{
	commit_one("INSERT INTO events VALUES ($id, 'more'); UPDATE events SET what = what || '.' WHERE id % 3 = $id % 3");
	value('SELECT pg_switch_wal()') if $id == 13;
}
my $last = contents($node);

# --- plans: which commit is the last one in, which the first one out ---
sub commits_of
{
	my ($arguments, $settings) = @_;
	my $plan = plan_of($node, $arguments, $settings);
	return ($plan->{commit_xid} // "? $plan->{_err}") . ' ' . ($plan->{next_commit_xid} // '?');
}

is(commits_of("'$noted'::pg_lsn"), "$deleted->{xid} $after_delete->{xid}", 'position before a COMMIT, inclusive: the commit is in');
is((split / /, commits_of("'$noted'::pg_lsn, inclusive => false"))[1],
	$deleted->{xid}, 'position before a COMMIT, exclusive: the commit is the first one out');
is(commits_of("'$second->{time}'"), "$second->{xid} $third->{xid}", 'exactly at the time of a commit: it is in');
is(commits_of("'$second->{time}', inclusive => false"), "$first->{xid} $second->{xid}", 'exclusive: it is out');
is(commits_of("'$second->{time}'::timestamptz - interval '1 microsecond'"), "$first->{xid} $second->{xid}", 'a microsecond before it: out');
is(commits_of("'$second->{time}'::timestamptz + interval '1 microsecond', inclusive => false"),
	"$second->{xid} $third->{xid}", 'a microsecond behind it, exclusive: in');
is(commits_of("'$between'"), "$second->{xid} $third->{xid}", 'between two commits');
is(commits_of("'$between', inclusive => false"), "$second->{xid} $third->{xid}", 'between two commits, exclusive');
is(commits_of("'xid:$second->{xid}'"), "$second->{xid} $third->{xid}", 'xid: that commit is the last one');
is(commits_of("'xid:$second->{xid}', inclusive => false"), "$first->{xid} $second->{xid}", 'xid: exclusive');
is(commits_of("'name:twice'"), "$commits[3]{xid} $fifth->{xid}", 'restore point: the newest of that name');
is(commits_of("'snapshot:in between'"), "$fifth->{xid} $commits[5]{xid}", 'snapshot: its stop');
is(commits_of("'main', 'main\@$second->{time}'"), "$second->{xid} $third->{xid}", 'branch and source, by time');
is(commits_of("'main\@xid:$second->{xid}'"), "$second->{xid} $third->{xid}", 'source\@point in the text form');
is(commits_of("'^self\@$second->{lsn}'"), "$second->{xid} $third->{xid}", '^self and an LSN');
# 12:00 is noon: the same moment, written in a time zone where it is twelve something, one where it is midnight, and one with
# half hours; with the server's own input, which takes the session's zone, and by RFC 3339.
{
	my ($hour) = $second->{time} =~ /T(\d\d)/;
	my %zones = (
		noon => 12 - $hour,
		midnight => $hour < 12 ? -$hour : 24 - $hour > 14 ? -$hour + 12 : 24 - $hour,
		'quarter to' => 5.75);
	foreach my $name (sort keys %zones)
	{
		my $minutes = int($zones{$name} * 60);
		my $zone = sprintf "INTERVAL '%s%02d:%02d' HOUR TO MINUTE", $minutes < 0 ? '-' : '+', int(abs($minutes) / 60), abs($minutes) % 60;
		my $bare = in_zone($zone, $second->{time}, 'YYYY-MM-DD HH24:MI:SS.US');
		like($bare, qr/ 12:/, "it is noon in $zone") if $name eq 'noon';
		is(commits_of("'$bare'", "SET TIME ZONE $zone; "), "$second->{xid} $third->{xid}", "text in the session's zone, $name");
		is(commits_of("'$bare', inclusive => false", "SET TIME ZONE $zone; "), "$first->{xid} $second->{xid}", "exclusive, $name");
		my $zoned = in_zone($zone, $second->{time}, 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM');
		is(commits_of("'main\@$zoned'", "SET TIME ZONE 'America/St_Johns'; "), "$second->{xid} $third->{xid}", "RFC 3339 with $zoned");
	}
	my $printed = value("SET TimeZone = 'Asia/Kolkata'; SELECT '$second->{time}'::timestamptz");
	is(commits_of("'$printed'"), "$second->{xid} $third->{xid}", "what now() prints: $printed");
	my $german = value("SET DateStyle = 'German'; SET TimeZone = 'Europe/Berlin'; SELECT '$second->{time}'::timestamptz");
	is(commits_of("'$german'", "SET DateStyle = 'German'; "), "$second->{xid} $third->{xid}", "and in German: $german");
	is(plan_of($node, "now()::text")->{possible}, 't', 'now()::text');
	is(plan_of($node, "'now'")->{possible}, 't', "'now'");
}

# --- refused, by plan and restore alike ---
refused_alike($node, "'yesterday'", 'PI003', qr/yesterday|no snapshot|before/i, "'yesterday' is a time, before the window");
refused_alike($node, "'2001-06-01 12:00:00.123456Z'::timestamptz", 'PI003', qr/2001-06-01T12:00:00\.123456Z/, 'before the window');
refused_alike($node, "'0/10'::pg_lsn", 'PI003', qr{0/10}, 'LSN before the window');
refused_alike($node, "now() + interval '1 hour'", '22023', qr/Timestamp can not be in future - \d{4}-/, 'a time in the future');
refused_alike($node, "'tomorrow'", '22023', qr/Timestamp can not be in future - /, "'tomorrow'");
refused_alike($node, "'main\@2999-01-01T12:00:00Z'", '22023', qr/Timestamp can not be in future - main\@2999-01-01T12:00:00Z/, 'a source in the future');
refused_alike($node, "'main', 'main\@2999-01-01T12:00:00Z'", '22023', qr/Timestamp can not be in future - /, 'branch and source in the future');
refused_alike($node, "pg_current_wal_lsn() + 50000000", 'PI001', qr/./, 'an LSN that is not reached yet');
refused_alike($node, "'FFFFFFFF/0'", 'PI001', qr{FFFFFFFF/0}, 'an LSN far away');
refused_alike($node, "'12:00 o''clock-ish'", '22007', qr/12:00 o'clock-ish/, 'not a time');
refused_alike($node, "'2026-13-45'", '22007', qr/2026-13-45/, 'a time out of range');
refused_alike($node, "'infinity'", '22007', qr/infinity/, 'infinity as text');
refused_alike($node, "'-infinity'::timestamptz", '22007', qr/infin/, 'infinity as time');
refused_alike($node, "''", '22007', qr/./, 'empty');
refused_alike($node, "NULL::text", '22023', qr/null/, 'null');
refused_alike($node, "'main\@noon'", '22P02', qr/Invalid source branch format - main\@noon/, 'malformed point');
refused_alike($node, "'main\@2026-11-20T10:00:00'", '22P02', qr/Invalid source branch format - /, 'RFC 3339 without zone');
refused_alike($node, "'main\@'", '22P02', qr/Invalid source branch format - main\@/, 'nothing behind the @');
refused_alike($node, "'xid:twelve'", '22P02', qr/xid:twelve/, 'malformed xid');
refused_alike($node, "'xid:$aborted'", '42704', qr/transaction $aborted of branch "main" was rolled back/, 'an aborted transaction');
refused_alike($node, "'xid:3000000000'", '42704', qr/3000000000/, 'a transaction that never was');
refused_alike($node, "'name:never'", '42704', qr/restore point "never"/, 'a restore point that never was');
refused_alike($node, "'snapshot:never'", '42704', qr/snapshot "never"/, 'a snapshot that never was');
refused_alike($node, "'nowhere\@0/5000000'", '42704', qr/nowhere/, 'an unknown branch');
refused_alike($node, "'nowhere', 'main'", '42704', qr/nowhere/, 'unknown branch as the first of two');
like(refused_alike($node, "'0/5000000', 'aside'", '42704', qr/./, 'a point where a branch belongs')->{text},
	qr/preserve_under_name => 'aside'/, 'and the hint says how to write it');
refused_alike($node, "'$between', preserve_under_name => 'main'", '42710', qr/main/, 'a name that is taken');
refused_alike($node, "'$between', preserve_under_name => '^x'", '42602', qr/\^x/, 'an invalid name');
refused_alike($node, "'$while_prepared->{time}'", '55000', qr/would break/, 'a prepared transaction at the target');
like(plan_of($node, "'$while_prepared->{time}'")->{reason}, qr/half done/, 'which the plan names');
is(plan_of($node, "'$while_prepared->{time}'")->{prepared_transactions}, '{"half done"}', 'in its column too');
is(plan_of($node, "'$after_prepared->{time}'")->{prepared_transactions}, '{}', 'finished ones are not listed');
is(contents($node), $last, 'nothing of this has changed anything');
is(value("SELECT arguments FROM pitr_audit WHERE outcome = 'refused' AND arguments LIKE '%2001-06-01%'"),
	"'2001-06-01T12:00:00.123456Z'", 'refused calls are in the audit, to the microsecond');

# --- restores: one of each form, each from what the one before left ---
goes_to("'xid:$fifth->{xid}'", $fifth->{contents}, 'xid');
goes_to("'$drop_time'", $before_drop, 'before DROP DATABASE, by time');
is($node->safe_psql('shop', 'SELECT count(*), sum(id) FROM goods'), '2000|2001000', 'the database is complete');
$node->safe_psql('shop', 'CREATE INDEX ON goods (name); ALTER TABLE goods ADD COLUMN price int');
goes_to("'$noted'::pg_lsn", $deleted->{contents}, 'position before a COMMIT, inclusive');
goes_to("'$noted'::pg_lsn, inclusive => false", $before_delete, 'position before a COMMIT, exclusive');
goes_to("'name:twice'", $named, 'restore point');
goes_to("'snapshot:in between'", $at_snapshot, 'snapshot');
my $chatham = in_zone("'Pacific/Chatham'", $second->{time}, 'YYYY-MM-DD HH24:MI:SS.US');
value("ALTER DATABASE postgres SET TimeZone = 'Pacific/Chatham'");
goes_to("'$chatham', inclusive => false", $first->{contents}, 'exactly at a commit, exclusive, in a zone of its own');

# Prepared at the target: with force it is there again and can be finished either way.
goes_to("'$while_prepared->{time}', force => true", $while_prepared->{contents}, 'prepared transaction, forced');
is(value('SELECT gid FROM pg_prepared_xacts'), 'half done', 'it is prepared again');
value("COMMIT PREPARED 'half done'");
is(value('SELECT what FROM events WHERE id = 7'), 'in two phases', 'and can be committed');

# Ten points by chance, in any form, back and forth over all the lines that came to be meanwhile: the plan and the answer agree, and
# two of them are gone to.
my $old = value("SELECT name FROM pitr_branches WHERE kind = 'undo' ORDER BY created_at LIMIT 1");
foreach my $n (1 .. 10)
{
	my $i = int rand @commits;
	my $commit = $commits[$i];
	# At the position behind the one in two phases its second phase begins, which is a commit of its own.
	my $form = int rand($i == 7 ? 3 : 4);
	my $inclusive = $form == 3 || $i == 0 || rand() < 0.6;
	my $arguments = ("'$commit->{time}'", "'$commit->{time}'::timestamptz", "'main', '$old\@xid:$commit->{xid}'", "'$old\@$commit->{lsn}'")[$form]
	  . ($inclusive ? '' : ', inclusive => false') . ', force => true';
	if ($n > 2)
	{
		my $plan = plan_of($node, $arguments);
		is($plan->{possible}, 't', "by chance: $arguments is possible") or diag(explain($plan));
		# Between two recorded commits others may lie, so that without the commit only what comes next is certain.
		is($inclusive ? $plan->{commit_xid} : $plan->{next_commit_xid}, $commit->{xid}, "by chance: $arguments");
		next;
	}
	my $row = restore($node, "SELECT * FROM pitr_restore_branch($arguments)");
	is($row->{outcome}, 'done', "by chance: $arguments") or diag(explain($row));
	if ($inclusive)
	{
		is($row->{commit_xid}, $commit->{xid}, 'at that commit');
		is(contents($node), $commit->{contents}, 'with its contents');
	}
	else
	{
		ok($row->{commit_xid} < $commit->{xid}, 'without that commit');
	}
}

# --- ambiguous: two unrelated lines hold a position, and the current one does not ---
sub write_much { value('CREATE TABLE filler AS SELECT g, md5(g::text) FROM generate_series(1, 10000) g'); }
goes_to("'$old\@$commits[8]{lsn}', force => true", $commits[8]{contents}, 'to the first fork');
my $one = value("SELECT id FROM pitr_branches WHERE is_self");
write_much();
my $lost = value('SELECT pg_current_wal_insert_lsn()');
goes_to("'$old\@$commits[6]{lsn}', force => true", $commits[6]{contents}, 'to the second fork');
my $two = value("SELECT id FROM pitr_branches WHERE is_self");
write_much();
value('CREATE TABLE filler_too AS TABLE filler UNION ALL TABLE filler');
goes_to("'$old\@$commits[5]{lsn}', force => true", $commits[5]{contents}, 'to the third fork');
my $two_name = value("SELECT name FROM pitr_branches WHERE id = '$two'");
my $one_name = value("SELECT name FROM pitr_branches WHERE id = '$one'");
like(refused_alike($node, "'$lost'::pg_lsn", 'PI006', qr/\Q$lost\E.* is ambiguous/, 'a position that two unrelated lines hold')->{text},
	qr/HINT:  Write "\Q$two_name\E\@\Q$lost\E" or "main_old_.*\@\Q$lost\E"/, 'both ways to write it are named');
is(plan_of($node, "'$one_name\@$lost'")->{line}, $one_name, 'and with the line it is one point');

is(value("SELECT count(*) FROM pitr_check() WHERE NOT ok"), 0, 'pitr_check finds nothing wrong') or diag(value('SELECT * FROM pitr_check()'));
is( unexpected_log_lines(
		$node, 0,
		qr/terminating connection due to administrator command/,
		qr/terminating connection because of crash of another server process/,
		qr/the database system is (in recovery mode|not yet accepting|starting up)/,
		qr/being restored to another point in time/,
		qr/ ERROR:  /),
	'', 'nothing unexpected in the log');
$node->stop;
done_testing();
