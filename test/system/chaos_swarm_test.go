package system_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"ddm/client"
	"ddm/internal/catalogue"
	"ddm/internal/digest"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// swarmEvery is how many seeds of TestChaos have a swarm besides: it shall not
// take a tenth longer for them.
const swarmEvery = 24

// chaosSwarm is one random swarm: clients of one resource, who may be killed or
// cut off; one that lies, where a digest is known; one that is leased bytes and
// brings nothing; a tracker and an origin that fail.
type chaosSwarm struct {
	*world
	rng   *rand.Rand // of the test's own goroutine
	began time.Time
	file  origintest.File
	job   client.Job // but for the folder
	list  []*swarmer // the first one stays
	line  *wire      // to the origin, of all; nil: each has its own

	mu    sync.Mutex // guards what follows
	story []string
}

func newChaosSwarm(w *world, seed uint64) *chaosSwarm {
	c := &chaosSwarm{world: w, rng: rand.New(rand.NewPCG(seed, 78)), began: time.Now()}
	c.file = origintest.NewFile(int64(1+c.rng.IntN(6*mib)), c.rng.Uint64())
	w.origin.Set("/f.bin", c.file)
	rate := float64(c.file.Size)/(4+20*c.rng.Float64()) + 8<<10
	for i := range 2 + c.rng.IntN(3) {
		c.list = append(c.list, w.swarmer(fmt.Sprint("c", i), rate, lanRate, nil))
	}
	if c.rng.IntN(2) == 0 {
		shared(c.list, rate)
		c.line = c.list[0].wan
	}
	known, lies := c.rng.IntN(2) == 0, false
	if known {
		sum := c.file.SHA256(c.file.Size)
		c.job.Checksums = []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}
		if lies = c.rng.IntN(2) == 0; lies {
			c.list = append(c.list, w.lyingSwarmer("liar", rate, c.file))
		}
	}
	c.tell("%d bytes, %d members, one line %v, digest %v, one lies %v", c.file.Size, len(c.list), c.line != nil, known, lies)
	return c
}

func (c *chaosSwarm) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.story = append(c.story, fmt.Sprintf("%6.2fs ", time.Since(c.began).Seconds())+fmt.Sprintf(format, args...))
}

func (c *chaosSwarm) within(d time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(d)))
}

// plan chooses what happens. All but the dead are well again when it is over.
func (c *chaosSwarm) plan(stopTracker func()) []incident {
	var plan []incident
	pair := func(what string, begin, end func()) {
		at := c.within(chaosSpan / 2)
		plan = append(plan, incident{at, what, begin}, incident{at + time.Second + c.within(8*time.Second), what + ": over", end})
	}
	for _, s := range c.list[1:] {
		switch c.rng.IntN(4) {
		case 0:
			if c.line == nil { // else its line is everybody's
				plan = append(plan, incident{c.within(chaosSpan / 2), s.name + " is killed", s.dies})
			} else {
				plan = append(plan, incident{c.within(chaosSpan / 2), s.name + " is stopped", s.kill})
			}
		case 1:
			pair(s.name+" sends nothing", s.lan.freeze, s.lan.thaw)
		}
	}
	if c.rng.IntN(2) == 0 {
		stop := stopTracker
		pair("the tracker is killed", func() { stop() }, func() { stop(); stop = c.tracker() })
	}
	switch c.rng.IntN(4) {
	case 0:
		fault := origintest.Fault{Status: 503, RetryAfter: "1"}
		if c.rng.IntN(2) == 0 {
			fault = origintest.Fault{After: c.file.Size / 7, End: origintest.Reset}
		}
		pair(fmt.Sprintf("the origin fails: %+v", fault),
			func() { c.origin.Set("/f.bin", c.file.With(fault)) }, func() { c.origin.Set("/f.bin", c.file) })
	case 1:
		line := c.list[0].wan
		pair("a line to the origin hangs", line.freeze, line.thaw)
	}
	slices.SortStableFunc(plan, func(a, b incident) int { return cmp.Compare(a.at, b.at) })
	return plan
}

