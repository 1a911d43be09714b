package progress_test

import (
	"testing"
	"time"

	"ddm/internal/progress"
)

// TestPushed is the account of copies that were handed out.
func TestPushed(t *testing.T) {
	_, stderr := record(t, progress.Options{}, func(u *progress.UI) {
		r := u.Download("image.iso")
		r.Start(begin(200 * mib))
		d := finished(
			progress.Source{Name: "attic", Kind: "peer", Size: 200 * mib, Bytes: 200 * mib, Rate: 20 * mib, State: "complete"},
			progress.Source{Name: "cellar", Kind: "peer", Size: 200 * mib, Bytes: 200 * mib, State: "complete", Note: "it had it already"},
			progress.Source{Name: "shed", Kind: "peer", Size: 200 * mib, Bytes: 50 * mib, Rate: 5 * mib, State: "failed"},
		)
		d.Elapsed, d.Path, d.Identity, d.OwnRate = 10*time.Second, "isos/image.iso", "digest", 0
		r.Done(d)
	})
	diff(t, stderr, `
image.iso: 200.0 MiB from files.example, identity strong
image.iso: 200.0 MiB in 10s
  pushed    isos/image.iso
  identity  digest: the whole file was hashed and matches its known digest
  peer          has  of it    mean rate
  attic   200.0 MiB   100%   20.0 MiB/s  complete
  cellar  200.0 MiB   100%        0 B/s  complete: it had it already
  shed     50.0 MiB    25%    5.0 MiB/s  failed
`)
}
