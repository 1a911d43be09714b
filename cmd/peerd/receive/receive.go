// Package receive keeps the files that others push to a peer.
//
//	peer --Receive(item)--> already there? --no--> client engine --> DIR/NAME
//	     <-- bytes so far, path --'
//
// It fetches as a client does, from whoever offers the file, and never replaces
// one.
package receive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/progress"
	"ddm/internal/shares"
	"ddm/peer"
)

// Folder is where received files go. It implements peer.Receiver, and is safe
// for concurrent use.
type Folder struct {
	Dir    string         // must be there
	Most   int64          // bytes of one file; 0: no limit
	List   *List          // remembers them; nil: nobody does
	Engine *client.Client // fetches them; the caller's
	Log    hclog.Logger
}

// Receive implements peer.Receiver.
func (f *Folder) Receive(ctx context.Context, item shares.Item, here func(int64)) (peer.Received, error) {
	if f.Most > 0 && item.Size > f.Most {
		return peer.Received{}, fmt.Errorf("%w: it is larger than what is taken here, %d bytes (--receive-limit)", errdefs.Refused, f.Most)
	}
	got := peer.Received{Path: filepath.Join(f.Dir, item.Name)}
	var err error
	if got.Already, err = same(ctx, got.Path, item); err != nil {
		return got, err
	}
	if !got.Already {
		err = f.Engine.Download(ctx, client.Job{
			Shared: &client.Shared{SHA256: item.SHA256, Size: item.Size, Name: item.Name},
			Dir:    f.Dir, Output: item.Name,
		}, watched{here})
		if err != nil {
			return got, err
		}
	}
	if err := f.List.add(got.Path); err != nil {
		f.Log.Warn("a received file is offered only until the next start", "file", got.Path, "error", err)
	}
	return got, nil
}

// same reports whether a file is at path already. Another one is errdefs.Exists.
func same(ctx context.Context, path string, item shares.Item) (bool, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	case !st.Mode().IsRegular() || st.Size() != item.Size:
		return false, fmt.Errorf("%w: %s", errdefs.Exists, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	defer func() { _ = f.Close() }() // it was read only
	h := sha256.New()
	for {
		switch _, err := io.CopyN(h, f, 16<<20); {
		case errors.Is(err, io.EOF):
			if [sha256.Size]byte(h.Sum(nil)) != item.SHA256 {
				return false, fmt.Errorf("%w: %s, with other content", errdefs.Exists, path)
			}
			return true, nil
		case err != nil:
			return false, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
	}
}

// watched passes on how many bytes there are.
type watched struct{ here func(int64) }

// Start implements progress.Reporter.
func (w watched) Start(s progress.Start) { w.here(s.Resumed) }

// Progress implements progress.Reporter.
func (w watched) Progress(s progress.Snapshot) {
	if s.Phase != "checking" {
		w.here(s.Bytes)
	}
}

// Source implements progress.Reporter.
func (watched) Source(progress.SourceChange) {}

// Note implements progress.Reporter.
func (watched) Note(string) {}

// Plan implements progress.Reporter.
func (watched) Plan(progress.Plan) {}

// Done implements progress.Reporter.
func (watched) Done(progress.Done) {}

// Fail implements progress.Reporter.
func (watched) Fail(progress.Failure) {}
