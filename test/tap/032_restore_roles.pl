# Roles over a restore, the way back to before CREATE EXTENSION, an older version of its objects, and subscriptions that must not act in a copy (rules.md 3).
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('roles', start => 0, conf => "autovacuum = off\npassword_encryption = 'scram-sha-256'\n");

sub value { return $node->safe_psql('postgres', $_[0]); }
sub position { return value('SELECT pg_current_wal_insert_lsn()'); }

# What is kept of a role, and what is not.
sub kept
{
	my ($name) = @_;
	return value("SELECT rolpassword, extract(epoch FROM rolvaliduntil), rolcanlogin, rolconnlimit FROM pg_authid WHERE rolname = \$\$$name\$\$");
}
sub past { return value("SELECT rolcreatedb FROM pg_authid WHERE rolname = \$\$$_[0]\$\$"); }

# --- before CREATE EXTENSION ---
$node->start;
my $repository = repository_of($node);
my $give_up = time + 90;
sleep 0.1 while !glob("$repository/snapshots/*/manifest*") && time < $give_up;
ok(scalar(() = glob("$repository/snapshots/*/manifest*")), 'a server without the extension has its first snapshot');
value('CREATE TABLE moments AS SELECT 1 AS id');
my $before_extension = { contents => contents($node), lsn => position() };
# The objects of the first version serve this test to its end, with today's library.
value("CREATE EXTENSION pitr_ext VERSION '0.1.0'");
ok(poll_until($node, 'SELECT can_restore FROM pitr_status', 't'), 'can_restore');

