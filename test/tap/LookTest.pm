# What the tests of servers at points of the past share.
package LookTest;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PitrTest;
use Test::More;

use FaultTest;

our @EXPORT = qw(open_at look_node look_directory looks_in no_look_is_left recover recover_refused);

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

1;
