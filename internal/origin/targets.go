package origin

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	targetAge  = time.Minute
	maxTargets = 256
)

// targets remembers for a minute where redirects led, so that not each range
// pays for them. Whoever sends other headers or cookies may be led elsewhere:
// they are part of the key. The zero value is ready.
type targets struct {
	mu sync.Mutex
	m  map[targetKey]target
}

type targetKey struct {
	url    string
	header string
	jar    http.CookieJar

	guarded bool
}

type target struct {
	trail trail
	until time.Time
}

// key names the request; the zero key is never remembered.
func (q request) key() targetKey {
	if q.jar != nil && !reflect.TypeOf(q.jar).Comparable() {
		return targetKey{}
	}
	var fields []string
	for name, values := range q.header {
		fields = append(fields, http.CanonicalHeaderKey(name)+":"+strings.Join(values, "\x00"))
	}
	slices.Sort(fields)
	return targetKey{url: q.url.String(), header: strings.Join(fields, "\n"), jar: q.jar, guarded: q.guarded}
}

func (s *targets) get(key targetKey) (trail, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.m[key]
	if ok && !time.Now().Before(t.until) {
		delete(s.m, key)
		return trail{}, false
	}
	t.trail.seen = nil // ten redirects more
	return t.trail, ok
}

func (s *targets) put(key targetKey, t trail) {
	if key == (targetKey{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[targetKey]target)
	}
	now := time.Now()
	if len(s.m) >= maxTargets {
		for k, old := range s.m {
			if !now.Before(old.until) {
				delete(s.m, k)
			}
		}
	}
	if len(s.m) < maxTargets { // full of fresh ones: this one is resolved each time
		t.links = nil // said once
		s.m[key] = target{trail: t, until: now.Add(targetAge)}
	}
}

func (s *targets) drop(key targetKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
}

// expiredTarget names the statuses with which a signed target says that it is
// over.
func expiredTarget(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	default:
		return false
	}
}
