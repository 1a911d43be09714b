// Package rendezvous shares out work among those who know of each other and
// have nobody to ask, by hashes of their names (highest random weight).
//
//	part 0, 1, 2, ...  x  names  -->  hash  -->  the part is the highest one's
//
// All who know of the same names agree. One that comes or goes moves its own
// parts only. The package is pure.
package rendezvous

import (
	"hash/fnv"
	"slices"
	"strconv"

	"ddm/internal/byterange"
)

// Part is the unit that is shared out, in bytes.
const Part = 4 << 20

// Mine returns which of the wanted bytes fall to me while others are there, the
// lowest first and about most bytes of it.
func Mine(me string, others []string, wanted *byterange.Set, most int64) (set byterange.Set) {
	for r := range wanted.All() {
		for at := r.Off; at < r.End() && set.Bytes() < most; {
			end := min((at/Part+1)*Part, r.End())
			if falls(me, others, at/Part) {
				set.Add(byterange.Between(at, end))
			}
			at = end
		}
	}
	return set
}

// falls reports whether nobody scores higher for a part.
func falls(me string, others []string, part int64) bool {
	mine := score(me, part)
	return !slices.ContainsFunc(others, func(o string) bool {
		theirs := score(o, part)
		return theirs > mine || theirs == mine && o > me
	})
}

func score(name string, part int64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatInt(part, 10) + "/" + name)) // a hash never fails
	x := h.Sum64()                                                   // whose high bits depend little on the last bytes
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
