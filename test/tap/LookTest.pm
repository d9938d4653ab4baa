# What the tests of servers at points of the past share.
package LookTest;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PitrTest;
use Test::More;

use FaultTest;

our @EXPORT = qw(open_at look_node look_directory looks_in no_look_is_left recover recover_refused rows_of past_reads_as);

# The row of pitr_open_at, as a hash.
sub open_at { my ($node, $point) = @_; return psql_row($node, "SELECT * FROM pitr_open_at('$point')"); }

# Such a server as a node that nobody stops at the end.
sub look_node { my ($node, $row) = @_; return bless { %$node, _port => $row->{port}, _host => $row->{host}, _name => 'look' }, ref $node; }

sub look_directory { my ($look) = @_; return $look->safe_psql('postgres', 'SHOW data_directory'); }

# What there is of them in a branch directory.
sub looks_in { my ($place) = @_; return my @there = glob "$place/look-*"; }

# Ends them all and waits until their folders are gone, or their directories in /tmp would be the next server's to remove, which a test has not.
sub no_look_is_left
{
	my ($node, $place) = @_;
	$node->safe_psql('postgres', 'ALTER SYSTEM SET pitr.time_travel_max = 0');
	$node->reload;
	return wait_until(20, sub { !looks_in($place) });
}

# A row of pitr_recover_table, as a hash; `setup`: statements before it.
sub recover { my ($node, $arguments, $setup) = @_; return psql_row($node, ($setup // '') . "SELECT * FROM pitr_recover_table($arguments)"); }
sub recover_refused
{
	my ($node, $arguments, $sqlstate, $text, $setup) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $refusal = refusal($node, ($setup // '') . "SELECT * FROM pitr_recover_table($arguments)");
	is($refusal->{sqlstate}, $sqlstate, "$arguments: $sqlstate") or diag($refusal->{err});
	like($refusal->{err}, $text, '... and says so');
	return;
}

# "count|hash" of a table, and that a point of the past gives the same by every way that reads it. Nothing of it stays.
my $rows = 'SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"))';
sub rows_of { my ($node, $table) = @_; return $node->safe_psql('postgres', "$rows FROM $table t"); }
sub past_reads_as
{
	my ($node, $point, $table, $then) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql('postgres', "SELECT * FROM pitr_query_at('$point', '$rows FROM $table t') AS t(n bigint, hash text)"), $then, 'pitr_query_at reads what was there');
	is(recover($node, "'$table', '$point', 'brought_back'")->{state}, 'done', 'pitr_recover_table brings it back');
	is(rows_of($node, 'brought_back'), $then, '... as it was');
	$node->safe_psql('postgres', 'DROP TABLE brought_back');
	return unless $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});
	$node->safe_psql('postgres', "CREATE EXTENSION postgres_fdw; SELECT * FROM pitr_attach_schema('$point', 'then', relations => '{$table}')");
	is(rows_of($node, qq{"then".$table}), $then, 'an attached schema reads the same');
	$node->safe_psql('postgres', q{SELECT pitr_detach_schema('then'); DROP EXTENSION postgres_fdw});
	return;
}

1;
