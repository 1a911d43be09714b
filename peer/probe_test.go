package peer_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

func TestProbe(t *testing.T) {
	file := origintest.NewFile(5<<20, 1)
	file.Header = map[string][]string{"Content-Disposition": {`attachment; filename="x.iso"`}}
	files := map[string]origintest.File{
		"/f":      file,
		"/moved":  file.With(origintest.Fault{Location: "/f?signature=secret#x"}),
		"/ranges": file.With(origintest.Fault{Status: 200}),
		"/gone":   file.With(origintest.Fault{Status: 410}),
	}
	inBubble(t, peer.Config{}, files, func(t *testing.T, w *world) {
		probe := func(url string) (*ddmv1.ProbeResponse, error) {
			return w.client.Probe(t.Context(), &ddmv1.ProbeRequest{Resource: &ddmv1.Resource{Url: url}})
		}
		got, err := probe(urlOf("/moved"))
		if err != nil {
			t.Fatal(err)
		}
		if g := got.GetGeneration(); g.GetSize() != file.Size || g.GetEtag() != file.ETag || !got.GetRanges() ||
			got.GetFinalUrl() != urlOf("/f") || got.GetContentDisposition() != file.Header.Get("Content-Disposition") {
			t.Errorf("probe: %v", got)
		}
		if got, err = probe(urlOf("/ranges")); err != nil || got.GetRanges() {
			t.Errorf("probe of an origin without ranges: %v, %v", got, err)
		}
		for url, want := range map[string]error{
			urlOf("/gone"):                 errdefs.NotFound,
			"http://" + privateHost + "/f": errdefs.Refused,
			"http://" + silentHost + "/f":  errdefs.Refused,
			"ftp://example.com/f":          errdefs.Invalid,
			"":                             errdefs.Invalid,
		} {
			if _, err := probe(url); !errors.Is(err, want) {
				t.Errorf("probe of %q: %v, want %v", url, err, want)
			}
		}
		synctest.Wait()
		if n := w.origin.Live(""); n != 0 {
			t.Errorf("%d requests outlive their probes", n)
		}
	})
}
