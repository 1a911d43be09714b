package system_test

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// TestTimeline draws a download in which a peer dies, and one that fails.
func TestTimeline(t *testing.T) {
	f := origintest.NewFile(24*mib, 2)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		dies := w.peer("dies", mib)
		w.peer("stays", mib)
		u := w.user(mib, nil)
		picture := filepath.Join(w.t.TempDir(), "x.svg")
		draw := func(path string, a *account) error {
			return u.do(client.Job{URLs: []string{"http://" + originHost + path}, Timeline: picture}, a)
		}

		if err := draw("/none?x=hidden", &account{}); !errors.Is(err, errdefs.NotFound) {
			w.t.Errorf("error %v", err)
		}
		hasTexts(w.t, picture, "nothing was fetched", "not complete: ")

		a := &account{}
		a.once(0.4, func() { dies.kill(w) })
		if err := draw("/f.bin?x=hidden", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		hasTexts(w.t, picture, "24 MiB in ", "3 sources", "own line", "dies", "stays", "stalls: ")
		for _, s := range a.done.Sources {
			if s.Bytes == 0 {
				w.t.Errorf("%s brought nothing: there is nothing to see", s.Name)
			}
		}
	})
}

// hasTexts checks that a picture is XML with these texts, and without secrets.
func hasTexts(t *testing.T, name string, want ...string) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		Inner string `xml:",innerxml"`
	}
	if err := xml.Unmarshal(raw, &svg); err != nil {
		t.Fatal(err)
	}
	for _, text := range want {
		if !strings.Contains(svg.Inner, text) {
			t.Errorf("the picture does not say %q", text)
		}
	}
	if strings.Contains(svg.Inner, "hidden") {
		t.Error("the picture shows the query of a URL")
	}
}
