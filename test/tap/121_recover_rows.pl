# pitr_recover_table into tables that are there: 'missing' inserts the rows whose key is gone, 'replace' puts the rows of then in the place of all, and
# the table stays what it is. What foreign keys say of it, triggers, sequences, rights, and what is refused.
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

my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 100\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
my $function = 'pitr_recover_table(text, text, text, text, text, boolean)';
sub hash_of { my ($table) = @_; return value("SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM $table t"); }
sub definition_of
{
	my ($table) = @_;
	my ($out, $err);
	IPC::Run::run([ 'pg_dump', '--schema-only', '-t', $table, '-d', $node->connstr('postgres') ], '>', \$out, '2>', \$err) or die "pg_dump: $err";
	return join "\n", grep { !/^\\(un)?restrict / } split /\n/, $out;
}

value(<<"SQL");
CREATE ROLE clerk;
GRANT CREATE, USAGE ON SCHEMA public TO clerk;
GRANT EXECUTE ON FUNCTION $function TO clerk;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE heard (what text);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO heard VALUES (TG_TABLE_NAME || ' ' || TG_OP); RETURN coalesce(NEW, OLD); END \$\$;
CREATE TABLE customers (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE orders (dropped int, id serial PRIMARY KEY, customer int REFERENCES customers, item text, amount numeric CHECK (amount >= 0), twice numeric GENERATED ALWAYS AS (amount * 2) STORED, mood mood, big text);
ALTER TABLE orders DROP COLUMN dropped;
CREATE INDEX ON orders (item);
CREATE TABLE lines ("order" int REFERENCES orders ON DELETE CASCADE, n int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY ("order", n));
CREATE VIEW cheap AS SELECT id FROM orders WHERE amount < 10;
CREATE PUBLICATION told FOR TABLE orders;
GRANT SELECT ON orders TO clerk;
INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 50) g;
INSERT INTO orders (customer, item, amount, mood, big) SELECT g % 50 + 1, E'i\\t' || g, g / 4.0, (ARRAY['sad', 'glad']::mood[])[g % 2 + 1], CASE WHEN g % 500 = 0 THEN (SELECT string_agg(md5(g::text || i), '') FROM generate_series(1, 2000) i) END FROM generate_series(1, 3000) g;
INSERT INTO lines ("order") SELECT g % 3000 + 1 FROM generate_series(1, 6000) g;
CREATE TRIGGER before_it BEFORE INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION hear();
CREATE TRIGGER after_it AFTER INSERT OR TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION hear();
ALTER TABLE orders ENABLE ALWAYS TRIGGER before_it;
CREATE TABLE clerks (a int PRIMARY KEY, b text DEFAULT 'then'); ALTER TABLE clerks OWNER TO clerk; INSERT INTO clerks SELECT g, 'b' || g FROM generate_series(1, 1000) g;
CREATE TABLE keyless AS SELECT g AS a FROM generate_series(1, 10) g;
CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (100); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (100) TO (200);
INSERT INTO parted SELECT g, 'v' || g FROM generate_series(1, 150) g;
SQL
my %was = map { $_ => hash_of($_) } qw(orders clerks parted parted_0);
my $oid = value(q{SELECT 'orders'::regclass::oid});
my $point = 'main@' . text_time($node);
value(<<'SQL');
CREATE TABLE rest AS SELECT * FROM orders WHERE id > 100; UPDATE rest SET item = 'changed';
DELETE FROM lines WHERE "order" <= 100; DELETE FROM orders WHERE id <= 100; UPDATE orders SET item = 'changed';
INSERT INTO orders (customer, item, amount) SELECT 1, 'new', 1 FROM generate_series(1, 100); TRUNCATE heard;
DELETE FROM clerks WHERE a > 600; UPDATE clerks SET b = 'now'; ALTER TABLE clerks ADD COLUMN c text DEFAULT 'later', ALTER COLUMN b TYPE varchar(20);
DELETE FROM parted WHERE id % 2 = 0;
SQL

