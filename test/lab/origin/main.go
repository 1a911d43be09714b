// Command origin is the origin of the outside tests as a program of its own:
// computed files at /ranges/SIZE/NAME (ranges, strong ETag) and
// /plain/SIZE/NAME (no ranges), /healthz, and a log of every request.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ddm/test/lab/fileserver"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	logFile := flag.String("log", "", "append one JSON object per request start and end to this file")
	perClient := flag.Float64("rate", 0, "bytes per second for each client address; 0: no limit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *logFile, *perClient); err != nil {
		fmt.Fprintln(os.Stderr, "origin:", err)
		os.Exit(1) //nolint:gocritic // the process ends either way
	}
}

func run(ctx context.Context, listen, logFile string, perClient float64) error {
	var log io.Writer
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		log = f
	}
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: fileserver.New(perClient, log), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, "origin ready at", lis.Addr())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	select {
	case err = <-served:
	case <-ctx.Done():
		err = srv.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
