package partfile_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
)

var crashPoints = flag.Int("partfile.crashpoints", 400, "simulated crashes of the write protocol; DDM_CRASH_POINTS overrides it")

// TestCrashPoints loses the power at random steps of random downloads, and
// looks after each boot whether a wrong byte is trusted or a synced one lost.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	want := *crashPoints
	if env, err := strconv.Atoi(os.Getenv("DDM_CRASH_POINTS")); err == nil {
		want = env
	}
	var crashes atomic.Int64
	for seed := uint64(1); crashes.Load() < int64(want); seed++ {
		sim := newSimulation(t, seed)
		sim.run()
		crashes.Add(int64(sim.crashes))
		if t.Failed() {
			return
		}
	}
	t.Logf("%d crash points", crashes.Load())
}

// simulation is one download of a small file, and what an honest bookkeeper
// knows of it.
type simulation struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	disk    *crashfs.Disk
	meta    partfile.Meta
	truth   []byte
	written []byte        // what was last written where
	under   []byte        // and under which level of evidence
	level   origin.Level  // that this life's bytes come under
	allowed byterange.Set // what may be trusted
	safe    byterange.Set // what must not be lost
	done    bool          // Commit said so
	crashes int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	s := &simulation{t: t, seed: seed, rng: rng, disk: crashfs.New(seed, -1)}
	s.truth = make([]byte, 1+rng.IntN(64<<10))
	for i := range s.truth {
		s.truth[i] = byte(1 + rng.IntN(255)) // never what a hole reads as
	}
	s.written = make([]byte, len(s.truth))
	s.under = make([]byte, len(s.truth))
	s.meta = partfile.Meta{URL: "http://origin/x", Gen: origin.Generation{Size: int64(len(s.truth)), ETag: `"1"`}, Level: origin.Strong}
	return s
}

func (s *simulation) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

func (s *simulation) run() {
	s.t.Helper()
	const lives = 5
	for range lives {
		s.disk.CutAt(1 + s.rng.IntN(90))
		s.live(60)
		if s.rng.IntN(4) == 0 {
			s.disk.Kill()
		} else {
			s.disk.PowerCut()
		}
		s.crashes++
		if s.finished() {
			return
		}
	}
	for range 10 {
		s.live(1000)
		s.disk.Kill()
		if s.finished() {
			return
		}
	}
	s.fatalf("never finished")
}

// finished checks the final name, if it is there.
func (s *simulation) finished() bool {
	s.t.Helper()
	got := s.disk.Content("x")
	if got == nil {
		if s.done {
			s.fatalf("committed and gone: %v", s.disk.Names())
		}
		return false
	}
	if !bytes.Equal(got, s.truth) {
		s.fatalf("final file of %d bytes is wrong", len(got))
	}
	_, err := partfile.OpenIn(s.t.Context(), s.disk.Open(), "x", s.meta, partfile.Options{})
	if !errors.Is(err, errdefs.Exists) {
		s.fatalf("open beside a finished file: %v", err)
	}
	if names := s.disk.Names(); !slices.Equal(names, []string{"x"}) {
		s.fatalf("left behind: %v", names)
	}
	return true
}

// live is one process: it ends by an error, by Commit, or as it likes.
func (s *simulation) live(steps int) {
	s.t.Helper()
	f, err := partfile.OpenIn(s.t.Context(), s.disk.Open(), "x", s.meta, partfile.Options{
		PieceSize: 8 << 10, SyncEvery: time.Hour, JournalLimit: 700,
	})
	if errors.Is(err, crashfs.ErrPower) {
		return
	}
	if err != nil {
		s.fatalf("open: %v; %v", err, s.disk.Names())
	}
	defer f.Close() // after an error it repeats that
	if kept := f.Kept(); len(kept) > 0 {
		s.fatalf("kept aside: %v", kept)
	}
	s.level = s.meta.Level
	s.check(f)
	if s.rng.IntN(5) == 0 {
		s.disk.FailSync(1 + s.rng.IntN(6))
		defer s.disk.FailSync(0)
	}
	for range steps {
		if err := s.act(f); err != nil || s.done {
			return
		}
	}
}

// check compares what is trusted with what may and must be.
func (s *simulation) check(f *partfile.File) {
	s.t.Helper()
	have := f.Have()
	for r := range have.All() {
		if !s.allowed.Contains(r) {
			s.fatalf("%v is trusted and should not be (allowed %v)", r, slices.Collect(s.allowed.All()))
		}
		got := make([]byte, r.Len)
		if _, err := f.ReadAt(got, r.Off); err != nil {
			s.fatalf("read %v: %v", r, err)
		}
		if !bytes.Equal(got, s.written[r.Off:r.End()]) {
			s.fatalf("%v is trusted and wrong", r)
		}
		if least := origin.Level(slices.Min(s.under[r.Off:r.End()])); f.Level() > least {
			s.fatalf("%v holds bytes of the evidence %s, and is trusted as %s", r, least, f.Level())
		}
	}
	for r := range s.safe.All() {
		if !have.Contains(r) {
			s.fatalf("%v was synced and is lost (have %v)", r, slices.Collect(have.All()))
		}
	}
	s.allowed = have
	var covered byterange.Set
	for e := range f.Extents() {
		covered.Add(e.Range)
		if sum := crc32.Checksum(s.written[e.Off:e.End()], crc32.MakeTable(crc32.Castagnoli)); sum != e.CRC {
			s.fatalf("extent %v has another CRC: %08x", e, sum)
		}
	}
	if covered.Bytes() != have.Bytes() {
		s.fatalf("extents cover %d bytes of %d", covered.Bytes(), have.Bytes())
	}
}

