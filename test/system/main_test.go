package system_test

import (
	"os"
	"runtime"
	"testing"
)

// TestMain keeps the race detector to one thread at a time. In a bubble of
// synctest, Go 1.26 runs a timer that is due at once where it is made, and two
// threads that do so together share one state of the detector and crash. What
// runs beside what is as the scheduler has it, and races are found all the same.
func TestMain(m *testing.M) {
	if raced {
		runtime.GOMAXPROCS(1)
	}
	os.Exit(m.Run())
}