# --- missing ---
my $row = recover($node, "'orders', '$point', mode => 'missing'");
is("$row->{state} $row->{relation} $row->{rows_found} $row->{rows_written}", 'done public.orders 3000 100', 'rows whose key is gone') or diag($row->{_err});
is(value("SELECT count(*) FILTER (WHERE item = 'changed'), count(*) FILTER (WHERE item = 'new'), count(*) FILTER (WHERE item ~ '^i') FROM orders"), '2900|100|100', 'others are left as they are');
is(value("SELECT string_agg(DISTINCT what, ',' ORDER BY what), count(*) FROM heard"), 'orders INSERT|101', 'an INSERT like any other: its triggers hear of it');
is(recover($node, "'orders', '$point', mode => 'missing'")->{rows_written}, 0, 'nothing is missing then');
$row = recover($node, "'clerks', '$point', mode => 'missing'", 'SET ROLE clerk; ');
is(value("SELECT $row->{rows_written}, count(*) FILTER (WHERE b = 'now' AND c = 'later'), count(*) FILTER (WHERE b ~ '^b' AND c = 'later') FROM clerks"), '400|600|400', 'as the owner; what was not there then has its default') or diag($row->{_err});
is(recover($node, "'parted', '$point', mode => 'missing'")->{rows_written}, 75, 'of a partitioned table');
is(hash_of('parted'), $was{parted}, '... each in its partition');
value('CREATE TABLE copy (LIKE orders INCLUDING ALL); GRANT SELECT, INSERT ON copy TO clerk; GRANT USAGE, SELECT ON orders_id_seq TO clerk');
is(recover($node, "'orders', '$point', 'copy', 'missing'", 'SET ROLE clerk; ')->{rows_written}, 3000, 'into another table, with the right to insert there');
is(hash_of('copy'), $was{orders}, '... all of then');
recover_refused($node, "'orders', '$point', mode => 'missing'", '42501', qr/permission denied for table orders/, 'SET ROLE clerk; ');
recover_refused($node, "'keyless', '$point', mode => 'missing'", '42P10', qr/"?public.keyless"? has no primary key/);
recover_refused($node, "'nothing', '$point', mode => 'missing'", '42P01', qr/"nothing" does not exist/);
recover_refused($node, "'cheap', '$point', mode => 'missing'", '42809', qr/not a table/);

# --- replace ---
value('TRUNCATE heard');
my $last = value(q{SELECT nextval('orders_id_seq')});
my $before = hash_of('orders');
value(q{INSERT INTO lines ("order") SELECT (SELECT max(id) FROM orders) - g FROM generate_series(0, 14) g});
my $refusal = refusal($node, "SELECT * FROM pitr_recover_table('orders', '$point', mode => 'replace')");
is($refusal->{sqlstate}, '23503', 'what points at rows that would be gone stands against it') or diag($refusal->{err});
my @lines = $refusal->{err} =~ /(Key \(order\)=\(\d+\) of table "lines" is not present in table "orders" \(lines_order_fkey\)\.)/g;
is(scalar @lines, 10, '... the first ten are told') or diag($refusal->{err});
is(hash_of('orders'), $before, '... and the table is what it was');
value(q{DELETE FROM lines WHERE "order" > 3000});
my $lines = hash_of('lines');
my $definition = definition_of('orders');
my $filenode = value(q{SELECT relfilenode FROM pg_class WHERE relname = 'orders'});
$row = recover($node, "'orders', '$point', mode => 'replace'");
is("$row->{state} $row->{relation} $row->{rows_found} $row->{rows_written}", 'done public.orders 3000 3000', 'all rows of then') or diag($row->{_err});
is(hash_of('orders'), $was{orders}, '... as they were');
is(value(q{SELECT 'orders'::regclass::oid}), $oid, 'in the same table');
isnt(value(q{SELECT relfilenode FROM pg_class WHERE relname = 'orders'}), $filenode, 'in another file');
is(definition_of('orders'), $definition, 'whose definition, grants and triggers are what they were');
is(value('SELECT count(*) FROM heard'), 0, 'no trigger heard of it');
is(hash_of('lines'), $lines, 'and nothing cascaded');
is(value('SELECT count(*) FROM cheap') . value(q{SELECT count(*) FROM pg_publication_tables WHERE tablename = 'orders'}), '391', 'views and publications stay');
is(value(q{SET enable_seqscan = off; SELECT id FROM orders WHERE item = E'i\t2000'}), 2000, 'indexes know the new rows');
ok(value(q{SELECT nextval('orders_id_seq')}) > $last, 'its sequence is where it was further');
is(value(q{SELECT sum(length(big)) FROM orders}), 6 * 64000, 'large values too');
value(q{VACUUM orders; INSERT INTO orders (customer, item) VALUES (1, 'after')});
is(value(q{SELECT count(*) FROM orders WHERE item = 'after' OR twice <> amount * 2}), 1, 'it goes on as a table');
is(recover($node, "'parted_0', '$point', mode => 'replace'")->{rows_written}, 99, 'a partition');
is(hash_of('parted_0'), $was{parted_0}, '... has its rows of then');
$row = recover($node, "'clerks', '$point', mode => 'replace'", 'SET ROLE clerk; CREATE TEMP TABLE pg_constraint AS SELECT 1 AS oid; CREATE TEMP TABLE pg_class AS SELECT 10 AS relowner; ');
is(value("SELECT $row->{rows_written}, count(*) FILTER (WHERE c = 'later'), count(*) FROM clerks"), '1000|1000|1000', 'as the owner, whose temporary tables stand in for nothing') or diag($row->{_err});

