//go:build lab && linux

package lab_test

import (
	"strconv"
	"testing"
	"time"

	"ddm/test/lab/netlab"
)

// TestFarPeer: a peer behind a cable that takes 20 ms each way.
func TestFarPeer(t *testing.T) {
	correctness(t)
	const delay = 20 * time.Millisecond
	c := newCluster(t, hosts(slow, 2*slow))
	far := c.lab.AddFar(t, "client", "p1", delay, 100*netlab.Mbit)
	c.startTracker(t)
	c.peers["p1"] = c.lab.Host("p1").Start(t, nil, binary(t, "peerd"), "--insecure",
		"--tracker", c.trackerAddr(), "--name", "p1", "--state-dir", t.TempDir(),
		"--allow-origin", netlab.OriginAddr+"/32", "--advertise", far.B+":7430")
	c.awaitPeers(t, "p1")

	// No packet can be too early, however busy the machine is.
	out, _ := c.lab.Host("client").Output(t.Context(), "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{time_connect}", "http://"+far.B+":7430/")
	if connect, err := strconv.ParseFloat(out, 64); err != nil || connect < 2*delay.Seconds() {
		t.Errorf("connecting took %q s (%v), less than a round trip of %v", out, err, 2*delay)
	}
	everyone(t, c.get(t, file).succeed(t), "local", "p1")
}
