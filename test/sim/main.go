// Command sim runs the scheduler against lines that exist in arithmetic only,
// says how close it came to the ideal, and draws the download.
//
//	scenario file \                                  /--> figures
//	seed ----------+--> sim.Scenario --> sim.Run ---+---> picture (SVG)
//	seeds A..B ---/                                  \--> the worst of many
//	       \--held--> client/flow/sim: plans for held pieces, compared
//
// Runs are exact: the same scenario or seed gives the same figures everywhere.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"ddm/client/schedule/sim"
)

const usage = `Simulates a download and says how close it came to the ideal.

  go run ./test/sim --scenario FILE.toml [--svg FILE]
  go run ./test/sim --seed N [--svg FILE]
  go run ./test/sim --seeds A..B
  go run ./test/sim --held --seeds A..B

Flags:
%s
T* is what the lines as they were could have done at best (a fluid limit), T
the time that the download took. test/sim/scenarios has examples. With --held others have the pieces already, and ways of
saying who sends what are compared: the maximum flow, the holder that finishes
first (greedy), the better of two random holders. Where rates change or
holders leave, which pieces are there by then is luck for each of them.

` + format

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

// order is what the command line asks for.
type order struct {
	scenario string
	seed     uint64
	seeds    string
	svg      string
	held     bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o order
	flags := pflag.NewFlagSet("sim", pflag.ContinueOnError)
	flags.StringVar(&o.scenario, "scenario", "", "run the scenario of this `FILE`")
	flags.Uint64Var(&o.seed, "seed", 0, "run the random scenario of this seed, `N`")
	flags.StringVar(&o.seeds, "seeds", "", "run the seeds `A..B`, both included, and name the worst")
	flags.StringVar(&o.svg, "svg", "", "draw the download into this `FILE`")
	flags.BoolVar(&o.held, "held", false, "fetch pieces that others hold, by different plans")
	flags.SortFlags = false
	flags.Usage = func() {}
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		_, err := fmt.Fprintf(out, usage, flags.FlagUsages())
		return err
	} else if err != nil {
		return fmt.Errorf("%w (--help lists the flags)", err)
	}
	given := 0
	for _, name := range []string{"scenario", "seed", "seeds"} {
		if flags.Changed(name) {
			given++
		}
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q: everything is said by flags (--help lists them)", flags.Arg(0))
	case given != 1:
		return errors.New("one of --scenario, --seed and --seeds says what to run (--help explains)")
	case o.held && (o.scenario != "" || o.svg != ""):
		return errors.New("--held knows seeds only, and draws nothing")
	case o.seeds != "" && o.svg != "":
		return errors.New("--svg draws one download: use it with --seed or --scenario")
	case o.seeds != "":
		first, last, err := parseSeeds(o.seeds)
		if err != nil {
			return err
		}
		if o.held {
			return held(ctx, first, last, out)
		}
		return many(ctx, first, last, out)
	case o.held:
		return held(ctx, o.seed, o.seed, out)
	}
	title, sc := fmt.Sprintf("seed %d", o.seed), sim.Random(o.seed)
	if o.scenario != "" {
		file, err := os.Open(o.scenario)
		if err != nil {
			return err
		}
		title, sc, err = read(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", o.scenario, err)
		}
		title = cmp.Or(title, o.scenario)
	}
	return one(title, sc, o.svg, out)
}

// parseSeeds reads A..B.
func parseSeeds(s string) (first, last uint64, err error) {
	a, b, ok := strings.Cut(s, "..")
	first, errA := strconv.ParseUint(a, 10, 64)
	last, errB := strconv.ParseUint(b, 10, 64)
	if !ok || errA != nil || errB != nil || first > last {
		return 0, 0, fmt.Errorf("--seeds: %q is not written A..B, such as 0..9999", s)
	}
	return first, last, nil
}
