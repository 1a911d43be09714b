// Command origin serves the files of the bench: at full speed straight from
// memory, or with the bad habits of real servers.
//
//	GET /KIND/SIZE/NAME        the file; KIND says how it is served
//	GET /stats/KIND/SIZE/NAME  what was counted of it, as JSON
//
// Kinds: plain (no limit), conn (2 MiB/s for each connection), and with that
// limit: limit (503 above four requests at a time for each address), freeze and
// drop (when 40 % are sent, one request freezes or falls to 32 KiB/s), fifth
// (every fifth request gets 32 KiB/s).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "origin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string) error {
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: newHandler(), ConnContext: withPace, ReadHeaderTimeout: 10 * time.Second}
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
