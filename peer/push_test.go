package peer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"ddm/internal/errdefs"
	"ddm/internal/shares"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

func pushOf(name string, size int64, sum []byte) *ddmv1.PushRequest {
	return &ddmv1.PushRequest{File: &ddmv1.SharedFile{Sha256: sum, Size: size, Name: name}}
}

func someSum() []byte { return bytes.Repeat([]byte{7}, sha256.Size) }

func TestCheckPush(t *testing.T) {
	for _, tc := range []struct {
		name string
		req  *ddmv1.PushRequest
		as   string // "": refused
	}{
		{"plain", pushOf("a.iso", 1, someSum()), "a.iso"},
		{"out of the folder", pushOf("../../etc/passwd", 1, someSum()), "passwd"},
		{"an absolute path", pushOf("/etc/passwd", 1, someSum()), "passwd"},
		{"another system's path", pushOf(`..\..\boot.ini`, 1, someSum()), "boot.ini"},
		{"dots", pushOf("..", 1, someSum()), "download"},
		{"hidden", pushOf(".bashrc", 1, someSum()), "bashrc"},
		{"a side file", pushOf(".a.iso.ddm-part", 1, someSum()), "a.iso.ddm-part"},
		{"control characters", pushOf("a\x1b[2J\n.iso", 1, someSum()), "a[2J.iso"},
		{"no name", pushOf("", 1, someSum()), ""},
		{"a long name", pushOf(strings.Repeat("a", 256), 1, someSum()), ""},
		{"empty", pushOf("a", 0, someSum()), ""},
		{"less than nothing", pushOf("a", -1, someSum()), ""},
		{"half a digest", pushOf("a", 1, someSum()[:16]), ""},
		{"no file", &ddmv1.PushRequest{}, ""},
		{"nothing", nil, ""},
	} {
		item, err := peer.CheckPush(tc.req)
		if (err == nil) != (tc.as != "") || item.Name != tc.as || err != nil && !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%s: %q, %v", tc.name, item.Name, err)
		}
	}
}

// FuzzPush: what passes is one component within a folder, of some length.
func FuzzPush(f *testing.F) {
	for _, req := range []*ddmv1.PushRequest{pushOf("a.iso", 5, someSum()), pushOf("../x", 1, someSum()), pushOf("", -1, nil)} {
		raw, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := new(ddmv1.PushRequest)
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		item, err := peer.CheckPush(req)
		if err != nil {
			if !errors.Is(err, errdefs.Invalid) {
				t.Errorf("kind %v", errdefs.KindOf(err))
			}
			return
		}
		if !filepath.IsLocal(item.Name) || filepath.Base(item.Name) != item.Name || strings.HasPrefix(item.Name, ".") || item.Size < 1 {
			t.Errorf("passed: %+v", item)
		}
	})
}

// receiverFunc is a peer.Receiver.
type receiverFunc func(ctx context.Context, item shares.Item, here func(int64)) (peer.Received, error)

func (f receiverFunc) Receive(ctx context.Context, item shares.Item, here func(int64)) (peer.Received, error) {
	return f(ctx, item, here)
}

// pushed is a call and what came of it.
type pushed struct {
	accepted bool
	progress []int64
	kept     *ddmv1.PushResponse_Kept
	err      error
}

func (w *world) push(ctx context.Context, req *ddmv1.PushRequest) (p pushed) {
	stream, err := ddmv1.NewPushServiceClient(w.conn).Push(ctx, req)
	for err == nil {
		var msg *ddmv1.PushResponse
		if msg, err = stream.Recv(); err != nil {
			break
		}
		switch ev := msg.GetEvent().(type) {
		case *ddmv1.PushResponse_Accepted_:
			p.accepted = true
		case *ddmv1.PushResponse_Progress_:
			p.progress = append(p.progress, ev.Progress.GetBytes())
		case *ddmv1.PushResponse_Kept_:
			p.kept = ev.Kept
		}
	}
	if !errors.Is(err, io.EOF) {
		p.err = errdefs.FromStatus(err)
	}
	return p
}

