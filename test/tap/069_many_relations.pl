# Many relations: a snapshot, an increment, and restores in place, demand-loaded and laid out, of a database of thousands of small files. Time and
# memory of each are noted.
#
# PITR_SWEEP=full: 100,000 relations (PITR_RELATIONS: as many).
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib $FindBin::RealBin;
use FaultTest;
use PitrTest;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $tables = int(($ENV{PITR_RELATIONS} // (($ENV{PITR_SWEEP} // '') eq 'full' ? 100_000 : 1_000)) / 2);
my $node = pitr_node('many', init => { extra => ['--wal-segsize=16'] }, conf => <<'CONF');
fsync = off
autovacuum = off
max_wal_size = 4GB
max_locks_per_transaction = 1000
pitr.demand_load = auto
pitr.max_replay_bytes = 0
CONF

sub value { return $node->safe_psql('postgres', $_[0], timeout => 1800); }

# The most memory of its own that a process of each kind had while $work ran, looked at ten times a second, in MB.
sub measured
{
	my ($name, $work) = @_;
	return $work->() if $tables <= 5_000;    # looking takes longer than what is looked at
	my $file = PostgreSQL::Test::Utils::tempdir() . '/memory';
	my $parent = $$;
	my $child = fork() // die "fork: $!";
	if ($child == 0)
	{
		my $is_over = 0;
		local $SIG{TERM} = sub { $is_over = 1 };
		my %most;
		until ($is_over || getppid() != $parent)
		{
			foreach my $process (processes_of($node))
			{
				my ($size) = eval { slurp_file("/proc/$process->{pid}/status") =~ /^RssAnon:\s+(\d+)/m } or next;
				my $kind = $process->{arguments} =~ m{^postgres: (?:\S*: )?(pitr [a-z ]+|\S+)|^(pitr [a-z-]+)|/(postgres) } ? $1 // $2 // $3 : 'other';
				$most{$kind} = $size if $size > ($most{$kind} // 0);
			}
			sleep 0.1;
		}
		open(my $out, '>', $file) or POSIX::_exit(1);
		print $out join ', ', map { sprintf '%s %d', $_, $most{$_} / 1024 } sort { $most{$b} <=> $most{$a} } keys %most;
		close $out;
		POSIX::_exit(0);
	}
	my $began = time;
	my $result = eval { $work->() };
	my $error = $@;
	my $seconds = time - $began;
	kill 'TERM', $child;
	waitpid $child, 0;
	die $error if $error;
	diag(sprintf '%d relations, %s: %.1f s; MB: %s', 2 * $tables, $name, $seconds, slurp_file($file) =~ s/ +/ /gr);
	return $result;
}

# Every twentieth is large enough to be loaded on demand.
measured('create', sub { value(<<"SQL") });
CREATE PROCEDURE make(first int, last int) LANGUAGE plpgsql AS \$\$
BEGIN
  FOR i IN first .. last LOOP
    EXECUTE format('CREATE TABLE m%s (id int, n int); INSERT INTO m%s SELECT g, %s * g FROM generate_series(1, %s) g; CREATE INDEX ON m%s (id)',
      i, i, i, CASE WHEN i % 20 = 0 THEN 4000 ELSE 3 END, i);
    IF i % 500 = 0 THEN COMMIT; END IF;
  END LOOP;
END \$\$;
CALL make(1, $tables);
SQL
# Without it nothing is loaded on demand; so many new files are better not synced one by one.
value('CHECKPOINT');
value('ALTER SYSTEM SET fsync = on');
$node->reload;

sub snapshot
{
	my ($kind) = @_;
	my $row = measured("snapshot, $kind", sub { psql_row($node, 'SELECT * FROM pitr_create_snapshot()') });
	is(($row->{state} // '') . ' ' . ($row->{kind} // ''), "ok $kind", "snapshot: $kind") or diag($row->{_err});
	my ($read, $new) = split /\|/, value("SELECT database_bytes, new_bytes FROM pitr_snapshots WHERE state = 'ok' ORDER BY start_lsn DESC LIMIT 1");
	note("$kind: $new bytes of $read");
}

snapshot('increment');    # upon the first one, of before there was anything
value(join ";\n", map { "UPDATE m$_ SET n = n + 1 WHERE id % 7 = 0; INSERT INTO m$_ VALUES (0, $_)" } grep { $_ % 10 == 0 } 1 .. $tables);
value(join ";\n", map { "DROP TABLE m$_" } grep { $_ % 100 == 1 } 1 .. $tables);
snapshot('increment');
value(join ";\n", map { "UPDATE m$_ SET n = -n WHERE id = 2" } grep { $_ % 30 == 0 } 1 .. $tables);
my $then = measured('reading all of it', sub { contents($node) });
my $target = value('SELECT pg_current_wal_insert_lsn()');
cmp_ok(scalar(split /\n/, $then), '>=', $tables * 0.98, 'all tables are compared');

foreach my $way ('auto', 'off')
{
	value("ALTER SYSTEM SET pitr.demand_load = $way");
	value("DROP TABLE m20; TRUNCATE m40; UPDATE m60 SET n = 0; CREATE TABLE afterwards ()");
	$node->reload;
	my $row = measured("restore, demand_load = $way", sub { restore($node, "SELECT * FROM pitr_restore_branch('$target'::pg_lsn)") });
	is($row->{outcome}, 'done', "demand_load = $way: restored") or diag(explain($row));
	is(contents($node) eq $then ? 'same' : 'other', 'same', "demand_load = $way: contents are those of then");
	measured('completion', sub { value('SELECT * FROM pitr_complete_branch()') }) if $way eq 'auto';
	is(value('SELECT coalesce(incomplete_bytes, 0) FROM pitr_branches WHERE is_self'), 0, "demand_load = $way: complete");
	forget_undo_branches($node);
}
snapshot('increment');
is(value('SELECT count(*) FROM pitr_verify() WHERE NOT ok'), 0, 'everything in the repository can be read');
$node->stop;
done_testing();
