# PostgreSQL's own regression suite as a workload. Packages of the server do not have its statements, so PITR_REGRESS names src/test/regress
# of a source tree of the same major (15: `apt-get source postgresql-15`).
package RegressionSuite;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use File::Copy qw(copy);
use IPC::Run ();
use PostgreSQL::Test::Utils;

our @EXPORT = qw(has_regression_suite run_regression_suite);

sub has_regression_suite { return -e ($ENV{PITR_REGRESS} // '') . '/parallel_schedule'; }

# What its functions in C are loaded from: the suite's own, and two libraries of contrib that it uses.
sub libraries
{
	my $directory = PostgreSQL::Test::Utils::tempdir('regress');
	chomp(my ($headers, $installed) = map { scalar `pg_config $_` } '--includedir-server', '--pkglibdir');
	system_or_bail('cc', '-shared', '-fPIC', '-O1', "-I$headers", "-I$ENV{PITR_REGRESS}/../../include", "$ENV{PITR_REGRESS}/regress.c",
		'-o', "$directory/regress.so");
	copy("$installed/$_.so", "$directory/$_.so") || die "$_.so: $!" foreach qw(autoinc refint);
	chmod 0755, glob("$directory/*.so");
	return $directory;
}

# Makes database "regression". Returns how many of its tests came out as expected, and the names of those that did not: locale and minor
# version differ from the suite's, so some do not.
sub run_regression_suite
{
	my ($node) = @_;
	my $out = PostgreSQL::Test::Utils::tempdir('results');
	my $log = '';
	IPC::Run::run(
		[ $ENV{PG_REGRESS}, "--inputdir=$ENV{PITR_REGRESS}", "--outputdir=$out", '--dlpath=' . libraries(),
			"--schedule=$ENV{PITR_REGRESS}/parallel_schedule", '--host=' . $node->host, '--port=' . $node->port, '--max-concurrent-tests=20' ],
		'>', \$log, '2>&1');
	# "test name ... ok" and "     name ... ok" up to 15, "ok 1 - name" since 16.
	my $passed = () = $log =~ /^(?:test|    ) +\S+ +\.\.\. ok|^ok \d+ /mg;
	my @failed = grep { defined } $log =~ /^(?:test|    ) +(\S+) +\.\.\. (?:FAILED|failed)|^not ok \d+ +[-+] (\S+)/mg;
	return ($passed, \@failed);
}

1;
