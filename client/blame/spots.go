package blame

import "ddm/internal/byterange"

// Spots chooses which blocks to look at of a download whose content nobody
// knows: of each giver's first bytes one, the file's first and last, then by
// chance, so many as the bytes that are there allow. At most one part in a
// hundred of the file is looked at.
type Spots struct {
	size   int64
	block  int64
	spent  int64
	random func(n int64) int64
	ends   []byterange.Range // the file's first and last block, which must be looked at
	due    []byterange.Range // so must these, if there is room besides
	known  map[string]bool   // givers whose first bytes were taken up
	among  int64             // how many look at the same content
}

const (
	share       = 100 // one part in so many is looked at
	leastBlocks = 16  // that fit into that, if need be shorter ones
	leastLength = 4 << 10
	tries       = 8 // to hit something by chance
)

// NewSpots begins with a file of size bytes. One that is too short for any
// block is never looked at.
func NewSpots(size int64, random func(n int64) int64) *Spots {
	s := &Spots{size: size, random: random, known: map[string]bool{}, among: 1}
	s.block = s.length()
	if s.block > 0 {
		s.ends = []byterange.Range{{Len: s.block}, {Off: s.size - s.block, Len: s.block}}
	}
	return s
}

// Among says that so many look at the same content, each by chance of its own:
// together they look at no more of it than one would, in shorter blocks.
func (s *Spots) Among(n int) {
	if s.among = int64(max(n, 1)); s.block == 0 {
		return
	}
	s.block = min(s.block, max(s.length(), leastLength))
	for i, r := range s.ends {
		if r.Off > 0 {
			r.Off = r.End() - s.block
		}
		s.ends[i] = byterange.Range{Off: r.Off, Len: s.block}
	}
	for i := range s.due {
		s.due[i].Len = min(s.due[i].Len, s.block)
	}
}

// length is that of a block; 0: the content is too short for any.
func (s *Spots) length() int64 {
	block := min(s.budget()/leastBlocks, sampleLength)
	if block < leastLength {
		block = min(s.budget(), leastLength)
	}
	return block
}

// budget is how much may be looked at.
func (s *Spots) budget() int64 { return s.size / share / s.among }

// Gave enters that a giver brought bytes.
func (s *Spots) Gave(giver string, r byterange.Range) {
	if s.block > 0 && !s.known[giver] && r.Len >= s.block {
		s.known[giver] = true
		s.due = append(s.due, byterange.Range{Off: r.Off + s.random(r.Len-s.block+1), Len: s.block})
	}
}

// Next returns what to look at next. There says what of a range is there to be
// looked at, nothing of it or a run. Arrived is how many bytes of the file are.
func (s *Spots) Next(arrived int64, there func(byterange.Range) byterange.Range) (r byterange.Range, ok bool) {
	if r, ok := s.first(&s.ends, 0, there); ok {
		return r, true
	}
	reserved := s.block * int64(len(s.ends))
	if r, ok := s.first(&s.due, reserved, there); ok {
		return r, true
	}
	reserved += s.block * int64(len(s.due))
	if s.block < 1 || s.spent+s.block+reserved > min(arrived, s.size)/share/s.among {
		return r, false
	}
	for range tries {
		if r := there(byterange.Range{Off: s.random(s.size - s.block + 1), Len: s.block}); !r.Empty() {
			s.spent += r.Len
			return r, true
		}
	}
	return r, false
}

// first takes the first of a list that is there, if there is room for it.
func (s *Spots) first(list *[]byterange.Range, reserved int64, there func(byterange.Range) byterange.Range) (byterange.Range, bool) {
	for i, want := range *list {
		if s.spent+s.block+reserved > s.budget() {
			break
		}
		if r := there(want); !r.Empty() {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			s.spent += r.Len
			return r, true
		}
	}
	return byterange.Range{}, false
}
