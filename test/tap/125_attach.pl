# pitr_attach_schema and pitr_detach_schema: one statement reads past and present, as who calls and nobody else; what cannot be had is told; what somebody
# does with the foreign server and the mapping leads nowhere.
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

my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 60\n");
my @as;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql, extra_params => [@as]); }
# Every refusal is of a session of its own.
sub refused
{
	my ($sql, $sqlstate, $like, $as) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, ($as ? "SET ROLE $as; " : '') . $sql);
	is($refusal->{sqlstate}, $sqlstate, "refused: $sql") or diag($refusal->{err}, $refusal->{out});
	like($refusal->{text} . ($refusal->{err} // ''), $like, '... in these words') if $like;
	return;
}
sub attach { my ($arguments, $as) = @_; return ($as ? "SET ROLE $as; " : '') . "SELECT relation || coalesce(': ' || skipped, '') FROM pitr_attach_schema($arguments)"; }

unless (value("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'"))
{
	$node->stop;
	plan(skip_all => 'postgres_fdw is not installed');
}
value(<<'SQL');
CREATE ROLE clerk LOGIN;
CREATE ROLE stranger LOGIN;
GRANT EXECUTE ON FUNCTION pitr_attach_schema(text, text, text, text[]), pitr_detach_schema(text) TO clerk, stranger;
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO clerk, stranger;
CREATE TYPE shop.mood AS ENUM ('sad', 'glad');
CREATE COLLATION shop.plain (locale = 'C');
CREATE TABLE shop.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL DEFAULT 'none', price numeric(10,2), twice numeric GENERATED ALWAYS AS (price * 2) STORED, tags text[]);
INSERT INTO shop.orders (name, price, tags) SELECT md5(g::text), g * 1.5, ARRAY[g::text, NULL, 'a"b'] FROM generate_series(1, 5000) g;
CREATE TABLE shop.parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE shop.parted_1 PARTITION OF shop.parted FOR VALUES FROM (0) TO (50);
CREATE TABLE shop.parted_2 PARTITION OF shop.parted FOR VALUES FROM (50) TO (1000);
INSERT INTO shop.parted SELECT g, 'v' || g FROM generate_series(1, 100) g;
CREATE TABLE shop.feelings (id int, how shop.mood);
CREATE TABLE shop.sorted (word text COLLATE shop.plain);
CREATE TABLE shop.secret AS SELECT 'key' AS word;
CREATE TABLE shop."odd ""one" ("it's" int, "a b" text);
INSERT INTO shop."odd ""one" VALUES (1, 'x');
CREATE VIEW shop.dear AS SELECT id FROM shop.orders WHERE price > 7000;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO clerk;
REVOKE ALL ON shop.secret FROM clerk;
CREATE TABLE gone AS SELECT g AS id FROM generate_series(1, 10) g;
GRANT SELECT ON gone TO clerk;
SQL
my $hash = 'SELECT count(*), md5(string_agg(o::text, chr(10) ORDER BY id))';
my $then = value("$hash FROM shop.orders o");
my $first = 'main@' . text_time($node);
value('UPDATE shop.orders SET price = 1 WHERE id = 7');
my $later = value("$hash FROM shop.orders o");
my $second = 'main@' . text_time($node);
value(<<'SQL');
DELETE FROM shop.orders WHERE id % 100 = 0;
UPDATE shop.orders SET name = 'overwritten' WHERE id = 1;
REVOKE SELECT ON shop.orders FROM clerk;
DROP TABLE gone, shop.feelings, shop.sorted;
DROP TYPE shop.mood;
DROP COLLATION shop.plain;
CREATE SCHEMA ordinary;
CREATE ROLE newcomer;
GRANT EXECUTE ON FUNCTION pitr_attach_schema(text, text, text, text[]) TO newcomer;
SQL

# --- what has to be there ---
refused(attach("'$first'"), '55000', qr/postgres_fdw.*HINT.*CREATE EXTENSION/s);
value('CREATE EXTENSION postgres_fdw');
refused(attach("'$first'", 'clerk'), '42501', qr/permission denied for database/);
value('GRANT CREATE ON DATABASE postgres TO clerk, stranger, newcomer');
refused(attach("'$first'", 'newcomer'), '42704', qr/"newcomer" did not exist/);
refused(attach("'$first', 'ordinary'"), '42P06', qr/schema "ordinary" already exists/);
refused(attach("'$first', 'pg_past'"), '42939');
refused(attach("'$first', repeat('x', 64)"), '42622');
refused(attach("'$first', 'past', 'nowhere'"), '3F000', qr/schema "nowhere" did not exist at that point/);
refused(attach("'$first', 'past', 'shop', '{orders,nothing}'"), '42P01', qr/relation "shop.nothing" did not exist/);
refused(attach("'main\@2001-01-01T00:00:00Z'"), 'PI003');
refused(attach('NULL'), '22023');
refused('BEGIN READ ONLY; ' . attach("'$first'"), '25006');
is(value(q{SELECT count(*) FROM pg_foreign_server}), 0, 'nothing is left of that');

