# The server of the past behind an attached schema: it stays as long as that is attached, is made again when it was lost with whatever it was, and goes when
# the schema is gone, however that went. Much data is read through it with little memory.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use BranchTest;
use Cwd qw(abs_path);
use FaultTest;
use LookTest;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 1\npitr.time_travel_max = 2\n");
sub value { my ($sql, $database) = @_; return $node->safe_psql($database // 'postgres', $sql); }
my $place = abs_path($node->data_dir) . '.pitr';

unless (value("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'"))
{
	$node->stop;
	plan(skip_all => 'postgres_fdw is not installed');
}
my $megabytes = ($ENV{PITR_SWEEP} // '') eq 'full' ? 5000 : 200;
value(qq{CREATE EXTENSION postgres_fdw; CREATE DATABASE other;
	CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 1000) g});
value('CREATE EXTENSION postgres_fdw; CREATE EXTENSION pitr_ext; CREATE TABLE stones AS SELECT 7 AS id', 'other');
my $hash = 'SELECT count(*), md5(string_agg(s::text, chr(10) ORDER BY id))';
my $then = value("$hash FROM stones s");
my $point = 'main@' . text_time($node);
value('DELETE FROM stones WHERE id > 500');
my $later = 'main@' . text_time($node);

my $out;
sub attach { my ($schema, $database) = @_; return value("SELECT string_agg(relation, ' ' ORDER BY relation) FROM pitr_attach_schema('$point', '$schema')", $database); }
sub postmasters { return map { postmaster_in("$_/data") || () } looks_in($place); }
sub links { return my @there = glob $node->data_dir . '/pitr/cache/at-*'; }
sub all_go { my ($how) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; ok(wait_until(20, sub { !looks_in($place) }), "all go with $how") or diag(join ' ', looks_in($place)); is(join(' ', links()), '', '... and nothing names them'); return; }
sub reads_well { my ($how) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; my ($rc, $out, $err) = $node->psql('postgres', "$hash FROM past.stones s"); is($out, $then, $how) or diag($err); return; }

# --- as long as it is attached ---
is(attach('past'), 'stones', 'attached');
my ($first) = postmasters();
sleep 2.2;
is(join(' ', postmasters()), $first, 'it stays when nobody reads');
is(value("SELECT point FROM pitr_open_at('$point')"), $point, 'the point is the same server');
is(join(' ', postmasters()), $first, '... that one');
my $held = open_at($node, $later);
isnt($held->{connection} // '', '', 'another one beside it') or diag($held->{_err});
my $session = look_node($node, $held)->background_psql('postgres');
$session->query('SELECT 1');
my $refusal = refusal($node, "SELECT * FROM pitr_open_at('main')");
is($refusal->{sqlstate}, '53400', 'it is in use, also for others who want one');
like($refusal->{text}, qr/pitr_detach_schema/, '... which the hint knows');
$session->quit;
is(refusal($node, "SELECT * FROM pitr_open_at('main')")->{sqlstate} // '', '', 'it is not taken over either');
reads_well('and has what it had');
is((grep { $_ == $first } postmasters())[0], $first, '... being the same');

# --- lost ---
my $reader = $node->background_psql('postgres', on_error_stop => 0);
is($reader->query('SELECT count(*) FROM past.stones'), 1000, 'a session that reads');
value("SELECT pitr_close_at('$point')");
is($reader->query('SELECT count(*) FROM past.stones'), 1000, '... goes on when somebody has ended the server');
my ($again) = grep { $_ != $first } postmasters();
kill 'KILL', $again;
ok(wait_until(10, sub { !is_alive($again) }), 'killed');
is($reader->query('SELECT count(*) FROM past.stones'), 1000, '... or killed it');
reads_well('so does another session');
$reader->quit;
$node->restart;
reads_well('after a restart');
my $victim = value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
kill 'KILL', $victim;
ok(wait_until(30, sub { my ($rc) = $node->psql('postgres', 'SELECT 1'); return $rc == 0 && !is_alive($victim); }), 'after a crash');
reads_well('it is there');
sleep 2.2;
reads_well('and stays');
is(scalar(looks_in($place)), 1, 'alone');
is(value('EXPLAIN (COSTS OFF) SELECT * FROM past.stones'), 'Foreign Scan on stones', 'a plan is a plan');

# --- gone ---
value('SELECT pitr_detach_schema()');
all_go('pitr_detach_schema');
attach('past');
is(scalar(links()), 1, 'attached again');
value('DROP SCHEMA past CASCADE');
is(value('SELECT count(*) FROM pg_foreign_server'), 0, 'the foreign server goes with the schema');
is(join(' ', links()), '', 'what keeps the server of the past goes with that');
attach('past');
value('DROP SERVER ' . value('SELECT srvname FROM pg_foreign_server') . ' CASCADE; DROP SCHEMA past');
is(join(' ', links()), '', '... also with the foreign server alone');
value("BEGIN; SELECT * FROM pitr_attach_schema('$point'); SELECT count(*) FROM past.stones; ROLLBACK");
is(join(' ', links()), '', '... with a transaction that is rolled back');
value("BEGIN; SAVEPOINT a; SELECT * FROM pitr_attach_schema('$point'); SELECT count(*) FROM past.stones; ROLLBACK TO a; COMMIT");
is(join(' ', links()), '', '... with a savepoint');
is(attach('past', 'other'), 'stones', 'of another database');
is(value('SELECT id FROM past.stones', 'other'), 7, '... with what that had');
value('CREATE DATABASE copy TEMPLATE other');
$refusal = { err => ($node->psql('copy', 'SELECT id FROM past.stones'))[2] };
like($refusal->{err}, qr/attached elsewhere/, 'what was copied is attached to nothing');
value('DROP DATABASE other; DROP DATABASE copy');
all_go('the database');
attach('past');
value('BEGIN; DROP SCHEMA past CASCADE; ROLLBACK');
reads_well('a drop that is rolled back drops nothing');
sleep 2.2;
is(scalar(looks_in($place)), 1, '... for good');

# --- with the history that the catalogue has ---
my $attached = text_time($node);
is(psql_row($node, q{SELECT * FROM pitr_create_branch('dev')})->{state}, 'running', 'a branch');
($out) = (branch_node($node, 'dev')->psql('postgres', "$hash FROM past.stones s"))[1];
is($out, $then, 'reads the same past');
isnt(join(' ', glob branch_of($node, 'dev')->{directory} . '/pitr/cache/at-*'), '', '... by way of its own server');
value(q{SELECT pitr_delete_branch('dev', force => true)});
value('SELECT pitr_detach_schema()');
is(restore($node, "SELECT * FROM pitr_restore_branch('$attached')")->{outcome}, 'done', 'restored to when it was attached');
reads_well('it is there');
is(value('SELECT pitr_detach_schema()'), 't', 'and is let go of');

# --- much data ---
value(qq{CREATE TABLE wide (id int, filler text);
	ALTER TABLE wide ALTER filler SET STORAGE PLAIN;
	INSERT INTO wide SELECT g, repeat(md5(g::text), 31) FROM generate_series(1, $megabytes * 1000) g});
$point = 'main@' . text_time($node);
value('TRUNCATE wide');
is(attach('past'), 'stones wide', 'attached to where there is much');
(my $rc, $out, my $err) = $node->psql('postgres', <<'SQL');
SET temp_file_limit = 0;
BEGIN;
DECLARE c NO SCROLL CURSOR FOR SELECT id, filler FROM past.wide;
MOVE FORWARD ALL FROM c;
SELECT count(*), sum(length(filler)) FROM past.wide;
COMMIT;
SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s*(\d+)')::int, substring(pg_read_file('/proc/self/status') FROM 'RssShmem:\s*(\d+)')::int;
SQL
is($rc, 0, 'all of it without a temporary file') or diag($err);
my ($counts, $memory) = (split /\n/, $out)[-2, -1];
is($counts, $megabytes * 1000 . '|' . $megabytes * 1000 * 992, 'every row');
my ($peak, $shared) = split /\|/, $memory // '0|0';
diag("$megabytes MB, peak of the backend: $peak kB, of which shared $shared kB");
cmp_ok($peak - $shared, '<', 100_000, 'in less than 100 MB of memory');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');
$node->stop;
ok(wait_until(20, sub { !grep { runs_in("$_/data") } looks_in($place) }), 'it ends with its server');
done_testing();