# --- refused; nothing has happened then ---
$before = hash_of('orders');
recover_refused($node, "'orders', '$point', mode => 'replace'", '42501', qr/must be owner of table public.orders/, 'SET ROLE clerk; ');
recover_refused($node, "'orders', '$point', 'pg_catalog.pg_class', 'replace'", '42501', qr/is a system catalog/);
recover_refused($node, "'parted', '$point', mode => 'replace'", '0A000', qr/partitioned table/);
recover_refused($node, "'orders', '$point', mode => 'replace'", '25001', qr/READ COMMITTED/, 'SET default_transaction_isolation = serializable; ');
recover_refused($node, "'keyless', '$point', 'customers', 'replace'", '42804', qr/no column that it had/);
value('ALTER TABLE orders ADD CONSTRAINT few CHECK (id > 10) NOT VALID');
recover_refused($node, "'orders', '$point', mode => 'replace'", '23514', qr/violates check constraint "few"/);
value('ALTER TABLE orders DROP CONSTRAINT few');
value("ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'");
recover_refused($node, "'orders', '$point', mode => 'replace'", '22P02', qr/invalid input value for enum public.mood: "glad".*column mood/s);
value("ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'");
value('DELETE FROM lines; DELETE FROM customers c WHERE id = 50 AND NOT EXISTS (SELECT FROM orders WHERE customer = c.id)');
is(hash_of('orders'), $before, 'the table is what it was after all of that');
is(value("BEGIN; DELETE FROM orders; SELECT rows_written FROM pitr_recover_table('orders', '$point', mode => 'replace'); SELECT count(*) FROM orders; ROLLBACK; SELECT count(*) FROM orders"), "3000\n3000\n3001", 'in a transaction, which is rolled back');
arm_only('recover.table_there stop');
my $run = begin_sql($node, "SELECT pitr_recover_table('orders', '$point', mode => 'replace')");
ok(wait_for_hit('recover.table_there'), 'in the middle of it');
my ($pid) = split /\n/, value("SELECT pid FROM pg_stat_activity WHERE query ~ 'replace' AND pid <> pg_backend_pid()");
kill 'KILL', $pid;
clear_faults();
my ($status) = end_sql($run);
isnt($status, 0, 'its session is killed');
ok(poll_until($node, 'SELECT count(*) FROM orders', 3001), 'and the table is what it was');
is(hash_of('orders'), $before, '... all of it');
$node->stop;
done_testing();
