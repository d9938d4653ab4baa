# What the tests of servers at points of the past share.
package LookTest;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PitrTest;

our @EXPORT = qw(open_at look_node look_directory looks_in);

# The row of pitr_open_at, as a hash.
sub open_at { my ($node, $point) = @_; return psql_row($node, "SELECT * FROM pitr_open_at('$point')"); }

# Such a server as a node that nobody stops at the end.
sub look_node { my ($node, $row) = @_; return bless { %$node, _port => $row->{port}, _host => $row->{host}, _name => 'look' }, ref $node; }

sub look_directory { my ($look) = @_; return $look->safe_psql('postgres', 'SHOW data_directory'); }

# What there is of them in a branch directory.
sub looks_in { my ($place) = @_; return my @there = glob "$place/look-*"; }

1;
