package digest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
)

const (
	emptyMD5    = "d41d8cd98f00b204e9800998ecf8427e"
	emptySHA1   = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want, err string }{
		{in: "md5:" + emptyMD5, want: "md5:" + emptyMD5},
		{in: "MD5=" + strings.ToUpper(emptyMD5), want: "md5:" + emptyMD5},
		{in: "sha-1:" + emptySHA1, want: "sha1:" + emptySHA1},
		{in: "SHA-256:" + emptySHA256, want: "sha256:" + emptySHA256},
		{in: "sha512:" + emptySHA256 + emptySHA256, want: "sha512:" + emptySHA256 + emptySHA256},
		{in: "", err: "must be written ALGO:HEX"},
		{in: emptySHA256, err: "must be written ALGO:HEX"},
		{in: "sha3:00", err: "sha256, sha512, sha1 and md5 are"},
		{in: "sha:" + emptySHA1, err: "no algorithm"},
		{in: "crc32c:00000000", err: "no algorithm"},
		{in: "md5:zz", err: `"zz" is not hexadecimal`},
		{in: "md5:", err: "md5 has 32 hexadecimal digits, not 0"},
		{in: "sha256:" + emptyMD5, err: "sha256 has 64 hexadecimal digits, not 32"},
	} {
		got, err := digest.Parse(tt.in)
		switch {
		case tt.err != "":
			if !errors.Is(err, errdefs.Invalid) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: %v, want %q", tt.in, err, tt.err)
			}
		case err != nil || got.String() != tt.want:
			t.Errorf("%q: %v, %v", tt.in, got, err)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	of := map[string]string{
		digest.MD5: emptyMD5, digest.SHA1: emptySHA1, digest.SHA256: emptySHA256,
		digest.SHA512: "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
		digest.CRC32C: "00000000",
	}
	var all []digest.Digest
	for name, sum := range of {
		d, ok := digest.FromHex(name, sum)
		h, err := digest.New(name)
		if !ok || err != nil || hex.EncodeToString(h.Sum(nil)) != sum || h.Size() != digest.Size(name) {
			t.Errorf("%s: %v %v", name, d, err)
		}
		if d.Secure() != (name == digest.SHA256 || name == digest.SHA512) {
			t.Errorf("%s: secure %v", name, d.Secure())
		}
		all = append(all, d)
	}
	slices.SortFunc(all, digest.ByStrength)
	var order []string
	for _, d := range all {
		order = append(order, d.Algorithm)
	}
	if got := strings.Join(order, " "); got != "sha512 sha256 sha1 md5 crc32c" {
		t.Errorf("by strength: %s", got)
	}
	if _, err := digest.New("sha3"); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("sha3: %v", err)
	}
	if _, ok := digest.Strongest(nil); ok {
		t.Error("the strongest of none")
	}
	for in, want := range map[string]string{"SHA": "sha1", "sha-512": "sha512", "Sha_256": "sha256", "id-sha-256": "", "crc32": "", "": ""} {
		if got := digest.Canonical(in); got != want {
			t.Errorf("%q is called %q, want %q", in, got, want)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	long := strings.Repeat("c3", 64)
	for _, tt := range []struct {
		name, text string
		ask        []string
		want, err  string
	}{
		{name: "bare", text: a + "\n", ask: []string{"x"}, want: "sha256:" + a},
		{name: "bare, upper case, no newline", text: strings.ToUpper(a), want: "sha256:" + a},
		{name: "bare with algorithm", text: "sha-256:" + a, want: "sha256:" + a},
		{name: "BOM and CRLF", text: "\ufeff" + a + "  x.iso\r\n" + b + "  y.iso\r\n", ask: []string{"y.iso"}, want: "sha256:" + b},
		{name: "text", text: a + "  x.iso\n" + b + "  y.iso\n", ask: []string{"x.iso"}, want: "sha256:" + a},
		{name: "binary", text: a + " *x.iso\n" + b + " *y.iso\n", ask: []string{"y.iso"}, want: "sha256:" + b},
		{name: "tab", text: a + "\tx.iso\n" + b + "\ty.iso\n", ask: []string{"y.iso"}, want: "sha256:" + b},
		{name: "folders", text: a + "  ./x/x.iso\n" + b + "  /build/y y.iso\n", ask: []string{"y y.iso"}, want: "sha256:" + b},
		{name: "escaped", text: `\` + a + `  a\\b\nc` + "\n" + b + "  c\n", ask: []string{"b\nc"}, want: "sha256:" + a},
		{name: "BSD", text: "SHA256 (x.iso) = " + a + "\nMD5 (x.iso) = " + emptyMD5 + "\nSHA512 (y) = " + long, ask: []string{"x.iso"}, want: "sha256:" + a},
		{name: "openssl", text: "SHA2-256(x.iso)= " + a + "\nSHA256(x.iso)= " + b, ask: []string{"x.iso"}, want: "sha256:" + b},
		{name: "signed", text: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# x.iso: 5 bytes\nSHA256 (x.iso) = " + a + "\n-----BEGIN PGP SIGNATURE-----\niQIzBAEBCAAdFiEE\n", ask: []string{"x.iso"}, want: "sha256:" + a},
		{name: "the only one, of another name", text: a + "  build-17.iso\n", ask: []string{"latest.iso"}, want: "sha256:" + a},
		{name: "the strongest", text: emptyMD5 + "  x\n" + long + "  x\n" + a + "  x\n" + b + "  y\n", ask: []string{"x"}, want: "sha512:" + long},
		{name: "second name", text: a + "  x\n" + b + "  y\n", ask: []string{"", "z", "y"}, want: "sha256:" + b},
		{name: "repeated", text: a + "  x\n" + a + " *x\n" + b + "  y", ask: []string{"x"}, want: "sha256:" + a},
		{name: "disputed", text: a + "  d/x\n" + b + "  e/x\n", ask: []string{"x"}, err: "several sha256 checksums"},
		{name: "another file", text: a + "  x\n" + b + "  y\n", ask: []string{"z"}, err: `none of its 2 checksums is of "z"`},
		{name: "nothing asked", text: a + "  x\n" + b + "  y\n", ask: []string{""}, err: "none of its 2"},
		{name: "web page", text: "<!DOCTYPE html>\n<html>404</html>\n", err: "no checksum is in it"},
		{name: "empty", err: "no checksum is in it"},
		{name: "odd digits", text: a[1:] + "  x\n", err: "no checksum is in it"},
		{name: "wrong length for the algorithm", text: "SHA512 (x) = " + a, err: "no checksum is in it"},
		{name: "too long", text: strings.Repeat("\n", digest.MaxList+1), err: "at most 4 MiB"},
	} {
		list, err := digest.ParseList(tt.text)
		var got digest.Digest
		if err == nil {
			got, err = list.For(tt.ask...)
		}
		switch {
		case tt.err != "":
			if !errors.Is(err, errdefs.Invalid) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
			}
		case err != nil || got.String() != tt.want:
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
}

// FuzzList: what is written in any of the forms is read back, whatever stands
// around it.
func FuzzList(f *testing.F) {
	f.Add("x.iso", "content", "# comment", uint8(0))
	f.Add("a b (c) = d", "", "SHA256 (x) = 00\n\\", uint8(2))
	f.Add(`back\slash`, "y", "", uint8(1))
	f.Fuzz(func(t *testing.T, name, content, junk string, form uint8) {
		if list, err := digest.ParseList(junk); (err == nil) != (len(list) > 0) {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		if name == "" || name != strings.TrimSpace(name) || strings.ContainsAny(name, "\r\n/\\*\x00") || name == "." || strings.HasPrefix(name, " ") {
			return
		}
		sum := sha256.Sum256([]byte(content))
		digits := hex.EncodeToString(sum[:])
		line := []string{digits + "  " + name, digits + " *" + name, "SHA256 (" + name + ") = " + digits}[form%3]
		list, err := digest.ParseList(line + "\n" + strings.Repeat("0", 64) + "  other\n")
		if err != nil || len(list) != 2 || list[0].Name != name {
			t.Fatalf("%q: %v, %v", line, list, err)
		}
		if got, err := list.For(name); err != nil && name != "other" || err == nil && string(got.Sum) != string(sum[:]) {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	})
}
