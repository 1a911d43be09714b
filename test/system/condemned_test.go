package system_test

import (
	"bytes"
	"testing"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// condemned are faults that show only behind the bytes that they void: these
// are other bytes than the file's.
func condemned(f origintest.File) map[string]origintest.Fault {
	bad := origintest.NewFile(f.Size, 399)
	bad.ETag, bad.Modified = f.ETag, f.Modified
	return map[string]origintest.Fault{
		"wrong Content-Digest": {Become: &bad, ContentDigest: origintest.WrongDigest},
		"longer than promised": {Become: &bad, Excess: 1, Chunked: true},
	}
}

// TestCondemnedReplies: what a reply brought is taken back when its end shows
// that nothing of it may be used, over an own line as over a peer's.
func TestCondemnedReplies(t *testing.T) {
	f := origintest.NewFile(16*mib, 310)
	for name, fault := range condemned(f) {
		for _, who := range []string{"own line", "peer", "both"} {
			t.Run(name+", "+who, func(t *testing.T) {
				fault.Skip, fault.Count = 2, 2
				bubble(t, map[string]origintest.File{"/f.bin": f.With(fault)}, func(w *world) {
					a := &account{retracted: true}
					if who != "own line" {
						w.tracker()
						w.peer("a", mib)
					}
					u := w.user(mib, func(o *client.Options) {
						o.LocalOnly, o.NoLocal = who == "own line", who == "peer"
						o.Connections = 1 // a lane that is replaced never sees its reply's end
					})
					if err := u.get("/f.bin", a); err != nil {
						w.t.Fatal(err, a.notes)
					}
					w.t.Log(a, a.notes)
					w.holds("f.bin", f)
				})
			})
		}
	}
}

// TestDigestOfWhatWasTakenBack: the digest of the whole, which is computed while
// bytes arrive, is that of the bytes that are there in the end.
func TestDigestOfWhatWasTakenBack(t *testing.T) {
	f := origintest.NewFile(16*mib, 314)
	sum := f.SHA256(f.Size)
	for name, fault := range condemned(f) {
		t.Run(name, func(t *testing.T) {
			fault.Skip, fault.Count = 2, 2
			bubble(t, map[string]origintest.File{"/f.bin": f.With(fault)}, func(w *world) {
				a := &account{retracted: true}
				u := w.user(mib, func(o *client.Options) { o.LocalOnly, o.Connections = true, 1 })
				job := client.Job{
					URLs:      []string{"http://" + originHost + "/f.bin"},
					Checksums: []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}},
				}
				if err := u.do(job, a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				if n := a.done.Origin; n > 2*f.Size-mib {
					w.t.Errorf("%d bytes came: all of it was fetched again", n)
				}
			})
		})
	}
}

// TestCondemnedForEver: an origin that condemns each of its replies is given
// up, and nothing gets the file's name.
func TestCondemnedForEver(t *testing.T) {
	f := origintest.NewFile(16*mib, 311)
	for name, fault := range condemned(f) {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f.With(fault)}, func(w *world) {
				u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
				if err := u.get("/f.bin", &account{retracted: true}); errdefs.KindOf(err) != errdefs.BadReply {
					w.t.Errorf("it ended with %v", err)
				}
				w.vacant()
			})
		})
	}
}

// TestWrongDigestLeftUnchecked: whoever knows better than the origin may say so.
func TestWrongDigestLeftUnchecked(t *testing.T) {
	f := origintest.NewFile(8*mib, 313)
	bubble(t, map[string]origintest.File{"/f.bin": f.With(origintest.Fault{ContentDigest: origintest.WrongDigest})}, func(w *world) {
		w.tracker()
		w.peer("a", mib) // which condemns all that it is sent
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, NoOriginDigest: true}
		if err := w.user(mib, nil).do(job, &account{retracted: true}); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
	})
}

// TestCondemnedStream: what was written to a stream cannot be taken back: the
// download fails, and says so.
func TestCondemnedStream(t *testing.T) {
	f := origintest.NewFile(16*mib, 312)
	for name, fault := range condemned(f) {
		t.Run(name, func(t *testing.T) {
			fault.Skip, fault.Count = 2, 1
			bubble(t, map[string]origintest.File{"/f.bin": f.With(fault)}, func(w *world) {
				var out bytes.Buffer
				u := w.user(mib, func(o *client.Options) { o.LocalOnly, o.Connections = true, 1 })
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Stdout: &out}
				err := u.do(job, &account{retracted: true})
				whole := int64(out.Len()) == f.Size && f.Verify(out.Bytes(), 0)
				if err == nil && !whole || err != nil && errdefs.KindOf(err) != errdefs.Corrupt {
					w.t.Errorf("it ended with %v, everything right: %v", err, whole)
				}
			})
		})
	}
}
