//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ddm/test/bench/content"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gb  = 1e9
)

// done is what --json says at the end of a download.
type done struct {
	Event     string `json:"event"`
	Duplicate int64  `json:"duplicate_bytes"`
	Origin    int64  `json:"origin_bytes"`
	Moved     int64  `json:"reassigned_ranges"`
	Stored    int64  `json:"stored_bytes"`
}

// got is one download, measured.
type got struct {
	seconds  float64 // from the command to its end
	cpu      float64 // seconds, of the client
	rss      int64   // bytes, the client's highest
	tail     float64 // seconds that the last 1 % took, up to the end of the command; NaN if not watched
	done     done    // of ddm-client only
	gaveUp   bool    // took longer than the patience for it
	failed   bool    // of another's tool: it saved nothing, or something wrong
	stats    stats
	finished time.Time
}

// stats is what the origin counted.
type stats struct {
	Requests int64 `json:"requests"`
	Refused  int64 `json:"refused"`
	Sent     int64 `json:"sent"`
	Peak     int   `json:"peak"`
}

// tool is a program that downloads one file.
type tool struct {
	name    string // as the tables call it
	program string
	args    func(dir, name, url string) []string
	ours    bool
}

// download is one that runs.
type download struct {
	*process
	lab     *lab
	content content.Content
	dir     string
	ours    bool
}

// file names a fresh file of a kind.
func (l *lab) file(kind string, size int64) content.Content {
	l.bench.files++
	c, err := content.Parse(fmt.Sprintf("/%s/%d/f%d.bin", kind, size, l.bench.files))
	l.check(err)
	return c
}

// begin starts a tool on a host, saving to a fresh folder in memory.
func (l *lab) begin(host string, t tool, c content.Content, look time.Duration) *download {
	dir := l.dir()
	l.warm(c.Size)
	p := start(l.scope, l.namespaces[host], look, t.program, t.args(dir, c.Name, originURL+c.Path())...)
	return &download{process: p, lab: l, content: c, dir: dir, ours: t.ours}
}

// warm touches the memory that a file of so many bytes will take, once at the
// client and once in the stores of peers. The host of a virtual machine may
// take back what is free, and gives it again page by page at up to ten times
// the price of writing to it: whoever ran after a pause would pay for all.
func (l *lab) warm(size int64) {
	f, err := os.CreateTemp(l.bench.work, "warm-")
	l.check(err)
	defer f.Close()
	l.check(os.Remove(f.Name()))
	block := make([]byte, mib)
	for off := int64(0); off < 2*size+size/8; off += mib {
		_, err := f.WriteAt(block, off)
		l.check(err)
	}
}

// get downloads a file on the client's machine to its end and checks it.
func (l *lab) get(t tool, c content.Content, look, patience time.Duration) got {
	return l.begin("client", t, c, look).end(patience)
}

// end waits for the download's end, checks the file and removes it.
func (d *download) end(patience time.Duration) got {
	l := d.lab
	wall, err := d.wait(l.ctx, patience)
	g := got{seconds: wall.Seconds(), rss: d.memory(), tail: math.NaN(), gaveUp: errors.Is(err, errPatience), finished: d.ended}
	if err != nil && !g.gaveUp {
		d.failed(&g, err)
	}
	cpu, err := d.cpu()
	l.check(err)
	g.cpu = cpu.Seconds()
	if !g.gaveUp && !g.failed {
		if err := d.content.Check(l.bench.block, filepath.Join(d.dir, d.content.Name)); err != nil {
			d.failed(&g, err)
		}
	}
	l.check(os.RemoveAll(d.dir))
	if len(d.written) > 0 {
		g.tail = d.ended.Sub(d.missing(d.content.Size / 100)).Seconds()
	}
	for line := range strings.Lines(d.stdout.String()) {
		if strings.Contains(line, `"event":"done"`) {
			l.check(json.Unmarshal([]byte(line), &g.done))
		}
	}
	if l.bench.timelines != "" && g.done.Event != "" {
		l.Logf("%s.svg is the picture of the next one", d.content.Name)
	}
	text := l.onOrigin("curl", "-sf", "http://127.0.0.1:8080/stats"+d.content.Path())
	l.check(json.Unmarshal([]byte(text), &g.stats))
	return g
}

// failed ends the case, or only says so if it is somebody else's tool.
func (d *download) failed(g *got, err error) {
	if d.ours {
		d.lab.Fatal(err)
	}
	g.failed = true
	d.lab.Error(err)
}

// half waits until a share of the file is written.
func (d *download) reaches(share float64) time.Time {
	d.lab.until(fmt.Sprintf("%.0f %% were written", 100*share), func() bool {
		select {
		case <-d.done:
			d.lab.Fatalf("the download ended too early: %s%s", d.stderr.String(), d.stdout.String())
		default:
		}
		return float64(d.bytesWritten()) >= share*float64(d.content.Size)
	})
	return time.Now()
}

// ours is ddm-client with flags; with the lab's tracker if it has one.
func (l *lab) ours(flags ...string) tool {
	args := append([]string{"--insecure", "--json"}, flags...)
	if l.tracker != nil {
		args = append(args, "--tracker", l.trackerAddr())
	} else {
		args = append(args, "--local-only")
	}
	return tool{name: ddm, program: l.bench.program("ddm-client"), ours: true, args: func(dir, name, url string) []string {
		all := append(slices.Clip(args), "--dir", dir, url)
		if l.bench.timelines != "" {
			all = append(all, "--timeline", filepath.Join(l.bench.timelines, name+".svg"))
		}
		return all
	}}
}

func curl() tool {
	return tool{name: "curl", program: "curl", args: func(dir, name, url string) []string {
		return []string{"-q", "-sf", "-o", filepath.Join(dir, name), url}
	}}
}

// aria2 with so many connections and pieces of 1 MiB, and without writing the
// file twice to allocate it.
func aria2(n int, more ...string) tool {
	flags := append([]string{"--no-conf", "-q", "--file-allocation=none", fmt.Sprintf("-x%d", n), fmt.Sprintf("-s%d", n), "-k1M"}, more...)
	return tool{name: fmt.Sprintf("aria2 -x%d", n), program: "aria2c", args: func(dir, name, url string) []string {
		return append(slices.Clip(flags), "-d", dir, "-o", name, url)
	}}
}

func axel(n int) tool {
	return tool{name: fmt.Sprintf("axel -n%d", n), program: "axel", args: func(dir, name, url string) []string {
		return []string{"-q", fmt.Sprintf("-n%d", n), "-o", filepath.Join(dir, name), url}
	}}
}

// wget2 with one connection, as it is without settings.
func wget2() tool {
	return tool{name: "wget2", program: "wget2", args: func(dir, name, url string) []string {
		return []string{"--no-config", "-q", "--no-hsts", "-O", filepath.Join(dir, name), url}
	}}
}
