//go:build linux

package main

import "ddm/test/bench/figure"

// goals are the figures to reach.
func goals() []figure.Goal {
	at := func(c, variant, metric string) []figure.Place {
		return []figure.Place{{Case: c, Variant: variant, Metric: metric}}
	}
	least := func(what string, bound float64, source []figure.Place) figure.Goal {
		return figure.Goal{What: what, Source: source, Least: true, Bound: bound}
	}
	most := func(what string, bound float64, unit string, source []figure.Place) figure.Goal {
		return figure.Goal{What: what, Source: source, Bound: bound, Unit: unit}
	}
	worst := func(what string, bound float64, unit string, source []figure.Place) figure.Goal {
		return figure.Goal{What: what, Source: source, Worst: true, Bound: bound, Unit: unit}
	}
	return []figure.Goal{
		least("4 equal lines, 256 MiB: T*/T", 0.97, at("2-long", linesOf(4), "efficiency")),
		least("8 equal lines, 256 MiB: T*/T", 0.97, at("2-long", linesOf(8), "efficiency")),
		least("lines of 100/50/20/5/1 Mbit/s: T*/T", 0.97, at("3-uneven", ddm, "efficiency")),
		least("a drop to a hundredth, a kill, a join, all in one run: T*/T", 0.93, at("10-changes", ddm, "efficiency")),
		most("last 1 % of the bytes: share of the time", 2, " %", steady("tail_percent")),
		most("duplicate bytes: typical", 1, " %", shared("duplicate_percent")),
		worst("duplicate bytes: worst", 2, " %", shared("duplicate_percent")),
		least("one machine, lines of 30 and 10 Mbit/s: T*/T", 0.97, at("11-two-lines", ddm, "efficiency")),
		most("one of 8 connections freezes at 40 %: T over 4.2 s", 1.5, "", at("9-freeze", ddm, "over_ideal")),
		most("one of 8 connections drops to 32 KiB/s: T over 4.2 s", 1.25, "", at("9-drop", ddm, "over_ideal")),
		most("every fifth request gets 32 KiB/s: T over 4.2 s", 1.25, "", at("9-fifth", ddm, "over_ideal")),
		least("503 above 4 connections, 2 MiB/s each, own line: T*/T", 0.95, at("6-limit", ddm, "efficiency")),
		worst("503 above 4 connections, own line: refusals, worst run", 9, "", at("6-limit", ddm, "refused")),
		least("503 above 4 connections, own line and three peers: T*/T", 0.95, at("6-limit-helpers", ddm, "efficiency")),
		worst("503 above 4 connections, four sources: refusals, worst run", 9, "", at("6-limit-helpers", ddm, "refused")),
		most("no peers, unlimited local origin, 1 GiB: wall over curl's", 0.85, "", at("1-unlimited", ddm, "wall_over_curl")),
		most("no peers, unlimited local origin, 1 GiB: CPU over curl's", 0.80, "", at("1-unlimited", ddm, "cpu_over_curl")),
		most("no peers, shaped line: wall over curl's", 1.01, "", at("1-shaped", ddm, "wall_over_curl")),
		most("relay, file written: CPU over a raw-TCP relay's", 1.45, "", at("7-relay", ddm, "cpu_over_raw")),
		least("relay, file written: throughput over a raw-TCP relay's", 0.65, at("7-relay", ddm, "speed_over_raw")),
		most("from the command to the first byte written, peers present", 50, " ms", at("12-start", ddm, "first_byte_ms")),
	}
}

// steady are the downloads by several sources whose lines stay as they are.
func steady(metric string) []figure.Place {
	places := []figure.Place{
		{Case: "3-uneven", Variant: ddm, Metric: metric},
		{Case: "11-two-lines", Variant: ddm, Metric: metric},
		{Case: "2-long", Variant: linesOf(4), Metric: metric},
		{Case: "2-long", Variant: linesOf(8), Metric: metric},
	}
	for lines := 2; lines <= helpers+1; lines++ {
		places = append(places, figure.Place{Case: "2-equal", Variant: linesOf(lines), Metric: metric})
	}
	return places
}

// shared are all downloads by several sources or connections.
func shared(metric string) []figure.Place {
	places := steady(metric)
	for _, c := range []string{"4-drop", "5-kill-join", "6-limit", "6-limit-helpers", "9-plain", "9-freeze", "9-drop", "9-fifth", "10-changes"} {
		places = append(places, figure.Place{Case: c, Variant: ddm, Metric: metric})
	}
	for _, way := range []string{byAll, byPeers} {
		for _, size := range []int64{64, 256} {
			places = append(places, figure.Place{Case: "14-held", Variant: held(size*mib, way), Metric: metric})
		}
	}
	return places
}
