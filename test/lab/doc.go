// Package lab runs the three programs on network namespaces (build tag lab,
// root): every machine with a line of its own to the origin, all on one LAN.
//
// Two modes, by the environment variable DDM_LAB:
//
//	correctness  (default) short downloads; bytes, statuses and events are
//	             asserted, never a time
//	figures      long downloads, judged against what curl gets on each line;
//	             ends with a table, median of DDM_LAB_ROUNDS (3) rounds
//	all          both
//
// DDM_LAB_BIN names a folder with programs to use (tracker, peerd, ddm-client,
// origin) instead of building them.
package lab
