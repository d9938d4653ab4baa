# What the tests of branches with a server of their own share: such a branch as a node, its processes.
package BranchTest;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use FaultTest;
use File::Temp ();
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(branch_node branch_of state_of postmaster_in runs_in ends_within text_time);

# The row of a branch, as a hash.
sub branch_of { my ($node, $name) = @_; return psql_row($node, "SELECT * FROM pitr_branches WHERE name = '$name' AND deleted_at IS NULL"); }
sub state_of { return branch_of(@_)->{state} // ''; }

# The server of a branch as a node that nobody stops at the end: like its host, but for port, directory and log.
sub branch_node
{
	my ($node, $name) = @_;
	my $row = branch_of($node, $name);
	die "no branch $name" unless $row->{port};
	my $base = File::Temp->newdir('pitr-branch-XXXXXX', TMPDIR => 1);
	symlink $row->{directory}, "$base/pgdata" or die "symlink: $!";
	return bless { %$node, _port => $row->{port}, _name => $name, _basedir => "$base", _logfile => "$row->{directory}.log", _keep => $base }, ref $node;
}

# Pid in the postmaster.pid of a directory, if that is its server.
sub postmaster_in
{
	my ($directory) = @_;
	open(my $file, '<', "$directory/postmaster.pid") or return 0;
	my $pid = <$file> // '';
	chomp $pid;
	my $cwd = readlink("/proc/$pid/cwd") // '';
	return $cwd eq $directory && is_alive($pid) ? $pid : 0;
}

# Every process that works in a directory.
sub runs_in
{
	my ($directory) = @_;
	return grep { (readlink("/proc/$_/cwd") // '') eq $directory && is_alive($_) } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

# Seconds until nothing works in these directories; undef when that takes longer than $limit.
sub ends_within
{
	my ($limit, @directories) = @_;
	my $began = time;
	return wait_until($limit, sub { !grep { runs_in($_) } @directories }) ? time - $began : undef;
}

sub text_time { my ($node) = @_; return $node->safe_psql('postgres', q{SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')}); }

1;
