package quota_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/quota"
)

const mib = 1 << 20

func open(t *testing.T, dir string, limit quota.Limit) *quota.Budget {
	t.Helper()
	b, err := quota.Open(dir, "wwan0", limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain takes all there is, in reads of 256 KiB, and returns how much it was.
func drain(t *testing.T, b *quota.Budget) int64 {
	t.Helper()
	for sum := int64(0); ; {
		n, err := b.Take(256 << 10)
		if err != nil {
			spent, ok := errors.AsType[*quota.SpentError](err)
			if !ok || !errors.Is(err, errdefs.Refused) || n != 0 {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if wait, ok := errdefs.RetryAfterOf(err); !ok || wait != spent.Wait || wait <= 0 {
				t.Errorf("wait %v, %v", wait, ok)
			}
			return sum
		}
		if n < 1 || n > 256<<10 {
			t.Fatalf("took %d", n)
		}
		sum += int64(n)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("skipped: no time zones here:", err)
	}
	for _, tt := range []struct {
		period          quota.Period
		now, start, end string
	}{
		{quota.Day, "2026-03-29 12:00 +0200", "2026-03-29 00:00 +0100", "2026-03-30 00:00 +0200"}, // 23 hours
		{quota.Day, "2026-10-25 02:30 +0100", "2026-10-25 00:00 +0200", "2026-10-26 00:00 +0100"}, // 25 hours
		{quota.Day, "2026-12-31 23:59 +0100", "2026-12-31 00:00 +0100", "2027-01-01 00:00 +0100"},
		{quota.Month, "2026-02-28 23:59 +0100", "2026-02-01 00:00 +0100", "2026-03-01 00:00 +0100"},
		{quota.Month, "2026-12-01 00:00 +0100", "2026-12-01 00:00 +0100", "2027-01-01 00:00 +0100"},
		{quota.Month, "2026-10-31 12:00 +0100", "2026-10-01 00:00 +0200", "2026-11-01 00:00 +0100"},
	} {
		const form = "2006-01-02 15:04 -0700"
		now, err := time.Parse(form, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		start, end := tt.period.Bounds(now.In(berlin))
		if got := start.Format(form); got != tt.start {
			t.Errorf("%s of %s starts %s, want %s", tt.period, tt.now, got, tt.start)
		}
		if got := end.Format(form); got != tt.end {
			t.Errorf("%s of %s ends %s, want %s", tt.period, tt.now, got, tt.end)
		}
	}
	for _, p := range []quota.Period{quota.Day, quota.Month} {
		if got, err := quota.ParsePeriod(p.String()); err != nil || got != p {
			t.Errorf("%s is read as %s, %v", p, got, err)
		}
	}
	if _, err := quota.ParsePeriod("week"); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("week: %v", err)
	}
}

func TestToTheByte(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int64{1, 4095, mib, mib + 1, 5*mib + 3, 40 * mib} {
		dir := t.TempDir()
		limit := quota.Limit{Bytes: bytes}
		b := open(t, dir, limit)
		if got := drain(t, b); got != bytes {
			t.Errorf("a quota of %d gave %d bytes", bytes, got)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if got := drain(t, open(t, dir, limit)); got != 0 {
			t.Errorf("%d bytes more after a restart", got)
		}
		if got := drain(t, open(t, dir, quota.Limit{Bytes: bytes + 7})); got != 7 {
			t.Errorf("a quota raised by 7 gave %d bytes", got)
		}
		if got := drain(t, open(t, dir, quota.Limit{Bytes: bytes, Period: quota.Day})); got != 0 {
			t.Errorf("another period, and %d bytes more", got)
		}
	}
}

// TestPeriods lives through a month on virtual time.
func TestPeriods(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		told := 0
		b, err := quota.Open(dir, "default", quota.Limit{Bytes: 3 * mib, Period: quota.Day}, func() { told++ })
		if err != nil {
			t.Fatal(err)
		}
		for day := range 40 {
			if err := b.Err(); err != nil || b.Left() != 3*mib {
				t.Fatalf("day %d: %v, %d left", day, err, b.Left())
			}
			if got := drain(t, b); got != 3*mib {
				t.Fatalf("day %d gave %d bytes", day, got)
			}
			spent, ok := errors.AsType[*quota.SpentError](b.Err())
			if !ok || told != day+1 || b.Left() != 0 {
				t.Fatalf("day %d: %v, told %d times, %d left", day, b.Err(), told, b.Left())
			}
			if !strings.Contains(spent.Error(), "line default (3.0 MiB a day) is used up; it is fresh again on 200") {
				t.Errorf("told: %v", spent)
			}
			time.Sleep(spent.Wait - time.Nanosecond)
			if b.Err() == nil {
				t.Fatal("fresh too early")
			}
			time.Sleep(time.Nanosecond)
		}
		now := time.Now()
		m := open(t, dir, quota.Limit{Bytes: 3 * mib, Period: quota.Month}) // another line's name: another account
		drain(t, m)
		_, end := quota.Month.Bounds(now)
		time.Sleep(time.Until(end))
		if got := drain(t, m); got != 3*mib {
			t.Errorf("a new month gave %d bytes", got)
		}
	})
}

// TestSharedAndKilled lets budgets of one line take turns, give back, close
// and be forgotten, against a plain sum.
func TestSharedAndKilled(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 0))
		dir := t.TempDir()
		limit := quota.Limit{Bytes: 1 + rng.Int64N(24*mib)}
		var used, lost int64
		budgets := []*quota.Budget{open(t, dir, limit)}
		for range 150 {
			i := rng.IntN(len(budgets))
			switch rng.IntN(12) {
			case 0:
				budgets = append(budgets, open(t, dir, limit))
			case 1:
				if err := budgets[i].Close(); err != nil {
					t.Fatal(err)
				}
				budgets[i] = open(t, dir, limit)
			case 2: // as a kill leaves it
				budgets[i] = open(t, dir, limit)
				lost += 16 * mib
			default:
				n, err := budgets[i].Take(1 + rng.IntN(mib))
				if err != nil {
					continue
				}
				back := rng.IntN(n + 1)
				budgets[i].Give(back)
				used += int64(n - back)
			}
			if used > limit.Bytes {
				t.Fatalf("seed %d: %d bytes used of %d", seed, used, limit.Bytes)
			}
		}
		for _, b := range budgets {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		rest := drain(t, open(t, dir, limit))
		if used+rest > limit.Bytes || used+rest+lost < limit.Bytes {
			t.Fatalf("seed %d: %d used, %d left over, %d lost at most, of %d", seed, used, rest, lost, limit.Bytes)
		}
	}
}

func TestManyReaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	limit := quota.Limit{Bytes: 30 * mib}
	var sum atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		b := open(t, dir, limit)
		for range 8 {
			readers.Go(func() {
				for {
					n, err := b.Take(100_000)
					if err != nil {
						return
					}
					b.Give(n / 3)
					sum.Add(int64(n - n/3))
				}
			})
		}
	}
	readers.Wait()
	if got := sum.Load(); got > limit.Bytes || got < limit.Bytes*9/10 {
		t.Errorf("16 readers got %d of %d bytes", got, limit.Bytes)
	}
}

// TestKilled kills a process that takes as fast as it can, ten times, and
// compares what it said it had with the account.
func TestKilled(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("DDM_TEST_QUOTA"); dir != "" {
		b := open(t, dir, quota.Limit{Bytes: 1 << 40})
		for sum := 0; ; {
			n, err := b.Take(64 << 10)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
			fmt.Println(sum)
		}
	}
	dir := t.TempDir()
	limit := quota.Limit{Bytes: 1 << 40}
	var used int64
	for round := range 10 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "DDM_TEST_QUOTA="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if v, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				last = v
			}
			if n == 30*(round+1) {
				_ = cmd.Process.Kill() // the rest of the pipe is read
			}
		}
		_ = cmd.Wait() // killed
		used += last
		if spent := limit.Bytes - open(t, dir, limit).Left(); spent < used || spent > used+17*mib*int64(round+1) {
			t.Fatalf("round %d: %d bytes were used, %d are in the account", round, used, spent)
		}
	}
}

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	limit := quota.Limit{Bytes: 4 * mib}
	b := open(t, dir, limit)
	path := filepath.Join(dir, "quota", "wwan0.json")
	for _, text := range []string{"", "{", `{"month_bytes":-5}`, strings.Repeat("x", 9000)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := quota.Open(dir, "wwan0", limit, nil); !errors.Is(err, errdefs.OpenFile) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: %v", text, err)
		}
		if n, err := b.Take(9); n != 0 || !errors.Is(err, errdefs.Refused) {
			t.Errorf("%.20q: took %d, %v: what cannot be counted must not be fetched", text, n, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, b); got != 4*mib {
		t.Errorf("mended: %d bytes", got)
	}
	if _, err := quota.Open(path, "x", limit, nil); !errors.Is(err, errdefs.MakeDir) {
		t.Errorf("a file for a folder: %v", err)
	}
	odd, err := quota.Open(dir, "../fe80::1%eth0", limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(t, odd); got != 4*mib {
		t.Errorf("odd name: %d bytes", got)
	}
}

// BenchmarkTake is what a quota costs per read of 256 KiB.
func BenchmarkTake(b *testing.B) {
	budget, err := quota.Open(b.TempDir(), "wwan0", quota.Limit{Bytes: 1 << 60}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(256 << 10)
	for b.Loop() {
		if _, err := budget.Take(256 << 10); err != nil {
			b.Fatal(err)
		}
	}
}
