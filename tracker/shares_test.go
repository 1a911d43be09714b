package tracker_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

// offering is a stream of a holder.
type offering struct {
	ddmv1.ShareService_OfferClient
	t *testing.T
}

func (h *harness) offer(from, id, address string) *offering {
	h.Helper()
	stream, err := h.shares(from).Offer(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	o := &offering{stream, h.T}
	o.say(&ddmv1.OfferRequest{Step: &ddmv1.OfferRequest_Begin_{Begin: &ddmv1.OfferRequest_Begin{Id: id, Name: id, Address: address}}})
	return o
}

func (o *offering) say(req *ddmv1.OfferRequest) {
	o.t.Helper()
	if err := o.Send(req); err != nil {
		o.t.Fatal(err)
	}
}

func (o *offering) change(came, gone []*ddmv1.SharedFile) {
	o.t.Helper()
	o.say(&ddmv1.OfferRequest{Step: &ddmv1.OfferRequest_Change_{Change: &ddmv1.OfferRequest_Change{Came: came, Gone: gone}}})
	synctest.Wait()
}

// refused reads until the stream is over and wants an error of that kind.
func (o *offering) refused(kind errdefs.Kind) {
	o.t.Helper()
	var err error
	for err == nil {
		_, err = o.Recv()
	}
	if err := errdefs.FromStatus(err); !errors.Is(err, kind) {
		o.t.Errorf("the stream ends with %v, want %s", err, kind)
	}
}

func (h *harness) shares(from string) ddmv1.ShareServiceClient {
	return ddmv1.NewShareServiceClient(h.dial(from, "10.0.0.254"))
}

func shared(name string, n byte) *ddmv1.SharedFile {
	return &ddmv1.SharedFile{Sha256: bytes.Repeat([]byte{n}, 32), Size: int64(n), Name: name}
}

// listed names everything, page by page.
func (h *harness) listed(req *ddmv1.ListSharesRequest) (rows []string) {
	h.Helper()
	req = &ddmv1.ListSharesRequest{PageSize: req.GetPageSize(), Sha256: req.GetSha256(), Name: req.GetName()}
	for {
		page, err := h.shares("10.0.0.99").ListShares(h.Context(), req)
		if err != nil {
			h.Fatal(err)
		}
		for _, s := range page.GetShares() {
			rows = append(rows, fmt.Sprintf("%s/%d/%d", s.GetFile().GetName(), s.GetFile().GetSize(), s.GetCount()))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return rows
		}
	}
}

func (h *harness) lists(req *ddmv1.ListSharesRequest, want ...string) {
	h.Helper()
	if got := h.listed(req); strings.Join(got, " ") != strings.Join(want, " ") {
		h.Errorf("%v lists %q, want %q", req, got, want)
	}
}

func TestShares(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		all := &ddmv1.ListSharesRequest{}
		h.lists(all)
		one := h.offer("10.0.0.1", "one", ":7430")
		two := h.offer("10.0.0.2", "two", "10.0.0.7:1")
		if said, err := one.Recv(); err != nil || said.GetAddress() != "10.0.0.1:7430" {
			t.Errorf("listed as %v, %v", said, err)
		}
		one.change([]*ddmv1.SharedFile{shared("b", 2), shared("a", 1), shared("../../etc/c", 3)}, nil)
		two.change([]*ddmv1.SharedFile{shared("a", 1), shared("a", 4), shared("d", 1)}, nil)
		h.lists(all, "a/1/2", "a/4/1", "b/2/1", "c/3/1", "d/1/1")
		h.lists(&ddmv1.ListSharesRequest{PageSize: 2}, "a/1/2", "a/4/1", "b/2/1", "c/3/1", "d/1/1")
		h.lists(&ddmv1.ListSharesRequest{Name: "a"}, "a/1/2", "a/4/1")
		h.lists(&ddmv1.ListSharesRequest{Name: "a", PageSize: 1}, "a/1/2", "a/4/1")
		h.lists(&ddmv1.ListSharesRequest{Name: "aa"})
		h.lists(&ddmv1.ListSharesRequest{Sha256: shared("", 1).GetSha256()}, "a/1/2", "d/1/1")

		page, err := h.shares("10.0.0.99").ListShares(h.Context(), &ddmv1.ListSharesRequest{Name: "b"})
		if err != nil || len(page.GetShares()) != 1 || page.GetShares()[0].GetHolders()[0].GetAddress() != "10.0.0.1:7430" {
			t.Errorf("%v, %v", page, err)
		}
		one.change([]*ddmv1.SharedFile{shared("b", 2)}, []*ddmv1.SharedFile{shared("a", 1), shared("z", 9), shared("d", 1)})
		h.lists(all, "a/1/1", "a/4/1", "b/2/1", "c/3/1", "d/1/1")
		if err := two.CloseSend(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		h.lists(all, "b/2/1", "c/3/1")
	})
}

