#!/usr/bin/perl
# Prints "FILE:LINE: code" for each line of the C++ files named, comments and the contents of string literals left out.
# A line whose comment says "lint-ok: REASON" is left out whole.
use strict;
use warnings;

for my $path (@ARGV) {
    open my $in, '<', $path or die "$path: $!";
    my $in_block = 0;
    while (my $line = <$in>) {
        chomp $line;
        next if $line =~ /lint-ok: \S/;
        if ($in_block) {
            next unless $line =~ s{^.*?\*/}{};
            $in_block = 0;
        }
        $line =~ s{"(?:[^"\\]|\\.)*"}{""}g unless $line =~ /^\s*#\s*include/;
        $line =~ s{/\*.*?\*/}{}g;
        $line =~ s{//.*}{};
        $in_block = 1 if $line =~ s{/\*.*}{};
        print "$path:$.: $line\n" if $line =~ /\S/;
    }
}
