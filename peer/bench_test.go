package peer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"

	"ddm/internal/origin"
	"ddm/internal/rpc"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

// BenchmarkRelay measures origin -> peer -> client over loopback TCP, all in
// one process, nothing written.
func BenchmarkRelay(b *testing.B) {
	const size = 256 << 20
	page := make([]byte, 256<<10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
		h.Set("Etag", `"x"`)
		h.Set("Content-Length", strconv.Itoa(size))
		w.WriteHeader(http.StatusPartialContent)
		for range size / len(page) {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	allow, err := origin.ParseAllow("127.0.0.0/8")
	if err != nil {
		b.Fatal(err)
	}
	p, err := peer.New(peer.Config{
		Listen: "127.0.0.1:0", Allow: []origin.Allowed{allow}, Local: func() []netip.Prefix { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(b.Context()) }()
	conn, err := rpc.Dial(p.Addr().String(), rpc.Options{Role: rpc.Bulk})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fetch, err := ddmv1.NewPeerServiceClient(conn).Fetch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	send := func(req *ddmv1.FetchRequest) {
		if err := fetch.Send(req); err != nil {
			b.Fatal(err)
		}
	}
	gen := origin.Generation{Size: size, ETag: `"x"`}
	send(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: &ddmv1.Open{
		Resource: &ddmv1.Resource{Url: srv.URL, Generation: origin.GenerationToProto(gen)},
	}}})
	b.SetBytes(size)
	for id := uint64(1); b.Loop(); id++ {
		send(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{AssignmentId: id, Length: size}}})
		for ended := false; !ended; {
			var ev rpc.Event
			if err := fetch.RecvMsg(&ev); err != nil {
				b.Fatal(err)
			}
			if ev.Frame != nil {
				ev.Frame.Payload.Free()
				continue
			}
			if f := ev.Message.GetFailed(); f != nil {
				b.Fatal(f)
			}
			ended = ev.Message.GetDone() != nil
		}
	}
}
