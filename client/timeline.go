package client

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/timeline"
)

// recorder collects the picture of one attempt at a download, for its owner's
// goroutine alone. A nil one records nothing.
type recorder struct {
	file  string
	pic   timeline.Picture
	rows  []drawnSource
	open  map[schedule.AssignmentID]*drawn
	since map[drawnLane]time.Duration // the lane's newest assignment ended
	over  time.Duration               // nothing was fetched after that; 0: nothing ever was
}

// drawnSource is a row: a source, and those that came back under its name.
type drawnSource struct {
	name string
	id   schedule.SourceID // 0: it left
}

type drawnLane struct{ row, lane int }

// drawn is an assignment that has not ended.
type drawn struct {
	timeline.Span
	source schedule.SourceID
	end    int64 // what it was to reach; -1: unknown
}

// newRecorder makes what the job asks for. That the file can be written is
// found out now rather than after the download.
func newRecorder(job Job) (*recorder, error) {
	if job.Timeline == "" {
		return nil, nil //nolint:nilnil // a nil recorder records nothing
	}
	f, err := os.OpenFile(job.Timeline, os.O_CREATE|os.O_WRONLY, 0o666)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the picture: %w", errdefs.CreateFile, err)
	}
	return &recorder{
		file: job.Timeline, pic: timeline.Picture{Title: shown(job.URLs[0])},
		open: map[schedule.AssignmentID]*drawn{}, since: map[drawnLane]time.Duration{},
	}, nil
}

// begin tells what the download is of, and what is there already.
func (r *recorder) begin(size int64, have byterange.Set) {
	if r == nil {
		return
	}
	r.pic.Size = size
	for part := range have.All() {
		r.pic.Before(part)
	}
}

// joined gives a source its row.
func (r *recorder) joined(id schedule.SourceID, name string) {
	if r == nil {
		return
	}
	if i := slices.IndexFunc(r.rows, func(s drawnSource) bool { return s.id == 0 && s.name == name }); i >= 0 {
		r.rows[i].id = id
		return
	}
	r.rows = append(r.rows, drawnSource{name: name, id: id})
	r.pic.Row(name)
}

// left ends what a source had.
func (r *recorder) left(now time.Duration, id schedule.SourceID) {
	if r == nil {
		return
	}
	for _, a := range r.ids() {
		if r.open[a].source == id {
			r.ended(now, a)
		}
	}
	for i := range r.rows {
		if r.rows[i].id == id {
			r.rows[i].id = 0
		}
	}
}

func (r *recorder) assigned(now time.Duration, a schedule.Assign) {
	if r == nil {
		return
	}
	row := slices.IndexFunc(r.rows, func(s drawnSource) bool { return s.id == a.Source })
	r.open[a.ID] = &drawn{
		Span:   timeline.Span{Row: row, Lane: a.Lane, From: now, Range: byterange.Range{Off: a.Range.Off}, Why: timeline.Why(a.Why)},
		source: a.Source, end: a.Range.End(),
	}
}

func (r *recorder) shrunk(id schedule.AssignmentID, end int64) {
	if r == nil {
		return
	}
	if a := r.open[id]; a != nil {
		a.end = end
	}
}

// started tells that an answer began.
func (r *recorder) started(now time.Duration, id schedule.AssignmentID) {
	if r == nil {
		return
	}
	if a := r.open[id]; a != nil {
		a.First = now
	}
}

func (r *recorder) received(now time.Duration, id schedule.AssignmentID, got byterange.Range) {
	if r == nil {
		return
	}
	r.pic.Arrived(now, got.Len)
	if a := r.open[id]; a != nil {
		if a.First == 0 {
			a.First = now
		}
		a.Range.Len = got.End() - a.Range.Off
		a.Last = now
	}
}

func (r *recorder) ended(now time.Duration, id schedule.AssignmentID) {
	if r == nil || r.open[id] == nil {
		return
	}
	a := r.open[id]
	delete(r.open, id)
	if a.First == 0 && r.behind(id, a) {
		return // it never was its lane's turn
	}
	lane := drawnLane{a.Row, a.Lane}
	a.From = max(a.From, r.since[lane]) // before that it waited for its lane
	a.To = now
	a.EndedEarly = a.Range.End() < a.end
	r.since[lane] = now
	r.pic.Add(a.Span)
}

// behind reports whether an older assignment is still at work on the lane.
func (r *recorder) behind(id schedule.AssignmentID, a *drawn) bool {
	for other, o := range r.open {
		if other < id && o.Row == a.Row && o.Lane == a.Lane {
			return true
		}
	}
	return false
}

// ids lists what has not ended, in the order of the assignments.
func (r *recorder) ids() []schedule.AssignmentID {
	list := make([]schedule.AssignmentID, 0, len(r.open))
	for id := range r.open {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// stop tells that nothing more is fetched.
func (r *recorder) stop(now time.Duration, st schedule.Stats) {
	if r == nil {
		return
	}
	for _, id := range r.ids() {
		r.ended(now, id)
	}
	r.over = now
	r.pic.Notes = append(r.pic.Notes, fmt.Sprintf("stalls: %d · connections replaced: %d", st.Stalls, st.Resets))
}

// write draws what was recorded; failure is why the download failed, or nil.
func (r *recorder) write(failure error) error {
	if r == nil {
		return nil
	}
	r.pic.Took = r.over
	if failure != nil {
		r.pic.Notes = append(r.pic.Notes, "not complete: "+strings.ReplaceAll(failure.Error(), "\n", "; "))
	}
	f, err := os.Create(r.file)
	if err != nil {
		return err
	}
	return errors.Join(r.pic.WriteSVG(f), f.Close())
}
