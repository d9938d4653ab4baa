# pitr_recover_database makes a database of the past anew beside those of today: rows, definitions, settings and privileges are those of then (hashes,
# pg_dump, amcheck), also of one that is dropped and of roles that are gone; it is there whole or not at all, whatever dies.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use ContentJudge;
use FaultTest;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PITR_SWEEP_SECONDS} = 1;
my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 100\npitr.operation_lock_timeout = 300\nmax_worker_processes = 16\n");
sub value
{
	my ($sql, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'postgres', $sql, on_error_stop => 1);
	fail("$sql: $err") if $rc;
	return $out;
}
sub back { my ($arguments, $setup) = @_; return psql_row($node, ($setup // '') . "SELECT * FROM pitr_recover_database($arguments)"); }
sub refused
{
	my ($arguments, $sqlstate, $text, $setup) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, ($setup // '') . "SELECT * FROM pitr_recover_database($arguments)");
	is($refusal->{sqlstate}, $sqlstate, "$arguments: $sqlstate") or diag($refusal->{err});
	like($refusal->{err}, $text, '... and says so');
	return;
}
sub rows_in { my ($database) = @_; return eval { rows_of_database($node, $database) } // "none: $@"; }
# What pg_dump says of a database, its name apart.
sub definition_of
{
	my ($database) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dump', '--schema-only', '--create', '-d', $node->connstr($database) ], '>', \$out, '2>', \$err) or return "pg_dump: $err";
	$out =~ s/\b\Q$database\E\b/shop/g;
	return join "\n", grep { /\S/ && !/^\\(un)?restrict |^--/ } split /\n/, $out;
}
sub objects_of { my ($database) = @_; return value(q{SELECT string_agg(format('%s %s %s', m.oid, m.lomacl, md5(lo_get(m.oid))), ', ' ORDER BY m.oid) FROM pg_largeobject_metadata m}, $database); }
sub counters_of { my ($database) = @_; return value(q{SELECT string_agg(format('%s.%s', schemaname, sequencename), ' ' ORDER BY 1) || (SELECT last_value BETWEEN 500 AND 540 FROM desk.orders_id_seq) FROM pg_sequences}, $database); }
my $unfinished = q{SELECT count(*) FROM pg_database WHERE datname ~ '^pitr_recovering'};
sub nothing_is_left
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(poll_until($node, $unfinished, 0, 30), "$name: no unfinished database");
	ok(poll_until($node, q{SELECT count(*) FROM pg_roles WHERE shobj_description(oid, 'pg_authid') ~ 'pitr_recover_database'}, 0, 10), '... no role for it');
	ok(wait_until(10, sub { !-e $node->data_dir . '/pitr/recovering' }), '... and nothing says that there is');
	return;
}

value('CREATE DATABASE other');
value('CREATE ROLE clerk LOGIN; CREATE ROLE keeper; CREATE ROLE stranger NOLOGIN; CREATE ROLE leaver');
value(q{CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' OWNER clerk CONNECTION LIMIT 7});
value(<<'SQL');
COMMENT ON DATABASE shop IS 'what''s sold';
ALTER DATABASE shop SET work_mem = '7MB';
ALTER DATABASE shop SET search_path = "$user", desk, "odd, ""name""", public;
ALTER DATABASE shop SET my.word = 'it''s';
ALTER ROLE stranger IN DATABASE shop SET work_mem = '9MB';
ALTER ROLE keeper IN DATABASE shop SET work_mem = '11MB';
REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE shop TO stranger WITH GRANT OPTION;
SQL
value(<<'SQL', 'shop');
SET search_path = public;
CREATE SCHEMA desk AUTHORIZATION keeper;
CREATE TYPE desk.mood AS ENUM ('sad', 'glad');
CREATE TABLE desk.orders (id serial PRIMARY KEY, mood desk.mood, note text DEFAULT 'it''s', amount numeric CHECK (amount >= 0), twice numeric GENERATED ALWAYS AS (amount * 2) STORED);
INSERT INTO desk.orders (mood, note, amount) SELECT (ARRAY['sad', 'glad']::desk.mood[])[g % 2 + 1], E'n\t\\' || g, g / 3.0 FROM generate_series(1, 500) g;
CREATE INDEX ON desk.orders (lower(note)) WHERE amount > 3;
CREATE TABLE lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, orders int NOT NULL REFERENCES desk.orders ON DELETE CASCADE, n int);
INSERT INTO lines (orders, n) SELECT g % 500 + 1, g FROM generate_series(1, 5000) g;
CREATE TABLE parted (id int, v text) PARTITION BY HASH (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT g, 'v' || g FROM generate_series(1, 100) g;
CREATE MATERIALIZED VIEW sums AS SELECT orders, sum(n) FROM lines GROUP BY 1;
CREATE VIEW seen AS SELECT * FROM desk.orders WHERE mood = 'glad';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''touched''; END';
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON lines FOR EACH ROW EXECUTE FUNCTION touched();
CREATE FUNCTION desk.trusted(text) RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT current_user::text';
ALTER FUNCTION desk.trusted(text) OWNER TO keeper;
CREATE PUBLICATION news FOR TABLE desk.orders;
ALTER TABLE desk.orders OWNER TO keeper; ALTER TABLE desk.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON desk.orders TO keeper, stranger USING (amount < 100);
GRANT SELECT ON desk.orders TO clerk, leaver; GRANT USAGE ON SCHEMA desk TO stranger;
ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT SELECT ON TABLES TO stranger;
CREATE STATISTICS of_both (dependencies) ON orders, n FROM lines;
SELECT lo_from_bytea(4242, decode(repeat('ab', 100000), 'hex')); SELECT lo_from_bytea(4243, 'x'); GRANT SELECT ON LARGE OBJECT 4242 TO stranger;
COMMENT ON TABLE lines IS 'of orders'; COMMENT ON LARGE OBJECT 4242 IS 'big';
CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN IF current_database() <> ''shop'' AND EXISTS (SELECT FROM public.brake) THEN PERFORM pg_sleep(0.02); END IF; RETURN $1; END';
CREATE TABLE brake (a int); CREATE TABLE braked AS SELECT g AS a FROM generate_series(1, 1000) g; CREATE INDEX ON braked (slow(a));
SQL
my %was = (rows => rows_in('shop'), definition => definition_of('shop'), objects => objects_of('shop'), counters => counters_of('shop'));
my $point = 'main@' . text_time($node);
value(q{INSERT INTO brake VALUES (1); ALTER TABLE braked ADD b int}, 'shop');
my $braked = 'main@' . text_time($node);
value(q{DELETE FROM lines; UPDATE desk.orders SET amount = 0; DROP MATERIALIZED VIEW sums; SELECT lo_unlink(4242); TRUNCATE brake}, 'shop');
value(q{ALTER DATABASE shop RESET ALL; COMMENT ON DATABASE shop IS 'empty'});
my %now = (rows => rows_in('shop'), definition => definition_of('shop'));

# --- beside ---
my $row = back("'shop', '$point'");
no warnings 'uninitialized';
is("$row->{state} $row->{database}", 'done shop_recovered', 'a database beside') or diag($row->{_err});
like($row->{commit_time}, qr/^\d{4}-/, 'with the time of the last commit');
is($row->{_err}, '', 'nothing of it is left out');
sub is_then
{
	my ($database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(rows_in($database), $was{rows}, "$database: all rows are those of then");
	is(objects_of($database), $was{objects}, '... large objects, too');
	is(counters_of($database), $was{counters}, '... and sequences');
	$node->command_ok([ 'pg_amcheck', '--install-missing', '-d', $database ], '... amcheck finds nothing wrong');
	value('DROP EXTENSION amcheck', $database);
	return;
}
is_then('shop_recovered');
is(definition_of('shop_recovered'), $was{definition}, '... definitions, privileges, settings are those of then');
is(value(q{SELECT datconnlimit || ' ' || pg_get_userbyid(datdba) || ' ' || shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop_recovered'}), q{7 clerk what's sold}, '... with its owner, limit, comment');
is(value('SHOW search_path', 'shop_recovered'), q{"$user", desk, "odd, ""name""", public}, '... and settings');
is(rows_in('shop') . definition_of('shop'), "$now{rows}$now{definition}", 'the database of today is what it was');
is(value("SELECT kind || ' ' || state || ' ' || (bytes_done <= bytes_total) FROM pitr_operations WHERE id = '$row->{operation_id}'"), 'recover done true', 'it was an operation');
is(value("SELECT outcome FROM pitr_audit WHERE operation_id = '$row->{operation_id}'"), 'done', 'with a row of the audit');

# --- refused ---
refused("'shop', '$point'", '42710', qr/"shop_recovered" exists already.*into_database/s);
refused("'nowhere', '$point'", '3D000', qr/"nowhere" did not exist at that point.*There were: other, postgres, shop, template1/s);
refused("'template0', '$point'", '55000', qr/did not accept connections at that point/);
refused("NULL, '$point'", '22023', qr/must not be null/);
refused("'shop', '$point', ''", '42602', qr/cannot be the name/);
refused("'shop', '$point', 'pitr_recovering_op-20261120T100000-01234567'", '42602', qr/cannot be the name/);
refused("'shop', '$point', repeat('x', 64)", '42622', qr/longer than 63 bytes/);
refused("'shop', 'main\@2001-01-01T00:00:00Z', 'x'", 'PI003', qr/snapshot/);
refused("'shop', '$point', 'x'", '25006', qr/pitr_recover_database\(\) in a read-only/, 'SET default_transaction_read_only = on; ');
arm_only('recover_database.room enospc');
refused("'shop', '$point', 'x'", '53100', qr/recover_database.room/);
clear_faults();
nothing_is_left('no room');

# --- dropped, and roles that are gone ---
value('DROP DATABASE shop'); value('DROP DATABASE shop_recovered');
value('DROP ROLE keeper; DROP ROLE leaver');
$row = back("'shop', '$point', 'shop'");
is("$row->{state} $row->{database}", 'done shop', 'a dropped database under its name') or diag($row->{_err});
like($row->{_err}, qr/function desk\.trusted\(text\) runs as whoever calls it.*role "keeper" does not exist any more: what it owned belongs to "\w+", its privileges are left out.*role "leaver"/s, 'which says what it does not have');
is_then('shop');
is(value(q{SELECT nspowner::regrole::text = session_user AND relowner = nspowner AND proowner = nspowner AND NOT prosecdef FROM pg_namespace, pg_class c, pg_proc WHERE nspname = 'desk' AND c.oid = 'desk.orders'::regclass AND proname = 'trusted'}, 'shop'), 't', 'what they owned is the caller\'s');
is(value(q{SELECT polroles::regrole[] FROM pg_policy}, 'shop') . value(q{SELECT count(*) FROM pg_default_acl}, 'shop'), '{stranger}0', 'what they were allowed is left out');
is(value(q{SELECT count(*) FROM pg_roles WHERE rolname IN ('keeper', 'leaver')}), 0, 'they are as gone as before');
nothing_is_left('a dropped one');

# --- from another database; not waited for; while it goes on ---
value('CREATE EXTENSION pitr_ext', 'other');
arm_only('recover_database.before_rename stop');
my $id = value("SELECT operation_id FROM pitr_recover_database('shop', '$point', 'later', wait => false) WHERE state = 'running' AND commit_time IS NULL", 'other');
ok(wait_for_hit('recover_database.before_rename'), 'one that nobody waits for is nearly done');
is(value("SELECT count(*) FROM pg_database WHERE datname = 'later'"), 0, '... and nobody sees it');
is(value("SELECT state || phase FROM pitr_operations WHERE id = '$id'"), 'runningfinish', '... but for where it stands');
my ($rc, undef, $err) = $node->psql(value($unfinished =~ s/count\(\*\)/datname/r), 'SELECT 1', extra_params => [ '-U', 'clerk' ]);
like($err, qr/too many connections for database/, '... and nobody gets in');
like(refusal($node, "SELECT * FROM pitr_restore_branch('$point')")->{err}, qr/55P03.*\(recover\) is still running/, 'the server cannot be restored meanwhile');
refused("'shop', '$point', 'third'", '55P03', qr/\(recover\) is still running/);
is(value(q{SELECT state FROM pitr_create_snapshot('meanwhile')}), 'ok', 'a snapshot can be taken');
clear_faults();
is(value("SELECT state FROM pitr_wait_operation('$id')"), 'done', 'it is waited for later');
is_then('later');
value('DROP DATABASE later');

# --- cancelled, at any place ---
my $run = begin_sql($node, "SELECT pitr_recover_database('shop', '$braked', 'half')", "SET statement_timeout = '60s'");
ok(poll_until($node, q{SELECT count(*) FROM pitr_operations WHERE kind = 'recover' AND state = 'running' AND phase = 'indexes'}, 1, 60), 'indexes are made');
my $began = time;
is(value(q{SELECT pitr_cancel_operation(id) FROM pitr_operations WHERE kind = 'recover' AND state = 'running'}), 't', 'it is cancelled');
(undef, undef, $err) = end_sql($run);
like($err, qr/57014/, '... and says so') or diag($err);
cmp_ok(time - $began, '<', 10, '... soon');
nothing_is_left('cancelled');
is(refusal($node, "SET statement_timeout = '300ms'; SELECT pitr_recover_database('shop', 'main', 'half')")->{sqlstate}, '57014', 'cancelled while the server of the past is made');
nothing_is_left('cancelled early');
ok(no_operation_runs($node), 'all is over');

# --- whatever dies ---
my %actions = ('recover_database.marked' => 'kill', 'recover_database.made' => 'kill', 'recover_database.before_data' => 'error', 'recover_database.before_indexes' => 'kill', 'recover_database.before_rename' => 'error');
is(join(' ', grep { /^recover_database\./ && !$actions{$_} && !/(renamed|room)$/ } fault_points()), '', 'every point is met');
foreach my $fault (sort keys %actions)
{
	arm_only("$fault $actions{$fault}");
	refused("'shop', '$point', 'half'", $actions{$fault} eq 'kill' ? 'XX000' : '58030', qr/ended by signal 9|injected fault/);
	clear_faults();
	nothing_is_left("$actions{$fault} at $fault");
}
# Behind the last step it is there, whatever is said.
arm_only('recover_database.renamed kill');
refused("'shop', '$point', 'whole'", 'XX000', qr/ended by signal 9/);
clear_faults();
is(rows_in('whole'), $was{rows}, 'one that was whole when its job died is there');
nothing_is_left('a whole one');
foreach my $dies (qw(worker server))
{
	forget_hits();
	arm_only('recover_database.before_indexes stop');
	$run = begin_sql($node, "SELECT pitr_recover_database('shop', '$point', 'half')");
	ok(wait_for_hit('recover_database.before_indexes'), "half a database when the $dies dies");
	if ($dies eq 'worker') { kill 'KILL', find_process($node, 'worker'); }
	else { $node->stop('immediate'); }
	end_sql($run);
	clear_faults();
	ok(ensure_running($node), '... the server answers again');
	nothing_is_left("$dies killed");
}
is(value(q{SELECT count(*) FROM pg_database WHERE datname = 'half'}), 0, 'nobody has seen a half one');
$row = back("'shop', '$point', 'half'");
is($row->{state}, 'done', 'the next call works') or diag($row->{_err});
is(rows_in('half'), $was{rows}, '... with all rows');
is(value(q{SELECT string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FROM pitr_audit WHERE function = 'pitr_recover_database'}), 'cancelled done refused', 'the audit has it all');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');
$node->stop;
done_testing();
