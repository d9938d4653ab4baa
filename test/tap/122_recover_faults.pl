# pitr_recover_table when it is cancelled, when the server of the past ends under it, when owners have written what they should not, and what else is
# special: other databases and encodings, partitions, unlogged tables.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use FaultTest;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

$ENV{PGCLIENTENCODING} = 'UTF8';
my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 100\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
sub hash_of { my ($table, $database) = @_; return $node->safe_psql($database // 'postgres', "SELECT count(*), md5(convert_to(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\"), 'UTF8')) FROM $table t"); }

value(<<'SQL');
CREATE ROLE clerk;
CREATE TABLE brake (a int);
CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN IF EXISTS (SELECT FROM public.brake) THEN PERFORM pg_sleep(0.01); END IF; RETURN $1; END';
CREATE TABLE long (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (public.slow(id)) STORED, fat text);
INSERT INTO long (id, fat) SELECT g, repeat(md5(g::text), 64) FROM generate_series(1, 4000) g;
CREATE TABLE tried (what text); GRANT INSERT, SELECT ON tried TO clerk;
CREATE FUNCTION sneak(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE TABLE trap (id int PRIMARY KEY, a text CHECK (public.sneak(a) <> 'x'), b text GENERATED ALWAYS AS (public.sneak(a)) STORED);
CREATE INDEX ON trap (public.sneak(a)) WHERE public.sneak(a) > '';
INSERT INTO trap (id, a) SELECT g, 'a' || g FROM generate_series(1, 5) g; ALTER TABLE trap OWNER TO clerk;
CREATE TABLE trap_lines (trap int REFERENCES trap, n int); ALTER TABLE trap_lines OWNER TO clerk; INSERT INTO trap_lines SELECT g FROM generate_series(1, 5) g;
CREATE TABLE parted (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (100); INSERT INTO parted SELECT g, 'v' || g FROM generate_series(1, 50) g;
CREATE UNLOGGED TABLE light AS SELECT 1 AS a; CREATE TABLE "empty" (); CREATE TABLE parent (a int PRIMARY KEY); CREATE TABLE child (b int) INHERITS (parent); INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 2);
CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
SQL
$node->safe_psql('latin', q{CREATE TABLE "gr\u00fc\u00dfe" (a int PRIMARY KEY, "w\u00f6rt" text DEFAULT 'h\u00e9'); INSERT INTO "gr\u00fc\u00dfe" SELECT g, chr(192 + g % 60) || g FROM generate_series(1, 300) g} =~ s/\\u00(..)/"\xc3" . chr(hex($1) - 64)/ger);
my %was = map { $_ => hash_of($_) } qw(long trap parted_0);
my $latin = hash_of(qq{"gr\xc3\xbc\xc3\x9fe"}, 'latin');
my $point = 'main@' . text_time($node);
value(<<'SQL');
INSERT INTO brake VALUES (1);
CREATE FUNCTION sneak_further() RETURNS void LANGUAGE plpgsql AS $$
DECLARE command text;
BEGIN
  FOREACH command IN ARRAY ARRAY['RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT', 'SET ROLE ' || (SELECT quote_ident(rolname) FROM pg_roles WHERE oid = 10), 'ALTER ROLE clerk SUPERUSER', 'ALTER TABLE public.tried OWNER TO clerk'] LOOP
    BEGIN EXECUTE command; EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  INSERT INTO public.tried VALUES (current_user);
END $$;
CREATE OR REPLACE FUNCTION sneak(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM public.sneak_further(); RETURN $1; END';
SQL

# --- a cancel; a server of the past that ends ---
my $open = open_at($node, $point);
my $past = look_node($node, $open);
my $sessions = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()};
foreach my $arguments ("'long', '$point'", "'long', '$point', mode => 'replace'")
{
	my $began = time;
	is(refusal($node, "SET statement_timeout = '700ms'; SELECT pitr_recover_table($arguments)")->{sqlstate}, '57014', "cancelled: $arguments");
	cmp_ok(time - $began, '<', 10, '... soon');
	ok(wait_until(5, sub { $past->safe_psql('postgres', $sessions) == 0 }), '... there as well');
}
my $run = begin_sql($node, "SELECT pitr_recover_table('long', '$point')");
ok(wait_until(20, sub { $past->safe_psql('postgres', $sessions) == 1 && $past->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query ~ '^COPY'}) == 1 }), 'rows are on their way');
value("SELECT pitr_close_at('$point')");
my ($status, undef, $err) = end_sql($run);
like($err, qr/08006.*server of the past has ended/s, 'the server of the past ends');
is(value(q{SELECT count(*) FROM pg_class WHERE relname ~ '^long_recovered'}), 0, 'nothing is left of it');
value('TRUNCATE brake');
is(hash_of('long'), $was{long}, 'nor has anything changed');
my $row = recover($node, "'long', '$point'");
is($row->{rows_written}, 4000, 'and the next call works') or diag($row->{_err});
is(hash_of('long_recovered'), $was{long}, '... with all rows');
like($row->{commit_time}, qr/^\d{4}-/, '... and the time of the last commit');

# --- what owners wrote is theirs to run ---
$row = recover($node, "'trap', '$point'");
is($row->{rows_written}, 5, 'a trap is brought back by a superuser') or diag($row->{_err});
is(hash_of('trap_recovered'), $was{trap}, '... as it was');
$row = recover($node, "'trap', '$point', mode => 'replace'", 'CREATE TEMP TABLE pg_constraint AS SELECT 1 AS oid; CREATE TEMP TABLE pg_class AS SELECT 10 AS relowner; CREATE TEMP TABLE pg_roles AS SELECT 10 AS oid; ');
is($row->{rows_written}, 5, '... and its rows are replaced') or diag($row->{_err});
is(value('SELECT string_agg(DISTINCT what, $$,$$) FROM tried'), 'clerk', 'its functions ran as its owner');
is(value(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'clerk'}) . value(q{SELECT tableowner = 'clerk' FROM pg_tables WHERE tablename = 'tried'}), 'ff', 'and got no further');
is(value(q{SELECT tableowner || (SELECT count(*) FROM pg_indexes i WHERE i.tablename = t.tablename) FROM pg_tables t WHERE tablename = 'trap_recovered'}), 'clerk2', 'whose it is, although he may make nothing in that schema');

# --- what is special ---
$row = recover($node, qq{'"gr\xc3\xbc\xc3\x9fe"', '$point', 'letters', database => 'latin'});
is(($row->{relation} // '') . ' ' . ($row->{rows_written} // ''), 'public.letters 300', 'a table of a database in another encoding') or diag($row->{_err});
is(hash_of('letters'), $latin, '... with its letters');
$row = recover($node, "'parted_0', '$point'");
is(hash_of('parted_0_recovered'), $was{parted_0}, 'a partition comes as a table') or diag($row->{_err});
is(recover($node, qq{'"empty"', '$point'})->{rows_written}, 0, 'a table without columns');
$row = recover($node, "'parent', '$point'");
is($row->{rows_written}, 1, 'a parent has its own rows');
like($row->{_err}, qr/rows of tables that inherit from it/, '... and says so');
like(refusal($node, "SELECT pitr_recover_table('light', '$point')")->{err}, qr/0A000: table "light" was unlogged/, 'what is not in the WAL is not there');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');
$node->stop;
done_testing();
