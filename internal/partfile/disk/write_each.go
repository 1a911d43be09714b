//go:build !linux

package disk

import "os"

// writeEach is writeVec without the vector: one call per buffer.
func writeEach(f *os.File, bufs [][]byte, off int64) (int64, error) {
	var done int64
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+done)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
