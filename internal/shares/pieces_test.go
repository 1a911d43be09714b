package shares_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	"ddm/internal/byterange"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/shares"
	ddmv1 "ddm/proto/ddm/v1"
)

// pages answers with what a function says.
type pages func(req *ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error)

func (p pages) ListPieces(_ context.Context, req *ddmv1.ListPiecesRequest, _ ...grpc.CallOption) (*ddmv1.ListPiecesResponse, error) {
	return p(req)
}

// TestPiecesOfFiles: what a holder says is what its files' pieces hash to, and
// nothing is said of others, nor of one that is offered no more.
func TestPiecesOfFiles(t *testing.T) {
	for _, size := range []int{1, 1 << 20, 3<<20 + 77} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := content(size, 9)
			inBubble(t, func(dir string) []string {
				put(t, filepath.Join(dir, "a"), b)
				return []string{dir}
			}, func(w *world) {
				srv := &shares.Server{Files: w.files}
				ask := pages(func(req *ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error) {
					return srv.ListPieces(w.t.Context(), req)
				})
				p, err := shares.AskPieces(t.Context(), ask, sha256.Sum256(b), int64(size))
				if err != nil {
					t.Fatal(err)
				}
				if bad, err := p.Check(t.Context(), bytes.NewReader(b), int64(size), nil); err != nil || len(bad) > 0 {
					t.Errorf("bad are %v, %v", bad, err)
				}
				if _, err := shares.AskPieces(t.Context(), ask, sha256.Sum256(nil), 5); !errors.Is(err, errdefs.NotFound) {
					t.Errorf("of what is not offered: %v", err)
				}
				for _, req := range []*ddmv1.ListPiecesRequest{{}, {Sha256: b[:1]}, {Sha256: sum(b), First: -1}, {Sha256: sum(b), First: 99}} {
					if _, err := srv.ListPieces(t.Context(), req); !errors.Is(err, errdefs.Invalid) {
						t.Errorf("%v: %v", req, err)
					}
				}
			})
		})
	}
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func TestPieceLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 1 << 20, 16 << 30, 16<<30 + 1, 1 << 40, 1<<62 + 5} {
		length := shares.PieceLength(size)
		n := (size-1)/length + 1
		if n > 16_384 || n < 8_192 && length > 1<<20 || length&(length-1) != 0 {
			t.Errorf("%d bytes: %d pieces of %d", size, n, length)
		}
	}
	if shares.PieceLength(16<<30) != 1<<20 || shares.PieceLength(16<<30+1) != 2<<20 {
		t.Error("not 16 GiB are the limit")
	}
}

// TestPiecesInPages: long lists come in several messages.
func TestPiecesInPages(t *testing.T) {
	t.Parallel()
	const size = 10_000<<20 - 5
	calls := 0
	p, err := shares.AskPieces(t.Context(), pages(func(req *ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error) {
		calls++
		n := min(4096, 10_000-req.GetFirst())
		return &ddmv1.ListPiecesResponse{Size: size, PieceLength: 1 << 20, Sums: bytes.Repeat([]byte{byte(calls)}, int(n)*32)}, nil
	}), sha256.Sum256(nil), size)
	if err != nil || calls != 3 || p.Fits(size) != nil || p.Sums[4095][0] != 1 || p.Sums[4096][31] != 2 || p.Sums[9999][0] != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// FuzzAskPieces: whatever holders say, it ends, and what passes fits the file.
func FuzzAskPieces(f *testing.F) {
	f.Add(int64(3<<20), int64(3<<20), int64(1<<20), []byte{96})
	f.Add(int64(1), int64(1), int64(1<<20), []byte{32, 1})
	f.Add(int64(5000<<20), int64(5000<<20), int64(1<<20), []byte{0, 255, 3})
	f.Fuzz(func(t *testing.T, size, said, length int64, lengths []byte) {
		if size < 1 {
			return
		}
		calls := 0
		p, err := shares.AskPieces(t.Context(), pages(func(*ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error) {
			calls++
			n := 4096 * 32
			if calls <= len(lengths) {
				n = int(lengths[calls-1])
			}
			return &ddmv1.ListPiecesResponse{Size: said, PieceLength: length, Sums: make([]byte, n)}, nil
		}), sha256.Sum256(nil), size)
		if calls > 5 {
			t.Fatalf("%d calls", calls)
		}
		if err != nil {
			if !errors.Is(err, errdefs.BadReply) {
				t.Fatal(err)
			}
			return
		}
		if p.Fits(size) != nil || p.Algorithm != digest.SHA256 || len(p.Sums) > 16_384 || p.Range(len(p.Sums)-1, size) != byterange.Between(int64(len(p.Sums)-1)*p.Length, size) {
			t.Fatalf("%d pieces of %d bytes for %d", len(p.Sums), p.Length, size)
		}
	})
}

// TestPiecesOfAnotherGrid: lists that cannot be compared are of no use.
func TestPiecesOfAnotherGrid(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	for _, page := range []*ddmv1.ListPiecesResponse{
		{Size: size, PieceLength: 2 << 20, Sums: make([]byte, 4*32)},
		{Size: size + 1, PieceLength: 1 << 20, Sums: make([]byte, 4*32)},
		{Size: size, PieceLength: 1 << 20, Sums: make([]byte, 5*32)},
		{Size: size, PieceLength: 1 << 20, Sums: make([]byte, 3*32)},
		{Size: size, PieceLength: 1 << 20, Sums: make([]byte, 4*32-1)},
		{},
	} {
		_, err := shares.AskPieces(t.Context(), pages(func(*ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error) { return page, nil }), sha256.Sum256(nil), size)
		if !errors.Is(err, errdefs.BadReply) {
			t.Errorf("%d bytes in pieces of %d, %d bytes of digests: %v", page.GetSize(), page.GetPieceLength(), len(page.GetSums()), err)
		}
	}
}
