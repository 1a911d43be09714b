package peer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/shares"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	maxPushes   = 4 // received at once
	maxFileName = 255
	pushLook    = 200 * time.Millisecond // between two looks at how far it is
	pushLife    = time.Second            // between two signs of life
)

// Receiver keeps copies of files that others push. It is safe for concurrent
// use.
type Receiver interface {
	// Receive fetches a file from whoever offers it, and returns once it is
	// verified and has its final name, or why not. It tells how many bytes are
	// there; here must not block. When ctx ends it keeps what arrived.
	Receive(ctx context.Context, file shares.Item, here func(bytes int64)) (Received, error)
}

// Received is where a file is now.
type Received struct {
	Path    string
	Already bool // it was there before
}

// pushService takes files, if the peer's owner said where to put them.
type pushService struct {
	ddmv1.UnimplementedPushServiceServer

	*service
	receiver Receiver      // nil: none are taken
	files    *shares.Files // offers what was received; nil if there is no receiver
	slots    chan struct{} // of maxPushes
}

func newPushService(s *service, receiver Receiver, files *shares.Files) *pushService {
	return &pushService{service: s, receiver: receiver, files: files, slots: make(chan struct{}, maxPushes)}
}

// checkPush judges what a pusher names.
func checkPush(req *ddmv1.PushRequest) (item shares.Item, err error) {
	f := req.GetFile()
	switch {
	case len(f.GetSha256()) != sha256.Size:
		return item, fmt.Errorf("%w: file.sha256: %d bytes, not %d", errdefs.Invalid, len(f.GetSha256()), sha256.Size)
	case f.GetSize() < 1:
		return item, fmt.Errorf("%w: file.size: %d", errdefs.Invalid, f.GetSize())
	case f.GetName() == "" || len(f.GetName()) > maxFileName:
		return item, fmt.Errorf("%w: file.name: %d bytes, 1 to %d are allowed", errdefs.Invalid, len(f.GetName()), maxFileName)
	}
	return shares.Item{SHA256: [sha256.Size]byte(f.GetSha256()), Size: f.GetSize(), Name: filename.Sanitize(f.GetName())}, nil
}

// Push implements ddmv1.PushServiceServer.
func (p *pushService) Push(req *ddmv1.PushRequest, stream grpc.ServerStreamingServer[ddmv1.PushResponse]) error {
	ctx := stream.Context()
	leave, err := p.admission.enter(clientOf(ctx))
	if err != nil {
		return err
	}
	defer leave()
	item, err := checkPush(req)
	if err != nil {
		return err
	}
	if p.receiver == nil {
		return fmt.Errorf("%w: no files are taken here: the owner of this machine allows it by peerd --receive DIR", errdefs.Refused)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		return busy("%d files are being received already", maxPushes)
	}
	if err := stream.Send(&ddmv1.PushResponse{Event: &ddmv1.PushResponse_Accepted_{
		Accepted: &ddmv1.PushResponse_Accepted{Hello: p.hello()},
	}}); err != nil {
		return err
	}
	return p.receive(ctx, item, stream)
}

// receive tells how far the file is until it is there, the pusher is gone or
// the peer ends.
func (p *pushService) receive(ctx context.Context, item shares.Item, stream grpc.ServerStreamingServer[ddmv1.PushResponse]) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var here atomic.Int64
	got, failed := make(chan Received, 1), make(chan error, 1)
	p.streams.Go(func() {
		r, err := p.receiver.Receive(ctx, item, here.Store)
		if err != nil {
			failed <- err
			return
		}
		got <- r
	})
	log := p.log.Named("push").With("file", item.Name, "digest", fmt.Sprintf("sha256:%x", item.SHA256))
	log.Info("a file is being received", "bytes", item.Size, "from", clientOf(ctx))
	tick := time.NewTicker(pushLook)
	defer tick.Stop()
	told, last, draining := int64(-1), time.Time{}, p.draining
	for {
		select {
		case r := <-got:
			log.Info("received", "path", r.Path, "already", r.Already)
			p.files.Add(r.Path)
			return stream.Send(&ddmv1.PushResponse{Event: &ddmv1.PushResponse_Kept_{Kept: &ddmv1.PushResponse_Kept{Already: r.Already}}})
		case err := <-failed:
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			log.Warn("not received", "error", err)
			return pushFailure(err)
		case <-draining:
			draining = nil
			cancel(errGoing)
		case now := <-tick.C:
			n := min(max(here.Load(), 0), item.Size)
			if n == told && now.Sub(last) < pushLife {
				continue
			}
			told, last = n, now
			err := stream.Send(&ddmv1.PushResponse{Event: &ddmv1.PushResponse_Progress_{Progress: &ddmv1.PushResponse_Progress{Bytes: n}}})
			if err != nil {
				cancel(err)
			}
		}
	}
}

// pushFailure is what a pusher may know of why a file was not received: the kind,
// and no path of this machine.
func pushFailure(err error) error {
	kind, ok := errors.AsType[errdefs.Kind](err)
	if !ok {
		return err
	}
	var text string
	switch kind {
	case errdefs.Refused, errdefs.Busy: // in words of our own
		return err
	case errdefs.Exists:
		text = "another file has that name there, and none is replaced"
	case errdefs.Locked:
		text = "it is being received there already"
	case errdefs.NoSpace:
		text = "its disk has no room for it"
	case errdefs.Corrupt:
		text = "what it was given does not hash to what it should"
	case errdefs.OpenFile, errdefs.CreateFile, errdefs.WriteFile, errdefs.MakeDir:
		text = "its folder for files cannot be used; its log says why"
	case errdefs.Unavailable, errdefs.Timeout, errdefs.NotFound:
		text = "it could not fetch the file from anybody; its log says why"
	default:
		text = "its log says why"
	}
	return fmt.Errorf("%w: %s", kind, text)
}