# --- what is there ---
is(value(attach("'$first', remote_schema => 'shop'", 'clerk')), join("\n", 'dear', 'feelings: column how: type shop.mood does not exist', 'odd "one', 'orders', 'parted', 'secret: permission denied', 'sorted: column word: collation shop.plain does not exist'),
	'tables and views of then; why some are not there');
@as = ('-U', 'clerk');
is(value("$hash FROM past.orders o"), $then, 'rows are those of then, read by who may not read them today');
is(value(q{SELECT count(*), sum(id) FROM past.parted}), '100|5050', 'a partitioned table is one');
is(value(q{SELECT "it's", "a b" FROM past."odd ""one"}), '1|x', 'any name');
is(value(q{SELECT count(*) FROM past.dear}), 334, 'a view');
@as = ();
is(value(q{SELECT string_agg(usename || ' ' || (srvname ~ '^pitr_past_\d+$')::text, ' ') FROM pg_user_mappings}), 'clerk true', 'a mapping for the caller alone');
is(value(q{SELECT r.rolsuper FROM pg_foreign_server s JOIN pg_roles r ON r.oid = s.srvowner}), 't', 'the server is not theirs');
is(value(q{GRANT SELECT ON shop.orders TO clerk; SET ROLE clerk; SELECT count(*), min(p.id) FROM past.orders p LEFT JOIN shop.orders o USING (id) WHERE o.id IS NULL}), '50|100', 'one statement reads both');
value(q{GRANT INSERT ON shop.orders TO clerk; SET ROLE clerk; INSERT INTO shop.orders (id, name, price, tags) OVERRIDING SYSTEM VALUE SELECT id, name, price, tags FROM past.orders p WHERE NOT EXISTS (SELECT FROM shop.orders o WHERE o.id = p.id)});
is(value("$hash FROM shop.orders o WHERE id NOT IN (1, 7)"), value("SET ROLE clerk; $hash FROM past.orders o WHERE id NOT IN (1, 7)"), 'and brings rows back');
is(value(q{SET ROLE clerk; BEGIN; DECLARE c CURSOR FOR SELECT id FROM past.orders ORDER BY id; MOVE 4990 FROM c; FETCH 2 FROM c; COMMIT}), "4991\n4992", 'a cursor');
is(value("SELECT count(*) FROM pitr_operations WHERE kind = 'look'"), 1, 'all of that from one server');

refused('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM past.dear', '0A000', qr/serializable mode in a hot standby/, 'clerk');

# --- nobody else ---
value(q{SET ROLE clerk; GRANT USAGE ON SCHEMA past TO stranger; GRANT SELECT ON ALL TABLES IN SCHEMA past TO stranger});
refused('SELECT count(*) FROM past.orders', '42704', qr/user mapping not found/, 'stranger');
refused('CREATE USER MAPPING FOR stranger SERVER ' . value('SELECT srvname FROM pg_foreign_server'), '42501', undef, 'stranger');
refused('SELECT pitr_detach_schema()', '42501', qr/must be owner of schema past/, 'stranger');
refused(attach("'$first'", 'stranger'), '42501', qr/must be owner of schema past/);
refused('DELETE FROM past.orders', '55000', qr/does not allow deletes/, 'clerk');
refused('TRUNCATE past.orders', '55000', qr/does not allow truncates/, 'clerk');