# --- roles then ---
my $strange = q(o'Brien "x" \\);
value(<<"SQL");
CREATE ROLE alice LOGIN PASSWORD 'then' VALID UNTIL '2040-01-01 00:00Z' CONNECTION LIMIT 3 CREATEDB;
CREATE ROLE bob LOGIN PASSWORD 'of bob' CONNECTION LIMIT 2;
CREATE ROLE carol NOLOGIN;
CREATE ROLE "o'Brien ""x"" \\" LOGIN PASSWORD 'strange then';
CREATE ROLE eve LOGIN PASSWORD 'never changed' VALID UNTIL '2041-01-01 00:00Z';
CREATE ROLE "same" LOGIN PASSWORD 'unchanged';
INSERT INTO moments VALUES (2);
SQL
my %then = map { $_ => kept($_) } ('alice', 'bob', 'carol', $strange, 'eve', 'same');
my $point = { contents => contents($node), lsn => position() };

# --- roles today ---
value(<<"SQL");
ALTER ROLE alice PASSWORD 'now' VALID UNTIL '2050-01-01 00:00Z' CONNECTION LIMIT 7 NOCREATEDB;
DROP ROLE bob;
ALTER ROLE carol LOGIN PASSWORD 'may log in';
ALTER ROLE "o'Brien ""x"" \\" PASSWORD 'it''s \\ now';
ALTER ROLE eve NOLOGIN PASSWORD NULL VALID UNTIL 'infinity';
CREATE ROLE dave LOGIN PASSWORD 'new';
CREATE ROLE "d'ora" LOGIN;
INSERT INTO moments VALUES (3);
SQL
my %now = map { $_ => kept($_) } ('alice', 'carol', $strange, 'eve', 'same', 'dave');
my $today = dump_of($node);

my $row = restore($node, "SELECT * FROM pitr_restore_branch('$point->{lsn}'::pg_lsn)");
is($row->{outcome}, 'done', 'restored') or diag(explain($row));
is(contents($node), $point->{contents}, 'contents of then');
is(kept($_), $now{$_}, "$_: password, validity, LOGIN and connection limit of today") foreach ('alice', 'carol', $strange, 'eve', 'same');
is(past('alice'), 't', 'what is not about logging in is of then');
is(kept('bob'), '||f|2', 'a role dropped since is back without login and password');
is(value("SELECT count(*) FROM pg_roles WHERE rolname IN ('dave', 'd''ora')"), 0, 'roles created since are gone');
like($row->{_err}, qr/NOTICE:.*created since are gone: .*d'ora.*dave|NOTICE:.*created since are gone: .*dave.*d'ora/s, 'a NOTICE names them');
like($row->{_err}, qr/NOTICE:.*without login: .*bob/s, 'and the disabled one');
is( value("SELECT count(*) FROM pitr_audit WHERE outcome = 'done' AND arguments LIKE '%are gone:%dave%' AND arguments LIKE '%without login:%bob%'"),
	1, 'the audit names both');
my $log = slurp_file($node->logfile);
unlike($log, qr/SCRAM-SHA-256\$/, 'no password in the log');
unlike($_, qr/SCRAM-SHA-256\$/, 'nor anywhere in the repository')
  foreach join('', map { slurp_file($_) } grep { -f } glob("$repository/catalog/*/* $repository/catalog/*"));
is(undo($node)->{outcome}, 'done', 'undo');
is(dump_of($node), $today, 'brings today\'s roles back, all of them');

# --- the past's passwords ---
$row = restore($node, "SELECT * FROM pitr_restore_branch('$point->{lsn}'::pg_lsn, keep_passwords => false)");
is($row->{outcome}, 'done', 'restored with keep_passwords => false') or diag(explain($row));
is(contents($node), $point->{contents}, 'contents of then');
is(kept($_), $then{$_}, "$_: as then") foreach ('alice', 'bob', 'carol', $strange, 'eve', 'same');
like($row->{_err}, qr/NOTICE:.*created since are gone: .*dave/s, 'the NOTICE comes all the same');
is(undo($node)->{outcome}, 'done', 'undo');

# --- a password changed while the replacement is being built: roles are read after its promotion, a change behind that is lost ---
arm_only('build.promoted stop', 'build.before_second_start stop');
$row = psql_row($node, "SELECT * FROM pitr_restore_branch('$point->{lsn}'::pg_lsn, wait => false)");

sub wait_for_phase
{
	my ($id, $phase) = @_;
	return poll_until($node, "SELECT phase FROM pitr_operations WHERE id = '$id'", $phase, 120);
}
ok(wait_for_phase($row->{operation_id}, 'promote'), 'it is being built');
value("ALTER ROLE alice PASSWORD 'early in the build'");
my $early = kept('alice');
arm_only('build.before_second_start stop');
ok(wait_for_phase($row->{operation_id}, 'check'), 'roles have been read');
value("ALTER ROLE same PASSWORD 'late in the build'");
my $late = kept('same');
clear_faults();
is(wait_operation($node, $row->{operation_id}), 'done', 'restored while passwords changed');
is(kept('alice'), $early, 'changed before the roles were read: kept');
isnt(kept('same'), $late, 'changed behind that: the one before it (it is the known limit)');
is(kept('same'), $now{same}, 'not an arbitrary one');
is(contents($node), $point->{contents}, 'contents of then');
is(undo($node)->{outcome}, 'done', 'undo');
is(kept('same'), $late, 'the late change is in the undo branch');

# --- to before CREATE EXTENSION, and the README's way back ---
$today = dump_of($node);
$row = psql_row($node, "SELECT * FROM pitr_restore_branch('$before_extension->{lsn}'::pg_lsn)");
is($row->{state}, 'exchanging', 'restored to before CREATE EXTENSION') or diag(explain($row));
$give_up = time + 60;
sleep 0.1 while -e $node->data_dir . '/pitr/intent.json' && time < $give_up;
ok(poll_until($node, "SELECT count(*) FROM pg_extension WHERE extname = 'pitr_ext'", '0'), 'there is no extension there');
is(contents($node), $before_extension->{contents}, 'contents of then');
value('CREATE EXTENSION pitr_ext');
is(wait_operation($node, $row->{operation_id}), 'done', 'created again it knows of the restore');
is(undo($node)->{outcome}, 'done', 'undo works');
is(dump_of($node), $today, 'with everything that there was');
my $version = "SELECT extversion FROM pg_extension WHERE extname = 'pitr_ext'";
is(value($version), '0.1.0', 'the objects of then among it');
value('ALTER EXTENSION pitr_ext UPDATE');
is(value("$version AND extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'pitr_ext')") ne '', 1, 'updated');

# --- a copied subscription does not act in the replacement while it is built ---
my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
$publisher->start;
$publisher->safe_psql('postgres', 'CREATE TABLE news (id int PRIMARY KEY); INSERT INTO news VALUES (1); CREATE PUBLICATION news FOR TABLE news');
value('CREATE TABLE news (id int PRIMARY KEY)');
value("CREATE SUBSCRIPTION news CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION news");
$node->wait_for_subscription_sync($publisher, 'news');
$publisher->safe_psql('postgres', 'INSERT INTO news VALUES (2)');
$publisher->wait_for_catchup('news');
is(value('SELECT array_agg(id ORDER BY id) FROM news'), '{1,2}', 'the subscription works');
my $subscribed = position();
value('ALTER SUBSCRIPTION news DISABLE');
ok(poll_until($publisher, "SELECT active FROM pg_replication_slots WHERE slot_name = 'news'", 'f'), 'it is disabled today');
$publisher->safe_psql('postgres', 'INSERT INTO news VALUES (3)');
my $slot = "SELECT active, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'news'";
my $confirmed = $publisher->safe_psql('postgres', $slot);

arm_only('build.promoted stop', 'exchange.before_cut stop');
my $answer = psql_row($node, "SELECT * FROM pitr_restore_branch('$subscribed'::pg_lsn, force => true, wait => false)");
ok($answer->{operation_id}, 'a restore to when it was enabled') or diag(explain($answer));
ok(wait_for_phase($answer->{operation_id}, 'promote'), 'it is being built');
$give_up = time + 60;
sleep 0.1 while time < $give_up && !grep { slurp_file($_) =~ /archive recovery complete/ } glob($node->data_dir . ".pitr/br-*/staging.log " . $node->data_dir . ".pitr/br-*/pitr/staging.log");
ok(time < $give_up, 'and the copy was promoted');
my $log_offset = -s $publisher->logfile;
sleep 3;
is($publisher->safe_psql('postgres', $slot), $confirmed, 'promoted: nobody uses the slot');
arm_only('exchange.before_cut stop');
ok(poll_until($node, "SELECT phase FROM pitr_operations WHERE id = '$answer->{operation_id}'", 'exchange'), 'built to the end');
sleep 1;
is($publisher->safe_psql('postgres', $slot), $confirmed, 'started a second time: nobody used the slot');
unlike(slurp_file($publisher->logfile, $log_offset), qr/walsender/, 'nor tried to');
clear_faults();
is(wait_operation($node, $answer->{operation_id}), 'done', 'restored');
is(value('SELECT subenabled FROM pg_subscription'), 't', 'the subscription is enabled, as then');
is(value('SELECT count(*) FROM news WHERE id < 3'), 2, 'what had been replicated then is there');
ok(poll_until($node, 'SELECT count(*) FROM news', '3'), 'the restored server is a server again: it goes on');
$node->stop;
$publisher->stop;
done_testing();
