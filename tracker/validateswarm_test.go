package tracker_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestJudge(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, tt := range []struct {
		name string
		edit func(e *ddmv1.Enter, b *ddmv1.Bind)
		ok   bool
	}{
		{"as it should be", func(*ddmv1.Enter, *ddmv1.Bind) {}, true},
		{"no name, no address", func(e *ddmv1.Enter, _ *ddmv1.Bind) { e.Name, e.Address = "", "" }, true},
		{"short key", func(e *ddmv1.Enter, _ *ddmv1.Bind) { e.Key = e.Key[1:] }, false},
		{"no id", func(e *ddmv1.Enter, _ *ddmv1.Bind) { e.Id = "" }, false},
		{"long id", func(e *ddmv1.Enter, _ *ddmv1.Bind) { e.Id = long }, false},
		{"long name", func(e *ddmv1.Enter, _ *ddmv1.Bind) { e.Name = long }, false},
		{"port 0", func(e *ddmv1.Enter, _ *ddmv1.Bind) { e.Address = ":0" }, false},
		{"long tag", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Generation = append(b.Generation, 0) }, false},
		{"no size", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Size = 0 }, false},
		{"incredible size", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Size = 1<<60 + 1 }, false},
		{"held beyond the end", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Held = []*ddmv1.Run{run(0, 65)} }, false},
		{"fetching backwards", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Fetching = []*ddmv1.Run{run(5, 6), run(0, 1)} }, false},
		{"many runs", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Held = many(4096) }, true},
		{"too many runs", func(_ *ddmv1.Enter, b *ddmv1.Bind) { b.Held = many(4097) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enter, bind := enterAs("a", ":1"), bindTo("v1", nil, nil)
			tt.edit(enter.GetEnter(), bind.GetBind())
			err := errors.Join(tracker.Judge(enter, 0), tracker.Judge(bind, 0))
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, errdefs.Invalid) {
				t.Error(err)
			}
		})
	}
	for name, req := range map[string]*ddmv1.JoinRequest{
		"negative want":  wants(-1),
		"much insisting": wants(1, many(65)...),
		"report":         reports(many(4097)...),
		"lost":           {Step: &ddmv1.JoinRequest_Report{Report: &ddmv1.Report{Lost: many(4097)}}},
		"release":        {Step: &ddmv1.JoinRequest_Release{Release: &ddmv1.Release{Runs: many(4097)}}},
	} {
		if err := tracker.Judge(req, size); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func many(n int64) (runs []*ddmv1.Run) {
	for i := range n {
		runs = append(runs, &ddmv1.Run{Offset: 2 * i, Length: 1})
	}
	return runs
}

func FuzzJoin(f *testing.F) {
	for _, req := range []*ddmv1.JoinRequest{
		{},
		enterAs("a", ":1"), bindTo("v1", many(3), many(2)), wants(5, run(0, 1)), reports(run(0, 1)),
		{Step: &ddmv1.JoinRequest_Release{}},
		{Step: &ddmv1.JoinRequest_Enter{}},
		{Step: &ddmv1.JoinRequest_Bind{}},
	} {
		b, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, int64(size))
	}
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		req := &ddmv1.JoinRequest{}
		if proto.Unmarshal(data, req) != nil {
			return
		}
		if err := tracker.Judge(req, size); err != nil && !errors.Is(err, errdefs.Invalid) {
			t.Errorf("not Invalid: %v", err)
		}
	})
}
