# The README's chapter "I deleted something", statement by statement: from the accident to the rows that are back.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = pitr_node('main');
sub value { return $node->safe_psql('shop', $_[0]); }
# As a person would see it.
sub seen
{
	my ($statement) = @_;
	my ($out, $err);
	IPC::Run::run([ 'psql', '-X', '-d', $node->connstr('shop'), '-c', $statement ], '>', \$out, '2>', \$err) or die "$statement: $err";
	note("=# $statement;\n$out");
	return $out;
}

$node->safe_psql('postgres', 'CREATE DATABASE shop');
value('CREATE EXTENSION pitr_ext');
value(q{CREATE TABLE customers (id int PRIMARY KEY, name text);
	CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, amount numeric(8,2), shipped boolean DEFAULT false);
	INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 100) g;
	INSERT INTO orders SELECT g, 1 + g % 100, g * 1.5 FROM generate_series(1, 20000) g});
my $wanted = value(q{SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o});
my ($accident) = split /\|/, value(q{WITH gone AS (DELETE FROM orders WHERE NOT shipped AND customer < 51 RETURNING 1) SELECT count(*) FROM gone});
is($accident, 10000, 'the accident');
sleep 0.05;
# Life goes on.
value(q{INSERT INTO orders VALUES (20001, 7, 9.99, true); UPDATE orders SET shipped = true WHERE id = 99});
my $now = value('SELECT count(*) FROM orders');
is($now, 10001, 'and life goes on');

my $found = seen(q{SELECT kind, object, row_count, target FROM pitr_find_events(now() - interval '1 hour', kinds => '{delete}')});
my ($target) = $found =~ /^ delete *\| public\.orders *\| *10000 \| (main\@[0-9A-F]+\/[0-9A-F]+)/m or diag($found);
ok($target, 'when it was: the point just before');
like(seen("SELECT * FROM pitr_query_at('$target', 'SELECT count(*), sum(amount) FROM orders') AS t(orders bigint, amount numeric)"), qr/^ +20000 \| 300015000.00/m, 'what was there then');
like(seen("SELECT rows_found, rows_written FROM pitr_recover_table('orders', at => '$target', mode => 'missing')"), qr/^ +20000 \| +10000/m, 'what is gone comes back');
like(seen("SELECT op, count(*) FROM pitr_data_diff('orders', '$target') GROUP BY op ORDER BY op"), qr/^ insert \| +1\n update \| +1\n/m, 'and what is left of the difference is what was done since');
is(value(q{SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM (SELECT id, customer, amount, shipped AND id <> 99 AS shipped FROM orders WHERE id <= 20000) o}), $wanted, 'every row of then is there');
is(value('SELECT count(*) FROM orders'), 20001, 'and the new one');
$node->stop;
done_testing();
