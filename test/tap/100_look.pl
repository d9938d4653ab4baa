# Servers at points of the past (pitr_open_at, pitr_close_at): that they have what was there then and take nothing, that one point is one server, how
# many there are at once, and that nothing is left of one that nobody reads from.
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
use Time::HiRes qw(sleep time);

my $node = pitr_node('main', conf => "pitr.time_travel_idle_timeout = 2\npitr.time_travel_max = 2\n");
sub value { return $node->safe_psql('postgres', $_[0]); }
my $place = abs_path($node->data_dir) . '.pitr';

# Points: (text, contents)
my @points;
sub note_point
{
	my ($how) = @_;
	my $contents = contents($node);
	my $text = $how eq 'lsn' ? value('SELECT pg_current_wal_insert_lsn()') : text_time($node);
	push @points, { text => "main\@$text", contents => $contents };
	return;
}
value('CREATE TABLE stones AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 20000) g');
note_point('time');
value('DELETE FROM stones WHERE id % 3 = 0');
note_point('lsn');
value('CREATE TABLE later (a int); DROP TABLE stones');
note_point('time');
value('INSERT INTO later VALUES (1)');

# --- what is read there ---
my $began = time;
my $open = open_at($node, $points[0]{text});
is($open->{point}, $points[0]{text}, 'a server at a time of the past') or diag($open->{_err});
diag(sprintf 'cold: %.2f s', time - $began);
my $past = look_node($node, $open);
is(contents($past), $points[0]{contents}, 'with what was there then');
is($past->safe_psql('postgres', 'SELECT pg_is_in_recovery(), pg_get_wal_replay_pause_state()'), 't|paused', 'it stands there');
is($open->{expires_when_idle}, '00:00:02', 'until nobody reads for a while');
is(value("SELECT count(*) FROM pitr_branches WHERE directory ~ '/look-'"), 0, 'it is no branch');
is(value("SELECT kind || ' ' || state || ' ' || phase FROM pitr_operations WHERE kind = 'look'"), 'look done replay', 'its making is an operation');
is((stat $open->{host})[2] & 0777, 0700, 'only the user of the server gets at its socket');

# --- it takes nothing ---
foreach my $write ('CREATE TABLE x (a int)', 'DELETE FROM stones', 'SET default_transaction_read_only = off; INSERT INTO stones VALUES (1, 1)', 'CREATE TEMP TABLE x (a int)', 'VACUUM stones')
{
	my $refusal = refusal($past, $write);
	like($refusal->{sqlstate}, qr/^(25006|55000)$/, "refused: $write") or diag($refusal->{err});
}
is(refusal($past, "SELECT $_")->{sqlstate}, '42501', "and $_, by a superuser") foreach ('pg_promote(false)', 'pg_wal_replay_resume()');
is(contents($past), $points[0]{contents}, 'it is what it was');

# --- one point, one server ---
my $directory = look_directory($past);
my $postmaster = postmaster_in($directory);
$began = time;
is(open_at($node, $points[0]{text})->{connection}, $open->{connection}, 'the same point is the same server');
diag(sprintf 'warm: %.3f s', time - $began);
is(open_at($node, 'main@' . $open->{lsn})->{connection}, $open->{connection}, 'also when it is written otherwise');
sub hold { my ($row) = @_; my $session = look_node($node, $row)->background_psql('postgres'); $session->query('SELECT 1'); return $session; }
my @held = hold($open);
my $second = open_at($node, $points[1]{text});
is(contents(look_node($node, $second)), $points[1]{contents}, 'another point is another server');

is(open_at($node, $points[1]{text})->{connection}, $second->{connection}, 'asked for in the same words, it is found by them');
like(slurp_file(look_directory(look_node($node, $second)) . '/../look.json'), qr/"asked":\["\d+ \Q$points[1]{text}\E"\]/, 'which it has noted, for an LSN');

# --- no more than that ---
push @held, hold($second);
my $refusal = refusal($node, "SELECT * FROM pitr_open_at('$points[2]{text}')");
is($refusal->{sqlstate}, '53400', 'a third one while both are in use');
like($refusal->{text}, qr/pitr_close_at/, 'the hint says what helps');
sleep 3;
is(postmaster_in($directory), $postmaster, 'one that is in use stays');
$held[1]->quit;
my $third = open_at($node, $points[2]{text});
is(contents(look_node($node, $third)), $points[2]{contents}, 'an idle one goes on to it') or diag($third->{_err});
is(postmaster_in($directory), $postmaster, 'not the one that is in use');
isnt($third->{host}, $second->{host}, 'and is not where it was');
ok(!-e $second->{host}, 'of which nothing is left');
is(value("SELECT state, bytes_done, bytes_total FROM pitr_operations WHERE kind = 'look' ORDER BY started_at DESC LIMIT 1"), 'done|0|0', 'no byte was laid out for it');
my $back = open_at($node, $points[1]{text});
is(contents(look_node($node, $back)), $points[1]{contents}, 'it is given up for an earlier point') or diag($back->{_err});
ok(wait_until(10, sub { !-e $third->{host} }), 'nothing is left of it');
$third = open_at($node, $points[2]{text});
is(contents(look_node($node, $third)), $points[2]{contents}, 'and once more on');

# --- the head; closing; the end of the idle ones ---
is(value("SELECT pitr_close_at('$points[2]{text}')"), 't', 'pitr_close_at ends one');
is(value("SELECT pitr_close_at('$points[2]{text}')"), 'f', 'once');
my $head = open_at($node, 'main');
is(contents(look_node($node, $head)), contents($node), 'the head has all that was committed');
$held[0]->quit;
ok(wait_until(20, sub { !looks_in($place) }), 'all of them go when nobody reads') or diag(join ' ', looks_in($place));
ok(!runs_in($directory), 'with their processes');
is(value('SELECT item, detail FROM pitr_check() WHERE NOT ok'), '', 'pitr_check finds nothing wrong');

# --- refused ---
foreach my $bad ([ 'main@2001-01-01T00:00:00Z', 'PI003' ], [ 'main@2100-01-01T00:00:00Z', '22023' ], [ 'nowhere@0/1', '42704' ], [ 'main@FFFF/0', 'PI001' ], [ 'main@yesterday', '22P02' ])
{
	is(refusal($node, "SELECT * FROM pitr_open_at('$bad->[0]')")->{sqlstate}, $bad->[1], "no server at $bad->[0]");
}
is(looks_in($place), 0, 'and nothing is left of that');
value(q{ALTER SYSTEM SET pitr.time_travel_max = 0});
value('SELECT pg_reload_conf()');
ok(wait_until(10, sub { refusal($node, "SELECT * FROM pitr_open_at('$points[0]{text}')")->{sqlstate} eq '55000' }), 'none at all when that is off');
is(unexpected_log_lines($node, 0, qr/ERROR:  (all 2 servers|.*looking at the past is off|no snapshot|Timestamp can not|Branch|.*not found|Invalid source|.*behind|.*window|.*reach|.*beyond)/), '', 'no other complaint in the log');
$node->stop;
done_testing();
