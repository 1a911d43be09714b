// Package monitor serves what an operator and a supervisor ask a daemon over
// HTTP:
//
//	GET /metrics   the numbers of the registry handed in (Prometheus)
//	GET /healthz   200 while the process answers
//	GET /readyz    200 while it serves, else 503 with the reason
//
// It is built to be left open on a LAN: everything that a caller could stretch
// (headers, time, connections, scrapes at once) has a bound, nothing can be
// changed through it, and no profile or command line is shown.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"ddm/internal/errdefs"
)

// Bounds of one server.
const (
	maxConns       = 128
	maxHeaderBytes = 8 << 10
	maxScrapes     = 4 // at once; more get 503
	scrapeTimeout  = 10 * time.Second
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 20 * time.Second
	idleTimeout    = time.Minute
	stopTimeout    = time.Second
)

// Options say what is shown.
type Options struct {
	Metrics *prometheus.Registry // nil: /metrics is not served
	Ready   func() error         // nil func: always ready; a nil error: ready now
	Log     hclog.Logger         // nil: discards
}

// Run serves on lis until ctx is done, gives running requests a second to
// finish and returns nil. It takes over lis. It returns an error of kind
// errdefs.Unavailable if the listener breaks earlier.
func Run(ctx context.Context, lis net.Listener, o Options) error {
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	srv := &http.Server{
		Handler:           handler(o, log),
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := srv.Serve(netutil.LimitListener(lis, maxConns))
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("%w: monitor on %s: %w", errdefs.Unavailable, lis.Addr(), err)
	})
	g.Go(func() error {
		<-gctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(gctx), stopTimeout)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			log.Debug("cutting the last monitor requests", "error", err)
			return srv.Close()
		}
		return nil
	})
	return g.Wait()
}

func handler(o Options, log hclog.Logger) http.Handler {
	mux := http.NewServeMux()
	if o.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{
			ErrorLog:            log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
			ErrorHandling:       promhttp.ContinueOnError,
			MaxRequestsInFlight: maxScrapes,
			Timeout:             scrapeTimeout,
		}))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if o.Ready != nil {
			if err := o.Ready(); err != nil {
				say(w, http.StatusServiceUnavailable, err.Error())
				return
			}
		}
		say(w, http.StatusOK, "ready")
	})
	return mux
}

// say answers with one line of text.
func say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// Whoever asked may be gone; there is nobody to tell.
	_, _ = io.WriteString(w, text+"\n")
}
