// Package digest knows what content must hash to, wherever that is said. It is
// pure.
//
//	--checksum ALGO:HEX ---Parse-------.
//	SHA256SUMS, .sha256 ---ParseList---+
//	Repr-Digest, Digest,               +--> Digest --New--> hash of what arrived
//	x-goog-hash, ... ------FromHeader--'
//	Metalink piece hashes -------------> Pieces --Check--> the pieces that are bad
//
// Who says so matters as much as what is said: only sha256 and sha512 prove
// anything against somebody who lies, and only from one who may be believed.
package digest

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // publishers may offer nothing better; it finds accidents
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"slices"
	"strings"

	"ddm/internal/errdefs"
)

// The algorithms, strongest first.
const (
	SHA512 = "sha512"
	SHA256 = "sha256"
	SHA1   = "sha1"
	MD5    = "md5"
	CRC32C = "crc32c"
)

// Digest is what content must hash to.
type Digest struct {
	Algorithm string // one of the constants
	Sum       []byte // as long as the algorithm makes it
}

// String gives ALGO:HEX.
func (d Digest) String() string { return d.Algorithm + ":" + hex.EncodeToString(d.Sum) }

// Equal reports whether both say the same.
func (d Digest) Equal(o Digest) bool { return d.Algorithm == o.Algorithm && bytes.Equal(d.Sum, o.Sum) }

// Secure reports whether nobody can make other content that hashes to it.
func (d Digest) Secure() bool { return Secure(d.Algorithm) }

// Secure reports whether nobody can make two contents with one sum.
func Secure(algorithm string) bool { return algorithm == SHA256 || algorithm == SHA512 }

// Size returns how many bytes the algorithm's sums have, 0 if it is not known
// here.
func Size(algorithm string) int {
	switch algorithm {
	case SHA512:
		return sha512.Size
	case SHA256:
		return sha256.Size
	case SHA1:
		return sha1.Size
	case MD5:
		return md5.Size
	case CRC32C:
		return crc32.Size
	}
	return 0
}

// New makes a hash. An algorithm that is not known is errdefs.Invalid.
func New(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case SHA512:
		return sha512.New(), nil
	case SHA256:
		return sha256.New(), nil
	case SHA1:
		return sha1.New(), nil
	case MD5:
		return md5.New(), nil
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)), nil
	}
	return nil, fmt.Errorf("%w: checksum algorithm %q: sha256, sha512, sha1 and md5 are known", errdefs.Invalid, algorithm)
}

// Canonical returns the constant for an algorithm as others spell it (SHA-256,
// sha_256; sha is SHA-1), "" if it is not known here.
func Canonical(name string) string {
	name = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	if name == "sha" {
		return SHA1
	}
	if Size(name) == 0 {
		return ""
	}
	return name
}

// ByStrength compares two digests: the stronger one comes first.
func ByStrength(a, b Digest) int { return rank(a.Algorithm) - rank(b.Algorithm) }

func rank(algorithm string) int {
	order := []string{SHA512, SHA256, SHA1, MD5, CRC32C}
	if i := slices.Index(order, algorithm); i >= 0 {
		return i
	}
	return len(order)
}

// Strongest returns the one to check if only one is; ok is false if there is
// none.
func Strongest(all []Digest) (d Digest, ok bool) {
	if len(all) == 0 {
		return Digest{}, false
	}
	return slices.MinFunc(all, ByStrength), true
}

// Parse reads ALGO:HEX as users write it, with sha256, sha512, sha1 or md5;
// aria2's ALGO=HEX and a hyphen in the name are taken too. Its errors are
// errdefs.Invalid and say what would be right.
func Parse(s string) (Digest, error) {
	i := strings.IndexAny(s, ":=")
	if i < 0 {
		return Digest{}, invalid("%q must be written ALGO:HEX, such as md5:d41d8cd98f00b204e9800998ecf8427e", s)
	}
	algorithm := Canonical(s[:i])
	if algorithm == "" || algorithm == CRC32C || strings.EqualFold(s[:i], "sha") {
		return Digest{}, invalid("%q is no algorithm known here: sha256, sha512, sha1 and md5 are", s[:i])
	}
	sum, err := hex.DecodeString(s[i+1:])
	if err != nil {
		return Digest{}, invalid("%q is not hexadecimal", s[i+1:])
	}
	if len(sum) != Size(algorithm) {
		return Digest{}, invalid("%s has %d hexadecimal digits, not %d", algorithm, 2*Size(algorithm), len(s)-i-1)
	}
	return Digest{Algorithm: algorithm, Sum: sum}, nil
}

// FromHex makes the digest of a named algorithm; ok is false if the algorithm
// is not known, or the sum is no hexadecimal of its length.
func FromHex(algorithm, sum string) (d Digest, ok bool) {
	algorithm = Canonical(algorithm)
	b, err := hex.DecodeString(strings.TrimSpace(sum))
	if algorithm == "" || err != nil || len(b) != Size(algorithm) {
		return Digest{}, false
	}
	return Digest{Algorithm: algorithm, Sum: b}, true
}

// invalidError is a text of kind errdefs.Invalid that does not repeat the
// kind: whoever shows it says what was being read.
type invalidError string

func (e invalidError) Error() string { return string(e) }
func (e invalidError) Unwrap() error { return errdefs.Invalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }
