# Servers at points of the past where recovery cannot pause, since hot standby never becomes active there: they are read-only all the same. And one that
# goes on to a later point when something dies meanwhile.
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
sub value { return $node->safe_psql('postgres', $_[0]); }
my $place = abs_path($node->data_dir) . '.pitr';
value('CREATE TABLE stones AS SELECT g AS id FROM generate_series(1, 1000) g');

# Contents as they are, and the point.
my @points;
sub note_point { my $contents = contents($node); push @points, { contents => $contents, text => 'main@' . text_time($node) }; return $points[-1]; }
sub is_there { my ($point, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; my $row = open_at($node, $point->{text}); is(contents(look_node($node, $row)), $point->{contents}, $name) or diag($row->{_err}); return $row; }

# --- it goes on, or is made anew when that is interrupted ---
note_point();
value("INSERT INTO stones VALUES (2000 + $_)"), note_point() for 1 .. 3;
my $first = is_there($points[0], 'a point');
my $directory = look_directory(look_node($node, $first));
my $second = is_there($points[1], 'a later one');
is(look_directory(look_node($node, $second)), $directory, 'in the same directory');
isnt($second->{connection}, $first->{connection}, 'where nobody takes it for the first');
foreach my $point ('build.at_target', 'look.before_ready')
{
	arm_only("$point kill");
	my ($rc) = end_sql(begin_sql($node, "SELECT * FROM pitr_open_at('$points[2]{text}')"));
	clear_faults();
	isnt($rc, 0, "killed at $point when it goes on");
	ok(ensure_running($node), 'the server answers');
	is_there($points[2], 'the next call is right');
	value("SELECT pitr_close_at('$points[2]{text}')");
	is_there($points[1], 'so is one for an earlier point');
}
value('SELECT pitr_create_snapshot()');
$directory = look_directory(look_node($node, open_at($node, $points[1]{text})));
my $near = is_there(note_point(), 'a point that another snapshot is nearer to');
isnt(look_directory(look_node($node, $near)), $directory, 'is made from that');
value("SELECT pitr_close_at('$_->{text}')") foreach @points;

# --- no pause ---
my $long = $node->background_psql('postgres');
$long->query('BEGIN');
$long->query(join ' ', map { "SAVEPOINT s$_; INSERT INTO stones VALUES (9000 + $_);" } 1 .. 80);
value('SELECT pitr_create_snapshot()');
value('INSERT INTO stones VALUES (5000)');
my $held = note_point();
my $look = is_there($held, 'with a transaction of many parts under way: what was committed then');
my $past = look_node($node, $look);
is($past->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'it is a standby');
like(slurp_file(look_directory($past) . '/../log'), qr/selected new timeline ID/, 'which it had left');
is(refusal($past, 'INSERT INTO stones VALUES (1)')->{sqlstate}, '25006', 'nothing can be written');
is(refusal($past, 'SELECT pg_promote(false)')->{sqlstate}, '42501', 'nor promoted');
$directory = look_directory($past);
value('INSERT INTO stones VALUES (5001)');
my $later = is_there(note_point(), 'a later point');
isnt(look_directory(look_node($node, $later)), $directory, 'is made anew');
$long->quit;
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');
ok(no_look_is_left($node, $place), 'all of them go when that is off');
$node->stop;
done_testing();
