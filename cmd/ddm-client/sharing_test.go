package main

import (
	"io"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/byterange"
	"ddm/internal/config"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

func TestWhoShares(t *testing.T) {
	t.Parallel()
	with := config.Client{Trackers: []string{"127.0.0.1:7420"}}
	for name, c := range map[string]struct {
		change func(*config.Client)
		shares bool
	}{
		"by default":     {func(*config.Client) {}, true},
		"no-share":       {func(c *config.Client) { c.NoShare = true }, false},
		"no peers":       {func(c *config.Client) { c.LocalOnly = true }, false},
		"nobody to tell": {func(c *config.Client) { c.Trackers = nil }, false},
	} {
		cfg := with
		c.change(&cfg)
		shared := (&session{cfg: cfg, log: hclog.NewNullLogger()}).sharing()
		options := shared.options(0)
		if (options != nil) != c.shares {
			t.Errorf("%s: %v", name, options)
		}
		shared.close() // also if it never began
	}
}

// TestSharingServes looks from outside at what a run offers.
func TestSharingServes(t *testing.T) {
	t.Parallel()
	shared := newSharing("127.0.0.1:0", hclog.NewNullLogger())
	o := shared.options(0)
	gen := origin.Generation{Size: 5, ETag: `"one"`}
	hide, _ := o.Shelf.Put("http://h.example/f", gen, whole("hello"))
	address, err := o.Serve()
	if again, _ := o.Serve(); err != nil || again != address {
		t.Fatalf("served at %q, then at %q, %v", address, again, err)
	}
	conn, err := rpc.Dial(address, rpc.Options{Role: rpc.Bulk})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: &ddmv1.Open{
		Resource: &ddmv1.Resource{Url: "http://h.example/f", Generation: origin.GenerationToProto(gen)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if held := first.GetOpened().GetHeld(); err != nil || len(held) != 1 || held[0].GetLength() != 5 {
		t.Errorf("opened %v, %v", first, err)
	}
	hide()
	shared.close()
	for err == nil {
		_, err = stream.Recv()
	}
	if kind := errdefs.KindOf(errdefs.FromStatus(err)); kind != errdefs.Unavailable {
		t.Errorf("the stream ends with %v", err)
	}
}

// whole is a content that is all there.
type whole string

var _ offer.Content = whole("")

func (w whole) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, w[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (w whole) Have() (s byterange.Set) {
	s.Add(byterange.Range{Len: int64(len(w))})
	return s
}

func (w whole) Changed() <-chan struct{} { return nil }
