//go:build linux

package main

// sections are the tables of the report.
func sections() []section {
	seconds, cpu, rss := column{"s", "seconds"}, column{"CPU s/GB", "cpu_s_per_gb"}, column{"RSS MiB", "rss_mib"}
	ideal, efficiency := column{"T\\* s", "ideal_seconds"}, column{"T\\*/T", "efficiency"}
	speed, tail := column{"speed-up", "speed_up"}, column{"last 1 %: % of time", "tail_percent"}
	duplicates, peers := column{"duplicates %", "duplicate_percent"}, column{"peerd RSS MiB", "peer_rss_mib"}
	requests, sent := column{"requests", "requests"}, column{"origin sent %", "sent_percent"}
	shared := []column{ideal, seconds, efficiency, speed, {"ideal", "ideal_speed_up"}, tail, duplicates, requests, cpu, rss, peers}
	return []section{
		{
			"1. The own line alone", "1 GiB from an origin on the same machine that serves from memory (read and write: a program that does nothing else, a MiB at a time, and checks nothing), then 128 MiB over a line of 200 Mbit/s.",
			[]string{"1-unlimited", "1-shaped"},
			[]column{seconds, {"MB/s", "mb_per_s"}, cpu, rss, requests, {"wall / curl", "wall_over_curl"}, {"CPU / curl", "cpu_over_curl"}},
		},
		{
			"2. Equal lines: the curve", "256 MiB; the client's own line of 40 Mbit/s and none to eight peers with the same; one round. Speed-up is over curl on the own line.",
			[]string{"2-equal"},
			shared,
		},
		{
			"2. Equal lines: the figures", "256 MiB; four lines of 27 Mbit/s, eight of 13, so that T\\* is above 20 s with both.",
			[]string{"2-long"},
			shared,
		},
		{"3. Uneven lines", "256 MiB; own line 100 Mbit/s, peers 50, 20, 5 and 1.", []string{"3-uneven"}, shared},
		{
			"4, 5. Lines that change", "Own line and three peers, 40 Mbit/s each; T\\* is the fluid limit of the lines as they were. drop: 128 MiB, a peer's line falls to a hundredth half way. kill join: 128 MiB, a peer is killed at 35 %, another one is started at 65 %. changes: 256 MiB, a drop at 25 %, a kill at 50 %, a join at 70 %.",
			[]string{"4-drop", "5-kill-join", "10-changes"},
			append([]column{{"moved", "reassigned"}}, shared...),
		},
		{
			"6. A limit of connections", "256 MiB; each connection gets 2 MiB/s, the fifth of an address gets 503. Own line alone, then with three peers.",
			[]string{"6-limit", "6-limit-helpers"},
			[]column{ideal, seconds, efficiency, {"refused", "refused"}, requests, sent, duplicates, tail},
		},
		{
			"7. What the relay costs", "1 GiB through one peer over a LAN as fast as the machine, the file written to memory, by a peer that keeps nothing (`--store-size 0`) and by one that keeps it, as peers do; against raw TCP: frames of 256 KiB with a length and a CRC32C that is checked; gRPC alone: the same, but over gRPC with our settings, codec and buffers. CPU is peer and client together.",
			[]string{"7-relay"},
			[]column{seconds, {"MB/s", "mb_per_s"}, cpu, {"client", "client_cpu_s_per_gb"}, {"peer", "peer_cpu_s_per_gb"}, {"CPU / raw", "cpu_over_raw"}, {"speed / raw", "speed_over_raw"}, rss, peers},
		},
		{
			"8. Two clients at once", "96 MiB each, at the same moment, with three peers and both own lines of 40 Mbit/s. T\\* counts both; unfairness is the slower one's time over the faster one's.",
			[]string{"8-two-clients"},
			[]column{ideal, seconds, efficiency, {"unfairness", "unfairness"}, {"origin sent %", "sent_percent"}, duplicates},
		},
		{
			"9. Odd connections", "64 MiB from one source, eight connections (`-x 8`, `-x8 -s8 -k1M`, `-n8`) of 2 MiB/s each: all well; one freezes when 40 % are sent; one falls to 32 KiB/s then; every fifth request gets 32 KiB/s. The ideal is 4.2 s. All are given up after 20 s; others are measured in one round.",
			[]string{"9-plain", "9-freeze", "9-drop", "9-fifth"},
			[]column{seconds, {"over ideal", "over_ideal"}, requests, sent, duplicates, cpu},
		},
		{
			"Far peers", "512 MiB through one peer over a cable with a delay, given as a round trip, in user space; beside a raw TCP relay over the same cable.",
			[]string{"13-far"},
			[]column{seconds, {"MB/s", "mb_per_s"}, {"speed / raw", "speed_over_raw"}, rss, peers},
		},
		{
			"A part held by peers", "64 and 256 MiB of which two peers hold a part, left there by an earlier client; they bring the rest by their lines, over a LAN as fast as the machine.",
			[]string{"14-held"},
			[]column{seconds, {"from stores %", "stored_percent"}, duplicates},
		},
		{"One machine with two lines", "64 MiB over lines of 30 and 10 Mbit/s; speed-up is over the faster one.", []string{"11-two-lines"}, shared},
		{"Start", "8 MiB, own line and three peers; from the command to the first byte in the file.", []string{"12-start"}, []column{{"first byte ms", "first_byte_ms"}, seconds}},
	}
}