func TestPushIsRefusedWithoutAReceiver(t *testing.T) {
	inBubble(t, peer.Config{NoLines: true}, nil, func(t *testing.T, w *world) {
		got := w.push(t.Context(), pushOf("a", 1, someSum()))
		if !errors.Is(got.err, errdefs.Refused) || !strings.Contains(got.err.Error(), "--receive") || got.accepted {
			t.Errorf("%+v", got)
		}
	})
}

// TestPushTellsHowItGoes: progress as it comes, a sign of life where none does,
// and the end.
func TestPushTellsHowItGoes(t *testing.T) {
	receive := receiverFunc(func(_ context.Context, item shares.Item, here func(int64)) (peer.Received, error) {
		for i := range int64(10) {
			here(i)
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		here(99) // more than there is
		time.Sleep(time.Second)
		return peer.Received{Path: "/nowhere/" + item.Name, Already: true}, nil
	})
	inBubble(t, peer.Config{NoLines: true, Receiver: receive}, nil, func(t *testing.T, w *world) {
		got := w.push(t.Context(), pushOf("a", 10, someSum()))
		n := len(got.progress)
		if got.err != nil || !got.accepted || !got.kept.GetAlready() || n < 19 || n > 40 || got.progress[n-1] != 10 {
			t.Errorf("%d messages: %+v", n, got)
		}
		if strings.Contains(fmt.Sprint(got), "nowhere") {
			t.Error("a path is told")
		}
	})
}

// TestPushEnds whatever ends it: an error of which no path is told, the pusher,
// the peer.
func TestPushEnds(t *testing.T) {
	stopped := make(chan struct{}, 1)
	receive := receiverFunc(func(ctx context.Context, item shares.Item, _ func(int64)) (peer.Received, error) {
		if item.Name == "full" {
			return peer.Received{}, fmt.Errorf("%w: /srv/in/full", errdefs.NoSpace)
		}
		<-ctx.Done()
		stopped <- struct{}{}
		return peer.Received{}, ctx.Err()
	})
	inBubble(t, peer.Config{NoLines: true, Receiver: receive}, nil, func(t *testing.T, w *world) {
		if got := w.push(t.Context(), pushOf("full", 1, someSum())); !errors.Is(got.err, errdefs.NoSpace) || strings.Contains(got.err.Error(), "srv") {
			t.Errorf("%+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := w.push(ctx, pushOf("a", 1, someSum())); !errors.Is(got.err, context.DeadlineExceeded) {
			t.Errorf("%+v", got)
		}
		<-stopped
		go func() {
			time.Sleep(time.Second)
			_ = w.end()
		}()
		if got := w.push(t.Context(), pushOf("b", 1, someSum())); !errors.Is(got.err, errdefs.Unavailable) {
			t.Errorf("%+v", got)
		}
		<-stopped
	})
}

// TestPushBounds: so many at once, and whoever comes then is told to wait.
func TestPushBounds(t *testing.T) {
	receive := receiverFunc(func(context.Context, shares.Item, func(int64)) (peer.Received, error) {
		time.Sleep(time.Minute)
		return peer.Received{Path: "/nowhere"}, nil
	})
	inBubble(t, peer.Config{NoLines: true, Receiver: receive}, nil, func(t *testing.T, w *world) {
		results := make(chan pushed)
		for i := range 5 {
			go func() { results <- w.push(t.Context(), pushOf(fmt.Sprint(i), 1, someSum())) }()
		}
		synctest.Wait()
		first := <-results
		wait, ok := errdefs.RetryAfterOf(first.err)
		if !errors.Is(first.err, errdefs.Busy) || !ok || wait <= 0 {
			t.Errorf("%+v", first)
		}
		for range 4 {
			if got := <-results; got.err != nil || got.kept == nil {
				t.Errorf("%+v", got)
			}
		}
	})
}
