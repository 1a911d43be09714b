package partfile

import "hash/crc32"

// reflected is the Castagnoli polynomial, lowest power in the highest bit.
const reflected = crc32.Castagnoli

// update continues a CRC32C over p.
func update(crc uint32, p []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), p)
}

// join returns the CRC32C of A followed by B from those of A and B and the
// length of B: A's is multiplied by x^(8*n) modulo the polynomial.
func join(a, b uint32, n int64) uint32 {
	const one, x8 = 1 << 31, 1 << 23
	power, square := uint32(one), uint32(x8)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power = multiply(power, square)
		}
		square = multiply(square, square)
	}
	return multiply(power, a) ^ b
}

// multiply multiplies two polynomials over GF(2) modulo the Castagnoli one.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= reflected
		}
	}
	return product
}
