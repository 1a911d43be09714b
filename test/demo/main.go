// Command demo shows ddm at work on one machine, without root: an origin that
// gives each address a narrow line, a tracker, three peers with an address
// each, and one download over all of them.
//
//	origin 127.0.0.1, a token bucket for each client address
//	  | 4 MiB/s     | 4 MiB/s    | 4 MiB/s   | 4 MiB/s
//	127.0.0.1    127.0.0.2    127.0.0.3   127.0.0.4
//	ddm-client <-- alice        bob         carol        (peerd)
//
// With -url it downloads that instead, over the machine's own line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// options say what is shown.
type options struct {
	url  string    // "": the demo's own origin
	size int64     // bytes of the demo's own file
	line int64     // bytes per second of each line to the demo's own origin
	out  io.Writer // the story
	err  io.Writer // the client's display
}

func main() {
	o := options{size: 160 << 20, line: 4 << 20, out: os.Stdout, err: os.Stderr}
	flag.StringVar(&o.url, "url", "", "download this `URL` instead of the demo's own file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "\nInterrupted. Every process has ended.")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "\nThe demo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "ddm-demo-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &fleet{dir: dir, out: o.out}
	defer func() {
		if ctx.Err() == nil && err != nil {
			err = errors.Join(err, f.logs())
		}
		cancel()
		f.running.Wait()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if o.url != "" {
		return showURL(ctx, f, o)
	}
	return showLines(ctx, f, o)
}
