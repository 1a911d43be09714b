package crc32c

import "hash/crc32"

// Join returns the checksum of A followed by B from those of A and B and the
// length of B in bytes: A's is multiplied by x^(8*n) modulo the polynomial.
func Join(a, b uint32, n int64) uint32 {
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

// multiply multiplies two polynomials over GF(2) modulo the Castagnoli one, all
// with their lowest power in the highest bit.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.Castagnoli
		}
	}
	return product
}
