package system_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"ddm/client"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	"ddm/internal/shares"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

// sharer is a machine that offers local files.
type sharer struct {
	w     *world
	name  string
	shelf *offer.Shelf
	lan   *wire
	stop  func()
}

// sharer starts one that offers a folder, over a wire of that rate; 0: any.
func (w *world) sharer(name, folder string, rate float64) *sharer {
	w.t.Helper()
	s := &sharer{w: w, name: name, shelf: offer.NewShelf(), lan: newWire(rate)}
	w.lans.Store(name+":7430", s.lan)
	srv, err := peer.New(peer.Config{
		Name: name, NoLines: true, Shelf: s.shelf, Share: []string{folder}, Trackers: []string{trackerAddr}, Advertise: name + ":7430",
		Listener: w.net.listen(name + ":7430"), Log: w.log.Named(name), DialTracker: w.net.dial,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.serve(name, srv.Run)
	s.stop = sync.OnceFunc(func() {
		end()
		s.shelf.Close()
	})
	w.t.Cleanup(s.stop)
	<-srv.Shared().Ready()
	return s
}

func (s *sharer) dialTracker() (*grpc.ClientConn, error) {
	conn, err := rpc.Dial("passthrough:///"+trackerAddr, rpc.Options{Role: rpc.Control},
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return s.w.net.dial(ctx, addr) }))
	if err == nil {
		s.w.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// folder makes one that holds f under a name, untouched for long.
func (w *world) folder(name string, f origintest.File) string {
	w.t.Helper()
	dir := w.t.TempDir()
	b := make([]byte, f.Size)
	f.Fill(b, 0)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

func digestOf(f origintest.File) [sha256.Size]byte {
	b := make([]byte, f.Size)
	f.Fill(b, 0)
	return sha256.Sum256(b)
}

// listed waits until the trackers list so many holders of a file.
func (u *user) listed(word string, holders int) *client.Shared {
	u.w.t.Helper()
	for range 100 {
		if found, err := u.c.Find(u.w.t.Context(), word); err == nil && found.Count >= holders {
			return found
		}
		time.Sleep(100 * time.Millisecond)
	}
	u.w.t.Fatalf("%s is not listed", word)
	return nil
}

func (u *user) fetch(found *client.Shared, a *account) error {
	err := u.c.Download(u.w.t.Context(), client.Job{Shared: found, Dir: u.w.dir}, a)
	a.check(u.w.t, err)
	return err
}

// TestSharedFile comes from all its holders at once, by name and by digest,
// and no origin is asked for anything.
func TestSharedFile(t *testing.T) {
	f := origintest.NewFile(24*mib+99, 8)
	bubble(t, nil, func(w *world) {
		w.tracker()
		dir := w.folder("big.iso", f)
		for _, name := range []string{"a", "b", "c"} {
			w.sharer(name, dir, 2*mib)
		}
		u := w.user(mib, nil)
		found := u.listed("ddm:big.iso", 3)
		if found.Size != f.Size || found.SHA256 != digestOf(f) || found.Name != "big.iso" {
			w.t.Errorf("found %+v", found)
		}
		if same, err := u.c.Find(w.t.Context(), found.Digest().String()); err != nil || *same != *found {
			w.t.Errorf("by digest: %+v, %v", same, err)
		}
		a := &account{}
		if err := u.fetch(found, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("big.iso", f)
		w.t.Log(a)
		for _, name := range []string{"a", "b", "c"} {
			if n := a.brought(name); n < f.Size/6 {
				w.t.Errorf("%s brought %d bytes of %d", name, n, f.Size)
			}
		}
		if n := w.origin.Total(); n != 0 || a.done.Origin != 0 || a.done.Identity != "digest" {
			w.t.Errorf("%d requests, %d bytes of an origin, identity %s", n, a.done.Origin, a.done.Identity)
		}
		if _, err := u.c.Find(w.t.Context(), "ddm:nothing"); !errors.Is(err, errdefs.NotFound) {
			w.t.Errorf("what nobody offers: %v", err)
		}
	})
}

// TestSharerLeaves: the others go on, and the list forgets it at once.
func TestSharerLeaves(t *testing.T) {
	f := origintest.NewFile(24*mib, 9)
	bubble(t, nil, func(w *world) {
		w.tracker()
		dir := w.folder("f.bin", f)
		first := w.sharer("a", dir, mib)
		w.sharer("b", dir, mib)
		u := w.user(mib, nil)
		found := u.listed("ddm:f.bin", 2)
		a := &account{}
		a.once(0.3, func() {
			w.net.drop("a:7430")
			first.lan.setDead(true)
			first.lan.cut()
		})
		if err := u.fetch(found, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		first.stop()
		if left := u.listed("ddm:f.bin", 1); left.Count != 1 {
			w.t.Errorf("%d holders are listed", left.Count)
		}
	})
}

// lying is a content of which some bytes are wrong.
type lying struct {
	f    origintest.File
	from int64
}

func (l lying) ReadAt(p []byte, off int64) (int, error) {
	l.f.Fill(p, off)
	for i := range p {
		if off+int64(i) >= l.from {
			p[i] ^= 1
		}
	}
	return len(p), nil
}

func (l lying) Have() (s byterange.Set) {
	s.Add(byterange.Range{Len: l.f.Size})
	return s
}

func (lying) Changed() <-chan struct{} { return nil }

// TestLyingSharer gives other bytes than those it is listed with: it is named,
// and the file is right all the same.
func TestLyingSharer(t *testing.T) {
	f := origintest.NewFile(16*mib, 10)
	bubble(t, nil, func(w *world) {
		w.tracker()
		dir := w.folder("f.bin", f)
		for _, name := range []string{"a", "b"} {
			w.sharer(name, dir, mib)
		}
		liar := w.sharer("liar", w.t.TempDir(), mib)
		item := shares.Item{SHA256: digestOf(f), Size: f.Size, Name: "f.bin"}
		withdraw, _ := liar.shelf.Put(item.URL(), item.Generation(), lying{f, 4 * mib})
		w.t.Cleanup(withdraw)
		conn, err := liar.dialTracker()
		if err != nil {
			w.t.Fatal(err)
		}
		stream, err := ddmv1.NewShareServiceClient(conn).Offer(w.t.Context())
		for _, req := range []*ddmv1.OfferRequest{
			{Step: &ddmv1.OfferRequest_Begin_{Begin: &ddmv1.OfferRequest_Begin{Id: "liar", Name: "liar", Address: "liar:7430"}}},
			{Step: &ddmv1.OfferRequest_Change_{Change: &ddmv1.OfferRequest_Change{
				Came: []*ddmv1.SharedFile{{Sha256: item.SHA256[:], Size: item.Size, Name: item.Name}},
			}}},
		} {
			if err == nil {
				err = stream.Send(req)
			}
		}
		if err != nil {
			w.t.Fatal(err)
		}
		u := w.user(mib, nil)
		found := u.listed("ddm:f.bin", 3)
		a := &account{replaced: true, retracted: true}
		if err := u.fetch(found, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.moves, a.notes)
		if !slices.ContainsFunc(a.done.Notes, func(s string) bool { return strings.Contains(s, "liar") }) {
			w.t.Errorf("nobody names the liar: %q", a.done.Notes)
		}
	})
}
