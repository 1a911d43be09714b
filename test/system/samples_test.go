package system_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

// TestSamplesLiftNone: the origin names no validator. Peers whose samples are
// those of the own line join, and the identity is sampled; one that sees
// something else of the same length is left out and named, and brings nothing.
// With nobody left it stays at one source.
func TestSamplesLiftNone(t *testing.T) {
	f, other := origintest.NewFile(16*mib, 130), origintest.NewFile(16*mib, 131)
	bare := func(f origintest.File) origintest.File { return origintest.File{Content: f.Content, Size: f.Size} }
	for _, tc := range []struct {
		name         string
		right, wrong int // peers
		seen         origintest.File
		identity     string
	}{
		{"all the same", 2, 0, f, "sampled"},
		{"one sees another file", 1, 1, bare(other), "sampled"},
		{"nobody sees the same", 0, 2, bare(other), "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": bare(f)}, func(w *world) {
				w.mirror(secondHost, tc.seen, 0)
				w.tracker()
				for i := range tc.right {
					w.peer(fmt.Sprintf("r%d", i), mib)
				}
				for i := range tc.wrong {
					w.peer(fmt.Sprintf("w%d", i), mib).detours.Store(originHost+":80", secondHost+":80")
				}
				a := &account{}
				if err := w.user(mib, nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.t.Log(a, a.done.Verify, a.moves, a.notes)
				w.holds("f.bin", f)
				if a.done.Identity != tc.identity || a.done.Verify == 0 {
					w.t.Errorf("identity %s, want %s; %d bytes compared", a.done.Identity, tc.identity, a.done.Verify)
				}
				for i := range tc.right {
					if a.brought(fmt.Sprintf("r%d", i)) == 0 {
						w.t.Errorf("r%d brought nothing", i)
					}
				}
				for i := range tc.wrong {
					name := fmt.Sprintf("w%d", i)
					if a.brought(name) > 0 || a.moved(name, "joined") || !a.noted("the peer "+name+" is left out") {
						w.t.Errorf("%s brought %d bytes, %v, %q", name, a.brought(name), a.moves, a.notes)
					}
				}
			})
		})
	}
}

// TestSampledRequired: who asks for samples gets them, or is refused as soon as
// there is nobody to take them from.
func TestSampledRequired(t *testing.T) {
	f := origintest.NewFile(64*mib, 132)
	bare := origintest.File{Content: f.Content, Size: f.Size}
	bubble(t, map[string]origintest.File{"/f.bin": bare}, func(w *world) {
		w.book(trackerAddr)
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Require: origin.Sampled}
		began := time.Now()
		err := w.user(mib, nil).do(job, &account{})
		if errdefs.KindOf(err) != errdefs.Refused || !strings.Contains(fmt.Sprint(err), "the evidence is none") {
			w.t.Errorf("it ended with %v", err)
		}
		if took := time.Since(began); took > 30*time.Second { // of 64 s
			w.t.Errorf("refused after %v", took)
		}
	})
}

// TestQuorumOfSampled: a quorum can be reached without any validator.
func TestQuorumOfSampled(t *testing.T) {
	f := origintest.NewFile(16*mib, 133)
	bare := origintest.File{Content: f.Content, Size: f.Size}
	bubble(t, map[string]origintest.File{"/f.bin": bare}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		a := &account{}
		if err := w.user(mib, nil).do(pair(), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		if a.done.Identity != "sampled" || a.done.Verify < f.Size {
			w.t.Errorf("identity %s, %d bytes compared", a.done.Identity, a.done.Verify)
		}
	})
}