// act does one thing.
func (s *simulation) act(f *partfile.File) error {
	s.t.Helper()
	switch n := s.rng.IntN(20); {
	case n < 12:
		return s.write(f, s.anywhere(12<<10))
	case n < 15:
		err := f.Checkpoint()
		if err == nil {
			s.safe = f.Have()
		}
		return err
	case n < 16:
		return s.drop(f, s.anywhere(10<<10))
	case n < 17 && s.rng.IntN(3) == 0:
		if err := f.Close(); err != nil {
			return err
		}
		s.safe = s.allowed.Clone()
		return io.EOF
	}
	if s.rng.IntN(60) == 0 && s.level > origin.Sampled {
		s.level--
		f.Lower(s.level)
	}
	all := byterange.Range{Len: s.meta.Gen.Size}
	for gap := range s.allowed.Missing(all) {
		gap.Len = min(gap.Len, 16<<10)
		return s.write(f, gap)
	}
	return s.commit(f)
}

func (s *simulation) anywhere(longest int) byterange.Range {
	off := s.rng.Int64N(s.meta.Gen.Size)
	return byterange.Between(off, min(s.meta.Gen.Size, off+1+s.rng.Int64N(int64(longest))))
}

func (s *simulation) write(f *partfile.File, r byterange.Range) error {
	b := bytes.Clone(s.truth[r.Off:r.End()])
	giver := strconv.Itoa(s.rng.IntN(4))
	if s.rng.IntN(12) == 0 {
		giver = "liar"
		b[s.rng.IntN(len(b))] ^= 1
	}
	cut := s.rng.IntN(len(b) + 1)
	fresh, err := f.WriteAt([][]byte{b[:cut], b[cut:]}, r.Off, giver)
	if err != nil {
		return err
	}
	var want int64
	for gap := range s.allowed.Missing(r) {
		want += gap.Len
		copy(s.written[gap.Off:gap.End()], b[gap.Off-r.Off:])
		copy(s.under[gap.Off:gap.End()], bytes.Repeat([]byte{byte(s.level)}, int(gap.Len)))
	}
	if fresh != want {
		s.fatalf("write of %v: %d fresh bytes, want %d", r, fresh, want)
	}
	s.allowed.Add(r)
	return nil
}

func (s *simulation) drop(f *partfile.File, r byterange.Range) error {
	s.safe.Subtract(r)
	n, err := f.Drop(r)
	if err != nil {
		return err
	}
	if want := s.allowed.Subtract(r); n != want {
		s.fatalf("dropped %d bytes of %v, want %d", n, r, want)
	}
	return nil
}

func (s *simulation) commit(f *partfile.File) error {
	var lies []byterange.Range
	verify := func(_ context.Context, content io.ReaderAt, size int64) error {
		got := make([]byte, size)
		if _, err := content.ReadAt(got, 0); err != nil {
			return err
		}
		for i := range got {
			if got[i] != s.truth[i] {
				lies = append(lies, byterange.Range{Off: int64(i), Len: 1})
			}
		}
		if lies != nil {
			return errdefs.Corrupt
		}
		return nil
	}
	_, err := f.Commit(s.t.Context(), partfile.CommitOptions{Size: s.meta.Gen.Size, Verify: verify})
	if errors.Is(err, errdefs.Corrupt) {
		for _, r := range lies {
			if err := s.drop(f, r); err != nil {
				return err
			}
		}
		return nil
	}
	s.done = err == nil
	return err
}

// TestEveryStepOfCommit loses the power, or the process, at each step of a
// commit in turn.
func TestEveryStepOfCommit(t *testing.T) {
	t.Parallel()
	truth := content(30_000)
	for _, size := range []int64{int64(len(truth)), -1} {
		for seed := range uint64(20) {
			for step := 1; !commitCutAt(t, seed, size, step, truth); step++ {
			}
		}
	}
}

// commitCutAt reports whether Commit needed fewer steps.
func commitCutAt(t *testing.T, seed uint64, size int64, step int, truth []byte) bool {
	t.Helper()
	d := crashfs.New(seed, -1)
	f := mustOpen(t, d, metaOf(size), partfile.Options{})
	write(t, f, truth, 0, "ann")
	if size < 0 { // a liar sent more than there is
		write(t, f, truth[:5000], int64(len(truth)), "bob")
	}
	if err := f.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	before := d.Steps()
	d.CutAt(step)
	_, err := f.Commit(t.Context(), partfile.CommitOptions{Size: int64(len(truth))})
	over := d.Steps()-before < step
	_ = f.Close() // only ends its goroutine
	if seed%4 == 0 {
		d.Kill()
	} else {
		d.PowerCut()
	}
	got := d.Content("x")
	again, openErr := partfile.OpenIn(t.Context(), d.Open(), "x", metaOf(size), partfile.Options{})
	switch {
	case got == nil && err == nil:
		t.Fatalf("step %d: committed and gone: %v", step, d.Names())
	case got == nil && openErr != nil:
		t.Fatalf("step %d: %v", step, openErr)
	case got == nil:
		if size >= 0 && again.Resumed() != size {
			t.Fatalf("step %d: %d bytes left", step, again.Resumed())
		}
		closeFile(t, again)
	case !bytes.Equal(got, truth):
		t.Fatalf("step %d: the finished file has %d bytes and is wrong", step, len(got))
	case !errors.Is(openErr, errdefs.Exists) || len(d.Names()) != 1:
		t.Fatalf("step %d: %v, left behind: %v", step, openErr, d.Names())
	}
	return over
}
