// Package crc32c computes CRC-32C (RFC 3720, appendix B.4; polynomial
// 0x1EDC6F41): the checksum of frames on the wire, of runs in the journal and of
// pieces in the store.
//
// Every byte passes it once on each machine, which makes it the largest part of
// the data plane outside the kernel. hash/crc32 uses the processor's CRC
// instruction at three places of a buffer at a time: 24 GB/s in the cache, 9 from
// memory. Processors that multiply carry-less in registers of 512 bits fold long
// buffers in the order of their bytes: 48 and 27 GB/s (BenchmarkChecksum).
//
//	p: [ 512 | 512 | ... | rest ]
//	     `- fold, in 8 registers, to 16 bytes -> CRC instruction -> hash/crc32
package crc32c

import "hash/crc32"

const (
	stride       = 512 // bytes that fold takes at a time
	worthFolding = 2 * stride
)

// Checksum returns the checksum of p.
func Checksum(p []byte) uint32 { return Update(0, p) }

// Update returns the checksum of what crc is the checksum of, followed by p.
func Update(crc uint32, p []byte) uint32 {
	if n := len(p) &^ (stride - 1); n >= worthFolding && foldable() {
		crc = ^fold(^crc, &p[0], n)
		p = p[n:]
	}
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), p)
}
