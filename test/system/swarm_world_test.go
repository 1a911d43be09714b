package system_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ddm/client"
	"ddm/internal/byterange"
	"ddm/internal/offer"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/peer"
)

// swarmer is a client on a machine of its own that serves what it downloads.
type swarmer struct {
	*user
	name string
	dir  string
	lan  *wire // its LAN port, towards those who fetch from it
	a    *account
	err  error
	took time.Duration
	end  func() // of its server
	job  client.Job
	ctx  context.Context //nolint:containedctx // it ends with the machine
	kill context.CancelFunc

	began time.Time
	over  func() // called when nothing is shared any more; nil: not
}

// swarmer starts one whose own line brings rate, and whose LAN port sends lan
// bytes per second; 0: no limit.
func (w *world) swarmer(name string, rate, lan float64, change func(*client.Options)) *swarmer {
	w.t.Helper()
	shelf := offer.NewShelf()
	return w.swarmerWith(name, rate, lan, shelf, shelf, change)
}

// liar starts one that says it has all of /f.bin, and gives wrong bytes.
func (w *world) lyingSwarmer(name string, rate float64, f origintest.File) *swarmer {
	w.t.Helper()
	served := offer.NewShelf()
	gen := origin.Generation{Size: f.Size, ETag: f.ETag, LastModified: f.Modified.Format(http.TimeFormat)}
	withdraw, ok := served.Put("http://"+originHost+"/f.bin", gen, forged{origintest.NewFile(f.Size, 4711)})
	if !ok {
		w.t.Fatal("nothing to lie about")
	}
	s := w.swarmerWith(name, rate, 0, offer.NewShelf(), served, nil)
	w.t.Cleanup(withdraw) // before it is closed
	return s
}

// forged is all of a file, which nobody offers.
type forged struct{ origintest.File }

func (c forged) Have() (all byterange.Set) {
	all.Add(byterange.Range{Len: c.Size})
	return all
}

func (c forged) Changed() <-chan struct{} { return nil }

// swarmerWith puts what it downloads on one shelf and serves another one.
func (w *world) swarmerWith(name string, rate, lan float64, shelf, served *offer.Shelf, change func(*client.Options)) *swarmer {
	w.t.Helper()
	s := &swarmer{name: name, dir: w.t.TempDir(), lan: newWire(lan), a: &account{}}
	s.job = client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: s.dir}
	addr := name + ":7431"
	w.lans.Store(addr, s.lan)
	srv, err := peer.New(peer.Config{
		Name: name, NoLines: true, Shelf: served, Advertise: addr, Listener: w.net.listen(addr), Log: w.log.Named(name),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.serve(name, srv.Run)
	s.end = sync.OnceFunc(func() {
		s.lan.thaw()
		end()
		shelf.Close()
		served.Close()
	})
	w.t.Cleanup(s.end)
	s.user = w.user(rate, func(o *client.Options) {
		o.Share = &client.Sharing{Shelf: shelf, Serve: func() (string, error) { return addr, nil }, Name: name}
		o.Log = w.log.Named(name)
		if change != nil {
			change(o)
		}
	})
	s.ctx, s.kill = context.WithCancel(w.t.Context())
	return s
}

// dies cuts every connection of the machine and ends its download.
func (s *swarmer) dies() {
	s.w.net.drop(s.name + ":7431")
	for _, line := range []*wire{s.lan, s.wan} {
		line.setDead(true)
		line.cut()
	}
	s.kill()
}

// get downloads /f.bin into the sharer's own folder.
func (s *swarmer) get() {
	s.began = time.Now()
	s.err = s.c.Download(s.ctx, s.job, s.a)
	s.took = time.Since(s.began)
	s.a.check(s.w.t, s.err)
}

// all downloads with several at once, each after its delay, and waits for them
// and for what they share.
func (w *world) all(list []*swarmer, after ...time.Duration) {
	var getting sync.WaitGroup
	for i, s := range list {
		getting.Go(func() {
			if i < len(after) {
				time.Sleep(after[i])
			}
			s.get()
			s.c.Linger(s.ctx, func(string) {})
			if s.over != nil {
				s.over()
			}
		})
	}
	getting.Wait()
}

// same checks a finished file byte by byte.
func (s *swarmer) same(f origintest.File) {
	s.w.t.Helper()
	if s.err != nil {
		s.w.t.Errorf("%s: %v", s.name, s.err)
		return
	}
	got, err := os.ReadFile(filepath.Join(s.dir, "f.bin"))
	if err != nil {
		s.w.t.Error(err)
		return
	}
	if int64(len(got)) != f.Size || !f.Verify(got, 0) {
		s.w.t.Errorf("%s: %d bytes, wrong content or not %d", s.name, len(got), f.Size)
	}
	if left := s.leftovers(); len(left) > 0 {
		s.w.t.Errorf("%s: left behind are %v", s.name, left)
	}
	s.w.t.Logf("%s: %v %v %v", s.name, s.a, s.took, s.a.notes)
}

// lanRate is what a LAN port sends per second.
const lanRate = 125e6

// swarmers starts n of them.
func (w *world) swarmers(n int, rate float64) []*swarmer {
	var list []*swarmer
	for i := range n {
		list = append(list, w.swarmer(fmt.Sprint("c", i), rate, lanRate, nil))
	}
	return list
}

// copies is how often the bytes of a file left the origin.
func (w *world) copies(f origintest.File) float64 {
	return float64(w.origin.Sent()) / float64(f.Size)
}
