package disk_test

import (
	"os"
	"testing"

	"ddm/internal/partfile/disk"
)

// TestLargeFile writes behind 4 GiB, which takes a flag where processors have
// 32 bits: GOARCH=386 go test ./internal/partfile/disk
func TestLargeFile(t *testing.T) {
	t.Parallel()
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f, err := d.OpenFile("f", os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const off = 5 << 30
	if _, err := f.WriteVec([][]byte{[]byte("far"), []byte(" out")}, off); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 7)
	if _, err := f.ReadAt(got, off); err != nil || string(got) != "far out" {
		t.Errorf("%q, %v", got, err)
	}
}
