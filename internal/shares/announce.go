package shares

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"ddm/internal/backoff"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// perChange is how many files one message names.
const perChange = 100

// Announcement tells one tracker what is offered.
type Announcement struct {
	Tracker ddmv1.ShareServiceClient
	Begin   *ddmv1.OfferRequest_Begin // who offers
	Files   *Files                    // what
	Log     hclog.Logger              // nil: discards
}

// Run keeps the tracker told until ctx ends. One that is away is sought again.
func (a *Announcement) Run(ctx context.Context) {
	if a.Log == nil {
		a.Log = hclog.NewNullLogger()
	}
	waits := backoff.Policy{Base: 500 * time.Millisecond, Max: 5 * time.Second, Factor: 2}
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := a.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			attempt = 0
		}
		level := hclog.Debug
		if attempt == 0 {
			level = hclog.Warn
		}
		a.Log.Log(level, "the tracker does not list what is offered, trying again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(waits.Delay(attempt, rand.Float64()), 100*time.Millisecond)):
		}
	}
}

// session is one stream: all of it, and then each change.
func (a *Announcement) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var hearing sync.WaitGroup
	defer func() {
		cancel()
		hearing.Wait()
	}()
	stream, err := a.Tracker.Offer(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if err := stream.Send(&ddmv1.OfferRequest{Step: &ddmv1.OfferRequest_Begin_{Begin: a.Begin}}); err != nil {
		if _, why := stream.Recv(); why != nil {
			err = why
		}
		return errdefs.FromStatus(err)
	}
	listed, err := stream.Recv()
	if err != nil {
		return errdefs.FromStatus(err)
	}
	a.Log.Info("the tracker lists what is offered", "address", listed.GetAddress())
	over := make(chan error, 1)
	hearing.Go(func() { // the only one that receives from here on
		_, err := stream.Recv()
		if err == nil {
			err = fmt.Errorf("%w: a second answer", errdefs.BadReply)
		}
		over <- errdefs.FromStatus(err)
	})
	told := map[Item]bool{}
	for {
		changed := a.Files.Changed()
		for change := range changes(told, a.Files.Items()) {
			if err := stream.Send(&ddmv1.OfferRequest{Step: &ddmv1.OfferRequest_Change_{Change: change}}); err != nil {
				return <-over // why the stream takes no more
			}
		}
		select {
		case <-changed:
		case err := <-over:
			return err
		}
	}
}

// changes yields what turns told into now, in messages of a bounded size, and
// keeps told up to date.
func changes(told map[Item]bool, now []Item) func(yield func(*ddmv1.OfferRequest_Change) bool) {
	return func(yield func(*ddmv1.OfferRequest_Change) bool) {
		here := make(map[Item]bool, len(now))
		for _, i := range now {
			here[i] = true
		}
		change := &ddmv1.OfferRequest_Change{}
		for i := range told {
			if here[i] {
				continue
			}
			delete(told, i)
			change.Gone = append(change.Gone, wire(i))
			if len(change.GetGone()) == perChange {
				if !yield(change) {
					return
				}
				change = &ddmv1.OfferRequest_Change{}
			}
		}
		for _, i := range now {
			if told[i] {
				continue
			}
			told[i] = true
			change.Came = append(change.Came, wire(i))
			if len(change.GetCame()) == perChange {
				if !yield(change) {
					return
				}
				change = &ddmv1.OfferRequest_Change{}
			}
		}
		if len(change.GetCame())+len(change.GetGone()) > 0 {
			yield(change)
		}
	}
}

func wire(i Item) *ddmv1.SharedFile {
	return &ddmv1.SharedFile{Sha256: i.SHA256[:], Size: i.Size, Name: i.Name}
}