# --- a caller who wants to be more: sessions of their own ---
my $server = value('SELECT srvname FROM pg_foreign_server');
my $boss = value('SELECT rolname FROM pg_roles WHERE oid = 10');
foreach my $hostile (
	"ALTER USER MAPPING FOR clerk SERVER $server OPTIONS (SET user '$boss')", "ALTER USER MAPPING FOR clerk SERVER $server OPTIONS (DROP user)", "ALTER SERVER $server OPTIONS (SET dbname 'template1')",
	"ALTER SERVER $server OPTIONS (SET host '" . $node->host . "', SET port '" . $node->port . "')", "ALTER SERVER $server OWNER TO clerk", "DROP SERVER $server CASCADE", "GRANT USAGE ON FOREIGN SERVER $server TO stranger WITH GRANT OPTION",
	"CREATE SERVER mine FOREIGN DATA WRAPPER postgres_fdw", "CREATE USER MAPPING FOR stranger SERVER $server OPTIONS (user '$boss')")
{
	@as = ('-U', 'clerk');
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$hostile", extra_params => [@as]);
	like($err, $hostile =~ /^GRANT/ ? qr/WARNING:  01007|42501/ : qr/ERROR:  42501/, "refused: $hostile");
}
foreach my $disguise ("SET user '$boss', SET password_required 'true'", "SET user '$boss', SET password_required 'true', ADD password 'x'", "SET user '$boss', DROP password_required, ADD password 'x'")
{
	my ($rc, $out, $err) = $node->psql('postgres', "BEGIN; ALTER USER MAPPING FOR clerk SERVER $server OPTIONS ($disguise); SELECT 'reads as ' || count(*) FROM past.orders", extra_params => [ '-U', 'clerk', '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  2F003: password/, "as another one by $disguise: a password would have to be asked for");
	unlike($out, qr/reads as/, '... nothing is read');
}
@as = ();
value("ALTER USER MAPPING FOR clerk SERVER $server OPTIONS (SET password_required 'true')");
is(refusal($node, 'SET ROLE clerk; SELECT count(*) FROM past.orders')->{sqlstate}, '2F003', 'one that was altered is of no use');

# --- again, elsewhere, and no more ---
is(value(attach("'$first', 'past', 'shop', '{parted_2,orders}'", 'clerk')), "orders\nparted_2", 'the same schema again, limited to some; a partition by its name');
is(value("SET ROLE clerk; $hash FROM past.orders o"), $then, 'which makes that good');
is(value(attach("'$second', 'past', 'shop', '{orders}'", 'clerk')), 'orders', 'another point under the same name');
is(value("SET ROLE clerk; $hash FROM past.orders o"), $later, 'with the rows of that');
is(value(attach("'$first', 'before'", 'clerk')), 'gone', 'a second schema');
is(value("SET ROLE clerk; SELECT count(*) FROM before.gone"), 10, 'has what was dropped');
is(value("SET ROLE clerk; BEGIN; $hash FROM past.orders o; $hash FROM past.orders o; SELECT count(*) FROM before.gone; COMMIT"), "$later\n$later\n10", 'two points in one transaction');
is(value('SELECT count(*) FROM pg_foreign_server'), 2, 'each has its server');
value('SET ROLE clerk; CREATE SCHEMA clerks; CREATE VIEW clerks.old AS SELECT * FROM past.orders');
refused('SELECT pitr_detach_schema()', '2BP01', qr/clerks\.old depends on/, 'clerk');
refused(attach("'$first'", 'clerk'), '2BP01');
value('DROP VIEW clerks.old');
value('SET ROLE clerk; CREATE TABLE past.own (a int)');
refused('SELECT pitr_detach_schema()', '2BP01', qr/table past\.own depends on/, 'clerk');
value('DROP TABLE past.own');
is(value('SET ROLE clerk; SELECT pitr_detach_schema(), pitr_detach_schema()'), 't|f', 'it is let go of, once');
is(value(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'past'}), 0, 'and gone');
is(value("SELECT pitr_detach_schema('before')"), 't', 'by a superuser too');
is(value('SELECT (SELECT count(*) FROM pg_foreign_server) + (SELECT count(*) FROM pg_user_mappings)'), 0, 'with server and mapping');
refused("SELECT pitr_detach_schema('ordinary')", '55000', qr/not attached/);
refused('SELECT pitr_detach_schema(NULL)', '22023');
is(value(attach("'$first', 'mine', 'shop'") . "; $hash FROM mine.orders o") =~ s/.*\n//sr, $then, 'a superuser, attached and read in one go');
is(value(q{SELECT string_agg(DISTINCT function || CASE role_name WHEN 'clerk' THEN ' clerk' ELSE '' END, ' ') FROM pitr_audit WHERE outcome = 'done' AND function ~ '(at|de)tach'}), 'pitr_attach_schema pitr_attach_schema clerk pitr_detach_schema pitr_detach_schema clerk', 'who did it is in the audit');
unlike(slurp_file($node->logfile), qr/PANIC|was terminated by signal|leak/, 'nothing worse in the log');
$node->stop;
done_testing();
