# Names and counts of pitr_find_events where WAL makes them hard: without full page images, with images compressed in each way, with
# wal_level = logical, in a transaction that began before the window, on lines that a restore has left, after a crash.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = pitr_node('names', conf => <<'CONF');
autovacuum = off
full_page_writes = off
wal_level = logical
max_prepared_transactions = 2
CONF

sub value { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

sub found
{
	my ($arguments, $where) = @_;
	return value("SELECT concat_ws(' ', kind, object, row_count, detail) FROM pitr_find_events($arguments) " . ($where // ''));
}
sub now_there { my $time = value('SELECT clock_timestamp()'); sleep 0.02; return $time; }

# --- without images: rows are put together from what the snapshot has and what records change of it ---
my $since = now_there();
value('CREATE TABLE a_table AS SELECT g AS id FROM generate_series(1, 200) g');
value('CHECKPOINT');
value('ALTER TABLE a_table RENAME TO a_table_with_a_longer_name');
value('CHECKPOINT; CREATE SCHEMA elsewhere; ALTER TABLE a_table_with_a_longer_name SET SCHEMA elsewhere');
value('ANALYZE; VACUUM; CHECKPOINT');
value('DELETE FROM elsewhere.a_table_with_a_longer_name');
value('DROP TABLE elsewhere.a_table_with_a_longer_name');
is(found("'$since', min_rows => 100"), join("\n", 'ddl public.a_table table created', 'ddl public.a_table table renamed to public.a_table_with_a_longer_name', 'ddl elsewhere schema created',
	'ddl public.a_table_with_a_longer_name table renamed to elsewhere.a_table_with_a_longer_name', 'delete elsewhere.a_table_with_a_longer_name 200', 'drop elsewhere.a_table_with_a_longer_name table'),
	'names without full page images');

# --- with images, compressed in each way that the server knows ---
value('ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()');
poll_until($node, 'SHOW full_page_writes', 'on');
my @ways = grep { $_ ne 'on' } split / /, value("SELECT array_to_string(enumvals, ' ') FROM pg_settings WHERE name = 'wal_compression'");
foreach my $way (@ways)
{
	$since = now_there();
	value("SET wal_compression = $way; CHECKPOINT; CREATE TABLE of_$way AS SELECT 1 AS id; CHECKPOINT; ALTER TABLE of_$way RENAME TO was_$way; CHECKPOINT; DROP TABLE was_$way");
	is(found("'$since'"), "ddl public.of_$way table created\nddl public.of_$way table renamed to public.was_$way\ndrop public.was_$way table", "names out of images: wal_compression = $way");
}

# --- a transaction that began before the window, with subtransactions, over many segments ---
value('CREATE TABLE long AS SELECT g AS id FROM generate_series(1, 3000) g');
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; DELETE FROM long WHERE id <= 1000; SAVEPOINT a; DELETE FROM long WHERE id <= 2000; RELEASE a');
value('SELECT pg_switch_wal(); CREATE TABLE x (id int); CHECKPOINT; SELECT pg_switch_wal(); DROP TABLE x; SELECT pg_switch_wal()');
$since = now_there();
$session->query_safe('DELETE FROM long WHERE id <= 2500; COMMIT');
$session->quit;
is(found("'$since', min_rows => 2500"), 'delete public.long 2500', 'a transaction that began three segments before the window');
is(found("until => '$since', kinds => '{delete}', relation => 'long', min_rows => 1"), '', '... is not in the window before');

# --- a crash ends what ran; what is prepared stays ---
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; DELETE FROM long WHERE id <= 2700');
value("BEGIN; DELETE FROM long WHERE id > 2800; PREPARE TRANSACTION 'kept'");
$node->stop('immediate');
$node->start;
eval { $session->quit };
is(value(q{SELECT concat_ws(' ', kind, object, row_count, committed) FROM pitr_find_events(min_rows => 100, relation => 'long', kinds => '{delete}') ORDER BY lsn}),
	"delete public.long 2500 t\ndelete public.long 200 f", 'after a crash');
value("ROLLBACK PREPARED 'kept'");
is(found("min_rows => 100, relation => 'long', kinds => '{delete}'"), 'delete public.long 2500', '... and when it was rolled back');

# --- the line that a restore leaves, and the one that goes on ---
value('CREATE TABLE before_fork AS SELECT 1 AS id; DROP TABLE before_fork');
my $contents = contents($node);
my $point = value('SELECT pg_current_wal_insert_lsn()');
value('CREATE TABLE left_behind AS SELECT 1 AS id; DROP TABLE left_behind');
my $row = restore($node, "SELECT * FROM pitr_restore_branch('$point')");
is($row->{outcome}, 'done', 'restored') or diag(explain($row));
is(contents($node), $contents, 'in place');
value('CREATE TABLE goes_on AS SELECT 1 AS id; DROP TABLE goes_on');
my $drops = q{SELECT string_agg(object, ' ' ORDER BY lsn) FROM pitr_find_events(kinds => '{drop}', branch => '%s') WHERE object ~ 'before_fork|left_behind|goes_on'};
is(value(sprintf $drops, '^self'), 'public.before_fork public.goes_on', 'what the line of now has been through');
is(value(sprintf $drops, $row->{undo_branch}), 'public.before_fork public.left_behind', '... and the one that was left');
my $target = value("SELECT target FROM pitr_find_events(kinds => '{drop}', branch => '$row->{undo_branch}') WHERE object = 'public.left_behind'");
is(plan_of($node, "'$target'")->{possible}, 't', 'its target can be restored') or diag($target);
$node->stop;
done_testing();
