package system_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	"ddm/internal/shares"
	ddmv1 "ddm/proto/ddm/v1"
)

// crook is a holder that has what a test says, and says of it what a test says.
type crook struct {
	ddmv1.UnimplementedPieceServiceServer
	has  func(off int64, p []byte) // changes bytes of the file; nil: none
	says func(i int, sum []byte)   // changes the digest of a piece; nil: none
	mute bool                      // says nothing
	late time.Duration             // before it says it

	f    origintest.File
	rate float64
}

// ListPieces says what the pieces hash to.
func (c *crook) ListPieces(context.Context, *ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error) {
	if c.mute {
		return nil, fmt.Errorf("%w: nothing is said here", errdefs.NotFound)
	}
	time.Sleep(c.late)
	res := &ddmv1.ListPiecesResponse{Size: c.f.Size, PieceLength: mib}
	for i, off := 0, int64(0); off < c.f.Size; i, off = i+1, off+mib {
		sum := sha256.Sum256(c.f.Bytes(off, int(min(mib, c.f.Size-off))))
		if c.says != nil {
			c.says(i, sum[:])
		}
		res.Sums = append(res.Sums, sum[:]...)
	}
	return res, nil
}

// lie is one whose list is of what it has.
func lie(f origintest.File, has func(off int64, p []byte)) *crook {
	return &crook{has: has, says: func(i int, sum []byte) {
		off := int64(i) * mib
		p := f.Bytes(off, int(min(mib, f.Size-off)))
		has(off, p)
		fresh := sha256.Sum256(p)
		copy(sum, fresh[:])
	}}
}

// silent is one that brings nothing of what it says.
func silent(f origintest.File) *crook {
	c := lie(f, everything)
	c.has = func(int64, []byte) { time.Sleep(time.Hour) }
	return c
}

func everything(_ int64, p []byte) {
	for i := range p {
		p[i] ^= 1
	}
}

// at changes one byte.
func at(where int64) func(off int64, p []byte) {
	return func(off int64, p []byte) {
		if off <= where && where < off+int64(len(p)) {
			p[where-off] ^= 1
		}
	}
}

// crook starts one, and lists it.
func (w *world) crook(name string, f origintest.File, c *crook) {
	w.t.Helper()
	c.f = f
	item := shares.Item{SHA256: digestOf(f), Size: f.Size, Name: "f.bin"}
	var all byterange.Set
	all.Add(byterange.Range{Len: f.Size})
	l := &liar{file: f, rate: c.rate, open: func(s *lies) error {
		return s.send(&ddmv1.Opened{Hello: &ddmv1.Hello{Capabilities: []string{"holdings"}}, MaxLanes: 1, Held: catalogue.Runs(&all)})
	}}
	l.order = twist(func(s *lies, a *ddmv1.Assign) error {
		if err := s.send(&ddmv1.Started{AssignmentId: a.GetAssignmentId(), Generation: origin.GenerationToProto(item.Generation())}); err != nil {
			return err
		}
		for off := a.GetOffset(); off < a.GetOffset()+a.GetLength(); off += 256 << 10 {
			p := f.Bytes(off, int(min(256<<10, a.GetOffset()+a.GetLength()-off)))
			if c.has != nil {
				c.has(off, p)
			}
			if err := s.data(a.GetAssignmentId(), off, p); err != nil {
				return err
			}
		}
		return s.done(a)
	})
	w.grpc(name+":7430", func(s *grpc.Server) {
		ddmv1.RegisterPeerServiceServer(s, l)
		ddmv1.RegisterPieceServiceServer(s, c)
	})
	w.offers(name, item)
}

