// Package crashfs is a file system in memory that loses power. It implements
// package disk for simulations of the write protocol.
//
//	write  -> page cache, visible at once; a sync makes it durable
//	rename -> directory cache, visible at once; a directory sync makes it durable
//	PowerCut: of what was not synced each page (4 KiB) survives in any version
//	it had, or not; each length, time and name likewise
//
// It is as unkind as POSIX allows: pages, lengths and names survive
// independently of one another, in no order. A rename alone is atomic.
package crashfs

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"ddm/internal/partfile/disk"
)

const page = 4096

// ErrPower is what every call returns once the power is gone, and what calls
// on what was open before return after that.
var ErrPower = errors.New("crashfs: no power")

// Disk is one directory and its files. It may be used concurrently, but only
// calls from one goroutine give the same result for the same seed.
type Disk struct {
	mu      sync.Mutex
	rng     *rand.Rand
	now     map[string]*inode // what processes see
	durable map[string]*inode
	ops     []dirOp // since the last sync of the directory
	boot    int     // open files of an earlier one are dead
	steps   int
	cutAt   int // step that finds no power; 0: none
	syncs   int // syncs until one fails; 0: none does
	room    int64
	inodes  uint64
	clock   int64
}

// dirOp is a change of names: from -> to, or only one of the two.
type dirOp struct {
	from, to string
	node     *inode
}

// inode is one file.
type inode struct {
	id       uint64
	now      []byte
	durable  []byte
	versions map[int64][][]byte // of each page, since the last sync
	lengths  []int64            // since the last sync
	modified int64
	settled  int64 // durable modification time
	locked   *File
}

// New returns an empty disk with room for the given bytes, -1: any number.
func New(seed uint64, room int64) *Disk {
	return &Disk{
		rng:     rand.New(rand.NewPCG(seed, 1)),
		now:     make(map[string]*inode),
		durable: make(map[string]*inode),
		room:    room,
	}
}

// CutAt lets the power go at the n-th changing call from now; 0: never.
func (d *Disk) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cutAt = 0; n > 0 {
		d.cutAt = d.steps + n
	}
}

// FailSync lets the n-th sync of a file from now fail: some of its pages are
// lost, and the cache believes that they were written.
func (d *Disk) FailSync(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs = n
}

// SetRoom changes how many bytes the files may hold together.
func (d *Disk) SetRoom(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

// Steps returns how many changing calls there were.
func (d *Disk) Steps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps
}

// Open returns the directory as a process sees it.
func (d *Disk) Open() disk.Dir {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &dir{d: d, boot: d.boot}
}

// Names returns the names there are, sorted.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.now))
}

// Content returns a copy of what name holds; nil if there is no such name.
func (d *Disk) Content(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, ok := d.now[name]; ok {
		return append([]byte{}, n.now...)
	}
	return nil
}

// Tamper changes one byte of a file behind everybody's back, durably.
func (d *Disk) Tamper(name string, off int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.now[name]
	b := []byte{n.now[off] ^ 0x10}
	n.write(b, off)
	n.sync()
}

// Kill is the end of all processes: what is open dies, nothing is lost.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reboot()
}

func (d *Disk) reboot() {
	d.boot++
	d.cutAt = 0
	for _, n := range d.now {
		n.locked = nil
	}
}

// PowerCut loses what luck wants of what was not synced, and boots again.
func (d *Disk) PowerCut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.durable)
	for _, op := range d.ops {
		if d.rng.IntN(2) == 0 {
			op.apply(names)
		}
	}
	d.now, d.durable, d.ops = names, maps.Clone(names), nil
	seen := make(map[*inode]bool)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if n := names[name]; !seen[n] {
			seen[n] = true
			n.lose(d.rng)
		}
	}
	d.reboot()
}

func (op dirOp) apply(names map[string]*inode) {
	if op.from != "" && names[op.from] == op.node {
		delete(names, op.from)
	}
	if op.to != "" {
		names[op.to] = op.node
	}
}

// step counts a changing call and tells it whether there still is power.
func (d *Disk) step(boot int) error {
	if boot != d.boot {
		return ErrPower
	}
	d.steps++
	d.clock++
	if d.cutAt > 0 && d.steps >= d.cutAt {
		return ErrPower
	}
	return nil
}

// alive is step for calls that change nothing.
func (d *Disk) alive(boot int) error {
	if boot != d.boot || d.cutAt > 0 && d.steps >= d.cutAt {
		return ErrPower
	}
	return nil
}

// grow makes room for n more bytes.
func (d *Disk) grow(n int64) error {
	if d.room < 0 || n <= 0 {
		return nil
	}
	used := n
	for _, node := range d.now {
		used += int64(len(node.now))
	}
	if used > d.room {
		return syscall.ENOSPC
	}
	return nil
}

func (n *inode) write(b []byte, off int64) {
	if end := off + int64(len(b)); end > int64(len(n.now)) {
		n.resize(end)
	}
	copy(n.now[off:], b)
	for p := off / page; p*page < off+int64(len(b)); p++ {
		end := min((p+1)*page, int64(len(n.now)))
		n.versions[p] = append(n.versions[p], slices.Clone(n.now[p*page:end]))
	}
}

func (n *inode) resize(size int64) {
	if size <= int64(len(n.now)) {
		n.now = n.now[:size:size]
	} else {
		n.now = append(n.now, make([]byte, size-int64(len(n.now)))...)
	}
	n.lengths = append(n.lengths, size)
}

// sync writes what is dirty, and only that: pages that a failed sync lost stay
// lost until somebody writes them again.
func (n *inode) sync() {
	size := int64(len(n.now))
	kept := n.durable[:min(slices.Min(append(n.lengths, size)), int64(len(n.durable)))]
	n.durable = slices.Concat(kept, make([]byte, size-int64(len(kept))))
	for p := range n.versions {
		if at := p * page; at < size {
			copy(n.durable[at:min(size, at+page)], n.now[at:])
		}
	}
	n.versions, n.lengths = make(map[int64][][]byte), nil
	n.settled = n.modified
}

// lose picks what survives.
func (n *inode) lose(rng *rand.Rand) {
	size := int64(len(n.durable))
	if i := rng.IntN(len(n.lengths) + 1); i > 0 {
		size = n.lengths[i-1]
	}
	content := make([]byte, size)
	copy(content, n.durable)
	for _, p := range slices.Sorted(maps.Keys(n.versions)) {
		versions := n.versions[p]
		if i := rng.IntN(len(versions) + 1); i > 0 && p*page < size {
			copy(content[p*page:min(size, (p+1)*page)], versions[i-1])
		}
	}
	n.now, n.durable = content, slices.Clone(content)
	if rng.IntN(2) == 0 {
		n.modified = n.settled
	}
	n.sync()
}

// failSync is a sync that lost some pages and says so once.
func (n *inode) failSync(rng *rand.Rand) {
	kept := slices.Clone(n.now)
	for _, p := range slices.Sorted(maps.Keys(n.versions)) {
		if rng.IntN(2) == 0 {
			at := p * page
			end := min(at+page, int64(len(kept)))
			if at < end {
				clear(kept[at:end])
				if at < int64(len(n.durable)) {
					copy(kept[at:end], n.durable[at:])
				}
			}
		}
	}
	n.durable, n.versions, n.lengths = kept, make(map[int64][][]byte), nil
}

func (n *inode) info() disk.Info {
	return disk.Info{
		ID: n.id, Size: int64(len(n.now)), Allocated: int64(len(n.now)),
		Modified: time.Unix(0, n.modified), Regular: true,
	}
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
