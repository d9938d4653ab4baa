# For tests of archiving: making segments, waiting for the archiver, looking into the repository and the server's processes.
package ArchiveTest;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use File::Basename qw(basename);
use File::Find ();
use PitrTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(archive_node wait_for make_segments current_segment ready_files wait_archived object_of objects_of
  same_as_repository children_of archiver_pid workers_of log_lines wait_log counters);

# Small segments: much happens with few bytes. The first snapshot is over, so that segments end when the test says so.
sub archive_node
{
	my ($name, %options) = @_;
	return pitr_node($name, init => { extra => [ '--wal-segsize=1', @{ $options{initdb} // [] } ] },
		conf => "wal_keep_size = '1GB'\n" . ($options{conf} // ''), %{ $options{node} // {} });
}

sub wait_for
{
	my ($what, $condition, $seconds) = @_;
	my $give_up = time + ($seconds // 60);
	while (time < $give_up)
	{
		return 1 if $condition->();
		sleep 0.05;
	}
	diag("waited in vain for $what");
	return 0;
}

# The segment that is being written. At its very beginning the server would name the one before.
sub current_segment
{
	my ($node) = @_;
	return $node->safe_psql('postgres', "SELECT pg_walfile_name(pg_logical_emit_message(false, 'test', 'here'))");
}

# Completes $count segments with something in each; their names.
sub make_segments
{
	my ($node, $count) = @_;
	return split /\n/, $node->safe_psql('postgres', <<"SQL");
SELECT pg_walfile_name(pg_switch_wal()) FROM generate_series(1, $count) g,
  LATERAL (SELECT pg_logical_emit_message(false, 'test', repeat(md5(g::text), 1000)) OFFSET 0) m
SQL
}

sub ready_files
{
	my ($node) = @_;
	my @names = sort map { basename($_, '.ready') } glob($node->data_dir . '/pg_wal/archive_status/*.ready');
	return @names;
}

sub wait_archived
{
	my ($node, $seconds) = @_;
	my $waited = wait_for('the archiver', sub { !ready_files($node) }, $seconds // 90);
	diag('ready: ' . join ' ', ready_files($node)) unless $waited;
	return $waited;
}

# Objects of the repository below branches/, by their last part.
sub objects_of
{
	my ($repository) = @_;
	my %objects;
	File::Find::find({ no_chdir => 1, wanted => sub { $objects{ basename($_) } = $_ if -f $_ && !/\.tmp/ } },
		"$repository/branches")
	  if -d "$repository/branches";
	return \%objects;
}

sub object_of
{
	my ($node, $name) = @_;
	return objects_of(repository_of($node))->{$name};
}

# Every file of the given names is in the repository with exactly the bytes of pg_wal.
sub same_as_repository
{
	my ($node, @names) = @_;
	my $target = $node->basedir . '/fetched';
	local $ENV{PITR_REPOSITORY} = repository_of($node);
	local $ENV{PITR_BRANCH} = 'main';
	foreach my $name (@names)
	{
		unlink $target;
		system('pitr', 'wal-get', $name, $target) == 0 or do { diag("no $name in the repository"); return 0 };
		my $there = slurp_file($target);
		my $here = slurp_file($node->data_dir . "/pg_wal/$name");
		$there eq $here or do { diag("$name differs"); return 0 };
	}
	return 1;
}

# Children of the postmaster by what they call themselves.
sub children_of
{
	my ($node, $pattern) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	return map { /^\s*(\d+)/ ? $1 : () } grep { /$pattern/ } split /\n/, `ps -o pid=,args= --ppid $postmaster`;
}

sub archiver_pid { my ($node) = @_; return (children_of($node, qr/: archiver/))[0]; }
sub workers_of { my ($node) = @_; return children_of($node, qr/: pitr archive worker/); }

# Messages of the log from $from on that match.
sub log_lines
{
	my ($node, $from, $pattern) = @_;
	return grep { /$pattern/ } split /\n/, slurp_file($node->logfile, $from);
}

sub wait_log
{
	my ($node, $from, $pattern, $seconds) = @_;
	return wait_for("a log line like $pattern", sub { scalar log_lines($node, $from, $pattern) }, $seconds);
}

sub counters { my ($node) = @_; return psql_row($node, 'SELECT * FROM pitr_archive'); }

1;
