package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/test/lab/fileserver"
)

const aloneFor = 3 * time.Second // how long the own line is measured alone

// helper is one of the demo's peers.
type helper struct{ name, addr string }

func helpers() []helper {
	return []helper{{"alice", "127.0.0.2"}, {"bob", "127.0.0.3"}, {"carol", "127.0.0.4"}}
}

// showLines downloads the demo's own file over four throttled lines.
func showLines(ctx context.Context, f *fleet, o options) error {
	if err := checkAddresses(ctx); err != nil {
		return err
	}
	f.say("One machine wants a file of %s. Its own line brings %s/s.", humanize.IBytes(uint64(o.size)), humanize.IBytes(uint64(o.line)))
	f.say("Three helpers on its LAN have lines of their own, as narrow as that.\n")
	f.say("[1/5] Building tracker, peerd and ddm-client.")
	if err := f.build(ctx); err != nil {
		return err
	}
	srv := fileserver.New(float64(o.line), nil)
	base, closeOrigin, err := serve(ctx, srv)
	if err != nil {
		return err
	}
	defer closeOrigin()
	path := fmt.Sprintf("/ranges/%d/demo.bin", o.size)
	f.say("[2/5] The origin is %s; each address that asks gets %s/s.", base, humanize.IBytes(uint64(o.line)))
	if err := f.startTracker(ctx); err != nil {
		return err
	}
	for _, h := range helpers() {
		if err := f.startPeer(ctx, h.name, "--interface", h.addr, "--allow-origin", "127.0.0.0/8"); err != nil {
			return err
		}
	}
	if err := f.awaitPeers(ctx, len(helpers())); err != nil {
		return err
	}
	f.say("[3/5] A tracker is at %s; the peers alice, bob and carol use 127.0.0.2, .3 and .4.", f.tracker)
	rate, err := alone(ctx, base+path)
	if err != nil {
		return err
	}
	expected := float64(o.size) / rate
	f.say("[4/5] Measured: this machine's line alone brings %s/s, so the file would take %.0f s.", humanize.IBytes(uint64(rate)), expected)
	before := srv.Served()
	seconds, err := download(ctx, f, o, base+path, "--dir", f.dir, "--interface", "127.0.0.1")
	if err != nil {
		return err
	}
	if err := checkDigest(f, path); err != nil {
		return err
	}
	report(f, before, srv.Served())
	f.say("\n%.1f s instead of %.0f s: %.1f times as fast as the own line.", seconds, expected, expected/seconds)
	return nil
}

// showURL downloads what the user named.
func showURL(ctx context.Context, f *fleet, o options) error {
	f.say("[1/3] Building tracker, peerd and ddm-client.")
	if err := f.build(ctx); err != nil {
		return err
	}
	if err := f.startTracker(ctx); err != nil {
		return err
	}
	for _, h := range helpers() {
		if err := f.startPeer(ctx, h.name); err != nil {
			return err
		}
	}
	if err := f.awaitPeers(ctx, len(helpers())); err != nil {
		return err
	}
	f.say("[2/3] A tracker is at %s, with the peers alice, bob and carol.", f.tracker)
	f.say("      All of them stand on this machine and share its one line: expect the right file, and no more speed.")
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	_, err = download(ctx, f, o, o.url, "--dir", dir, "--digest")
	return err
}

// checkAddresses finds out whether the helpers' addresses can be used.
func checkAddresses(ctx context.Context) error {
	var lc net.ListenConfig
	var missing []string
	for _, h := range helpers() {
		lis, err := lc.Listen(ctx, "tcp", h.addr+":0")
		if err != nil {
			missing = append(missing, h.addr)
			continue
		}
		if err := lis.Close(); err != nil {
			return err
		}
	}
	if missing == nil {
		return nil
	}
	var msg strings.Builder
	fmt.Fprintf(&msg, "this machine does not answer on %s, which the helpers need as addresses of their own", strings.Join(missing, ", "))
	if runtime.GOOS == "darwin" {
		msg.WriteString("\nOn macOS add them first, and take them away afterwards with -alias:")
		for _, addr := range missing {
			fmt.Fprintf(&msg, "\n  sudo ifconfig lo0 alias %s up", addr)
		}
	}
	return errors.New(msg.String())
}

// serve runs the origin on a free port of 127.0.0.1.
func serve(ctx context.Context, h http.Handler) (base string, stop func(), err error) {
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(lis) // ends with stop; a download that fails before says why
	}()
	return "http://" + lis.Addr().String(), func() { _ = srv.Close(); <-ended }, nil
}

// alone measures what one plain GET brings, in bytes per second.
func alone(ctx context.Context, url string) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	// What the line sends in one burst when it was idle does not count.
	if _, err := io.CopyN(io.Discard, res.Body, 256<<10); err != nil {
		return 0, err
	}
	start, n, buf := time.Now(), 0, make([]byte, 32<<10)
	for time.Since(start) < aloneFor {
		m, err := res.Body.Read(buf)
		n += m
		if err != nil {
			break // a small file ends early
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// download runs the client in the foreground and says how long it took.
func download(ctx context.Context, f *fleet, o options, url string, flags ...string) (seconds float64, err error) {
	args := append(append([]string{"--insecure", "--tracker", f.tracker}, flags...), url)
	step := "[5/5]"
	if o.url != "" {
		step = "[3/3]"
	}
	f.say("%s ddm-client --insecure --tracker %s %s\n", step, f.tracker, url)
	cmd := f.command(ctx, "ddm-client", args...)
	cmd.Stdout, cmd.Stderr = o.out, o.err
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("ddm-client: %w", err)
	}
	return time.Since(start).Seconds(), nil
}

func checkDigest(f *fleet, path string) error {
	content, err := fileserver.Parse(path)
	if err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(f.dir, content.Name))
	if err != nil {
		return err
	}
	defer file.Close()
	want, err := digest(content.Reader())
	if err != nil {
		return err
	}
	got, err := digest(file)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the file's SHA-256 is %s, the origin's is %s", got, want)
	}
	f.say("\nThe SHA-256 agrees with the origin's: %s", got)
	return nil
}

func digest(r io.Reader) (string, error) {
	h := sha256.New()
	_, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), err
}

// report says which line brought how much, by the origin's own count.
func report(f *fleet, before, after map[string]int64) {
	var total int64
	for addr := range after {
		total += after[addr] - before[addr]
	}
	f.say("\nWhat the origin sent to each line:")
	for _, h := range append([]helper{{"this machine", "127.0.0.1"}}, helpers()...) {
		n := after[h.addr] - before[h.addr]
		f.say("  %-13s %-10s %9s %5.1f %%", h.name, h.addr, humanize.IBytes(uint64(n)), 100*float64(n)/float64(max(total, 1)))
	}
}