// run lets everybody download, each from a time of its own on, until all who live
// have the file.
func (c *chaosSwarm) run() {
	ctx, stop := context.WithCancel(c.t.Context())
	plan := c.plan(c.tracker())
	var beside, getting sync.WaitGroup
	beside.Go(func() {
		for _, i := range plan {
			wait := time.NewTimer(time.Until(c.began.Add(i.at)))
			select {
			case <-wait.C:
			case <-ctx.Done():
				return
			}
			c.tell("%s", i.what)
			i.do()
		}
	})
	if c.rng.IntN(3) == 0 {
		c.tell("one is leased bytes and brings none")
		beside.Go(func() { c.sloth(ctx) })
	}
	for i, s := range c.list {
		after := time.Duration(0)
		if i > 0 && c.rng.IntN(2) == 0 {
			after = c.within(5 * time.Second)
		}
		getting.Go(func() { c.get(s, after) })
	}
	getting.Wait()
	stop()
	beside.Wait()
	if c.t.Failed() {
		for _, line := range c.story {
			c.t.Log(line)
		}
	}
}

// get downloads until it succeeds, or the member is dead.
func (c *chaosSwarm) get(s *swarmer, after time.Duration) {
	time.Sleep(after)
	s.job.Checksums = c.job.Checksums
	for runs := 1; ; runs++ {
		s.a = &account{retracted: true, replaced: true}
		ctx, cancel := context.WithTimeout(s.ctx, chaosBound)
		began := time.Now()
		s.err = s.c.Download(ctx, s.job, s.a)
		took := time.Since(began)
		cancel()
		s.a.check(c.t, s.err)
		c.tell("%s, run %d of %v: %v %v", s.name, runs, took, s.err, s.a.moves)
		switch {
		case s.err == nil:
			s.same(c.file)
			s.c.Linger(s.ctx, func(string) {})
			return
		case s.ctx.Err() != nil:
			return
		case took >= chaosBound:
			c.t.Errorf("%s: stuck: a run took %v: %v", s.name, took, s.a.last())
			return
		case began.Sub(c.began) > chaosMended || runs > 50:
			c.t.Errorf("%s: still fails after everything was mended: %v", s.name, s.err)
			return
		}
		time.Sleep(time.Second)
	}
}

// sloth asks the tracker for all there is, again and again, and brings nothing.
func (c *chaosSwarm) sloth(ctx context.Context) {
	url := "http://" + originHost + "/f.bin"
	key, err := catalogue.KeyOf(url)
	tag, ok := catalogue.TagOf(origin.Generation{Size: c.file.Size, ETag: c.file.ETag, LastModified: c.file.Modified.Format(http.TimeFormat)})
	if err != nil || !ok {
		c.t.Errorf("no name for it: %v", err)
		return
	}
	conn, err := rpc.Dial("passthrough:///"+trackerAddr, rpc.Options{},
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return c.net.dial(ctx, addr) }))
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	pause := time.NewTicker(time.Second)
	defer pause.Stop()
	var stream grpc.BidiStreamingClient[ddmv1.JoinRequest, ddmv1.JoinResponse]
	for ctx.Err() == nil {
		want := &ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Want{Want: &ddmv1.Want{Bytes: c.file.Size}}}
		if stream == nil || stream.Send(want) != nil {
			if stream, err = ddmv1.NewSwarmServiceClient(conn).Join(ctx); err == nil {
				_ = stream.Send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Enter{Enter: &ddmv1.Enter{
					Hello: &ddmv1.Hello{}, Key: key[:], Id: "sloth-1", Name: "sloth", Address: "sloth:7431",
				}}})
				_ = stream.Send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Bind{Bind: &ddmv1.Bind{Generation: tag[:], Size: c.file.Size}}})
			}
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}
