package origin_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

// purse is a budget of some bytes.
type purse struct {
	mu   sync.Mutex
	left int
}

func (p *purse) Take(n int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, p.left)
	if n == 0 {
		return 0, fmt.Errorf("%w: nothing left", errdefs.Refused)
	}
	p.left -= n
	return n, nil
}

func (p *purse) Give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left += n
}

func (p *purse) Err() error {
	n, err := p.Take(1)
	p.Give(n)
	return err
}

func TestBudget(t *testing.T) {
	t.Parallel()
	f := origintest.NewFile(size, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/f": f, "/r": f.With(origintest.Fault{Status: 302, Location: "/f"}), "/e": f.With(origintest.Fault{Status: 500}),
	}})
	for _, tt := range []struct {
		path string
		left int
		kind errdefs.Kind // of the end
		read int64
	}{
		{"/f", 2 << 20, "", 1 << 20},
		{"/f", 1 << 20, "", 1 << 20},
		{"/f", 1<<20 - 1, errdefs.Refused, 1<<20 - 1},
		{"/f", 1, errdefs.Refused, 1},
		{"/f", 0, errdefs.Refused, 0},
	} {
		budget := &purse{left: tt.left}
		line := newLine(t, origin.LineConfig{Budget: budget})
		reply, err := line.Open(t.Context(), origin.Resource{URL: srv.URL + tt.path, Gen: pin(f)}, byterange.Range{Off: 5, Len: 1 << 20})
		var n int64
		if err == nil {
			n, err = readAll(t, reply, f)
		}
		if errdefs.KindOf(err) != tt.kind || n != tt.read || budget.left != tt.left-int(n) {
			t.Errorf("%d allowed: read %d, %d left, %v", tt.left, n, budget.left, err)
		}
	}

	budget := &purse{left: 1 << 20} // what nobody wants is paid for too
	line := newLine(t, origin.LineConfig{Budget: budget})
	if _, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/e"}); !errors.Is(err, errdefs.Unavailable) {
		t.Error(err)
	}
	before := budget.left
	reply, err := line.Open(t.Context(), origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}, byterange.Range{Len: 60 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := reply.Body.Close(); err != nil { // read off, to keep the connection
		t.Fatal(err)
	}
	if paid := before - budget.left; paid != 60<<10 {
		t.Errorf("paid for %d bytes of a reply that was read off", paid)
	}
}

// TestLimitsTogether: every limit binds, the lowest decides.
func TestLimitsTogether(t *testing.T) {
	t.Parallel()
	f := origintest.NewFile(size, 1)
	const slow = 4 << 20
	shared := rate.NewLimiter(slow, 64<<10)
	cfg := origin.LineConfig{Limits: []*rate.Limiter{rate.NewLimiter(8*slow, 256<<10), shared}}
	inBubble(t, f, cfg, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		began := time.Now()
		reply, err := line.Open(t.Context(), res, byterange.Range{Len: size})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reply.Body); err != nil {
			t.Fatal(err)
		}
		want := float64(size-64<<10) / slow
		if took := time.Since(began).Seconds(); took < want*0.97 || took > want*1.03 {
			t.Errorf("took %.3f s, want %.3f", took, want)
		}
		_ = reply.Body.Close()
	})
}