// TestSharesRefused: what breaks the protocol ends the stream, and takes off
// the list what it brought.
func TestSharesRefused(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		many := make([]*ddmv1.SharedFile, 101)
		for i := range many {
			many[i] = shared("x", byte(i+1))
		}
		short, none := shared("x", 1), shared("x", 1)
		short.Sha256, none.Size = short.GetSha256()[:31], 0
		for name, c := range map[string]*ddmv1.OfferRequest_Change{
			"too many":  {Came: many},
			"no digest": {Came: []*ddmv1.SharedFile{short}},
			"no size":   {Came: []*ddmv1.SharedFile{none}},
			"long name": {Gone: []*ddmv1.SharedFile{shared(strings.Repeat("x", 256), 1)}},
			"nobody":    {Came: []*ddmv1.SharedFile{nil}},
		} {
			o := h.offer("10.0.0.1", "one", ":7430")
			o.change([]*ddmv1.SharedFile{shared("a", 1)}, nil)
			h.lists(&ddmv1.ListSharesRequest{}, "a/1/1")
			o.change(c.GetCame(), c.GetGone())
			t.Log(name)
			o.refused(errdefs.Invalid)
			h.lists(&ddmv1.ListSharesRequest{})
		}
		h.offer("10.0.0.1", "", ":7430").refused(errdefs.Invalid)
		h.offer("10.0.0.1", "one", "nonsense").refused(errdefs.Invalid)
		again := h.offer("10.0.0.1", "one", ":7430")
		again.say(&ddmv1.OfferRequest{Step: &ddmv1.OfferRequest_Begin_{Begin: &ddmv1.OfferRequest_Begin{Id: "one"}}})
		again.refused(errdefs.Invalid)
		for _, req := range []*ddmv1.ListSharesRequest{
			{PageSize: -1}, {PageToken: "?"}, {PageToken: "AAAA"}, {Sha256: []byte{1}}, {Name: strings.Repeat("x", 256)},
		} {
			_, err := h.shares("10.0.0.1").ListShares(h.Context(), req)
			if err := errdefs.FromStatus(err); !errors.Is(err, errdefs.Invalid) {
				t.Errorf("%v: %v", req, err)
			}
		}
	})
}

// TestSharesAreBounded: no holder and no address fills the list.
func TestSharesAreBounded(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		greedy := h.offer("10.0.0.1", "one", ":7430")
		for i := range 101 {
			batch := make([]*ddmv1.SharedFile, 100)
			for j := range batch {
				batch[j] = &ddmv1.SharedFile{Sha256: bytes.Repeat([]byte{1}, 32), Size: int64(i*100 + j + 1), Name: "x"}
			}
			if greedy.Send(&ddmv1.OfferRequest{Step: &ddmv1.OfferRequest_Change_{Change: &ddmv1.OfferRequest_Change{Came: batch}}}) != nil {
				break
			}
		}
		greedy.refused(errdefs.Busy)
		h.lists(&ddmv1.ListSharesRequest{})
		var kept []*offering
		for i := range 64 {
			kept = append(kept, h.offer("10.0.0.1", fmt.Sprint(i), ":7430"))
		}
		synctest.Wait()
		h.offer("10.0.0.1", "late", ":7430").refused(errdefs.Busy)
		other := h.offer("10.0.0.2", "other", ":7430")
		if _, err := other.Recv(); err != nil {
			t.Errorf("another address: %v", err)
		}
		began := time.Now()
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the tracker took %v to end", took)
		}
		kept[0].refused(errdefs.Unavailable)
	})
}