// offers lists a machine as a holder.
func (w *world) offers(name string, item shares.Item) {
	w.t.Helper()
	conn, err := rpc.Dial("passthrough:///"+trackerAddr, rpc.Options{Role: rpc.Control}, grpc.WithContextDialer(w.net.dial))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	stream, err := ddmv1.NewShareServiceClient(conn).Offer(w.t.Context())
	for _, req := range []*ddmv1.OfferRequest{
		{Step: &ddmv1.OfferRequest_Begin_{Begin: &ddmv1.OfferRequest_Begin{Id: name, Name: name, Address: name + ":7430"}}},
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
}

// TestListsOfHolders: of the holders of a shared file some lie, in what they
// give, in what they say of it, or in both. The file is right, the liars are
// named and nobody else is, and it costs at most one more file for each list
// that is false, apart from what was in flight when it was chosen: crooks heed no
// cancellation.
func TestListsOfHolders(t *testing.T) {
	f := origintest.NewFile(24*mib+77, 410)
	garbage := func(_ int, sum []byte) { sum[0] ^= 1 }
	for _, tc := range []struct {
		name   string
		honest int
		crooks []*crook
		extra  int64  // bytes more than the file, at most
		named  []bool // of the crooks; nil: all
		chance bool   // it is, if it was asked for the byte
	}{
		{name: "nobody", honest: 2},
		{name: "another file", honest: 1, crooks: []*crook{lie(f, everything)}, extra: f.Size + 4*mib},
		{name: "one byte", honest: 1, crooks: []*crook{lie(f, at(9*mib+5))}, extra: 2 * mib},
		{name: "one byte at the end", honest: 2, crooks: []*crook{lie(f, at(f.Size-1))}, extra: 2 * mib},
		{name: "the right list, other bytes", honest: 1, crooks: []*crook{{has: everything}}, extra: 8 * mib},
		{name: "the right list, one other byte", honest: 1, crooks: []*crook{{has: at(3)}}, extra: 16 * mib, chance: true},
		{name: "a garbage list, the right bytes", honest: 1, crooks: []*crook{{says: garbage}}, extra: 8 * mib},
		{name: "no list, other bytes", honest: 1, crooks: []*crook{{has: everything, mute: true}}, extra: 8 * mib},
		{name: "a late list, other bytes", honest: 1, crooks: []*crook{{has: everything, late: 3 * time.Second}}, extra: 8 * mib},
		{name: "two that agree", honest: 1, crooks: []*crook{lie(f, everything), lie(f, everything)}, extra: f.Size + 4*mib},
		{name: "two that agree about a byte", honest: 1, crooks: []*crook{lie(f, at(mib)), lie(f, at(mib))}, extra: 2 * mib},
		{name: "two that do not", honest: 1, crooks: []*crook{lie(f, everything), lie(f, at(mib))}, extra: f.Size + 16*mib},
		{name: "a liar among those without lists", crooks: []*crook{{mute: true}, lie(f, everything)}, extra: f.Size + 8*mib, named: []bool{false, true}},
		{name: "two that say it and do not bring it", honest: 1, crooks: []*crook{silent(f), silent(f)}, extra: 4 * mib},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				w.tracker()
				dir := w.folder("f.bin", f)
				for i := range tc.honest {
					w.sharer(fmt.Sprintf("h%d", i), dir, 2*mib)
				}
				var liars []string
				for i, c := range tc.crooks {
					c.rate = 2 * mib
					w.crook(fmt.Sprintf("c%d", i), f, c)
					if tc.named == nil || tc.named[i] {
						liars = append(liars, fmt.Sprintf("c%d", i))
					}
				}
				u := w.user(mib, nil)
				found := u.listed("ddm:f.bin", tc.honest+len(tc.crooks))
				a := &account{replaced: true, retracted: true}
				if err := u.fetch(found, a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.moves, a.notes, a.done.Notes)
				if extra := a.done.LAN - f.Size; extra > tc.extra+mib {
					w.t.Errorf("%d bytes more than the file", extra)
				}
				banned := a.banned()
				slices.Sort(banned)
				if banned = slices.Compact(banned); !(tc.chance && len(banned) == 0) && !slices.Equal(banned, liars) {
					w.t.Errorf("banned are %q, not %q", banned, liars)
				}
				for _, name := range banned {
					if !strings.Contains(strings.Join(a.done.Notes, " "), name) {
						w.t.Errorf("the summary does not name %s: %q", name, a.done.Notes)
					}
					if strings.HasPrefix(name, "h") {
						w.t.Errorf("%s is honest", name)
					}
				}
			})
		})
	}
}

// TestListsOfSmallFile: all of it is there before anybody said what its pieces
// hash to, and wrong. Then it is asked for.
func TestListsOfSmallFile(t *testing.T) {
	f := origintest.NewFile(200<<10, 411)
	bubble(t, nil, func(w *world) {
		w.tracker()
		w.sharer("h0", w.folder("f.bin", f), 40<<10)
		liar := lie(f, everything)
		liar.late = time.Second
		w.crook("c0", f, liar)
		u := w.user(mib, nil)
		found := u.listed("ddm:f.bin", 2)
		a := &account{replaced: true, retracted: true}
		if err := u.fetch(found, a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		if !slices.Equal(a.banned(), []string{"c0"}) || a.done.LAN > 2*f.Size+f.Size/4 {
			w.t.Errorf("banned are %q, %d bytes came; %q", a.banned(), a.done.LAN, a.notes)
		}
	})
}

// TestListsInASwarm: several want the file at once and pass on what they have,
// what came from a liar too, until they know. The liar is named, and none of
// those who did not know.
func TestListsInASwarm(t *testing.T) {
	f := origintest.NewFile(24*mib+77, 412)
	for name, c := range map[string]*crook{"another file": lie(f, everything), "one byte": lie(f, at(5*mib)), "the right list": {has: everything}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				w.tracker()
				w.sharer("h0", w.folder("f.bin", f), 4*mib)
				c.rate = 4 * mib
				w.crook("crook", f, c)
				list := w.getters(4, 4*mib, w.user(1, nil).listed("ddm:f.bin", 2))
				for _, s := range list {
					s.a.replaced, s.a.retracted = true, true
				}
				w.all(list)
				for _, s := range list {
					s.same(f)
					w.t.Log(s.took, s.a, s.a.moves, s.a.notes)
					if s.a.done == nil {
						continue
					}
					if got := s.a.banned(); len(got) > 1 || len(got) == 1 && got[0] != "crook" || len(got) == 0 && c.says != nil {
						w.t.Errorf("%s banned %q: %q", s.name, got, s.a.done.Notes)
					}
				}
			})
		})
	}
}
