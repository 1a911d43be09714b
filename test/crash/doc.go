// Package crash holds tests that kill, stop, crowd and interrupt the real
// ddm-client, and its peers, and let it go on.
//
//	origin in the test (counts what it sends) <--- ddm-client, killed at random
//	                            ^                     |
//	                            '--- peerd, peerd <---'    tracker
//
// DDM_KILLS sets how often the client is killed (20), DDM_SEED repeats a run's
// choices.
package crash
