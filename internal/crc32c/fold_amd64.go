package crc32c

import "golang.org/x/sys/cpu"

// foldable says whether the processor has what fold needs: AMD's do from Zen 4
// on, Intel's from Ice Lake on unless they have no AVX-512.
func foldable() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512VPCLMULQDQ && cpu.X86.HasSSE42
}

// fold returns the bare CRC, neither inverted before nor behind, of n bytes at p
// behind those that crc is the bare CRC of. n is a multiple of stride, and not 0.
//
// It works as V. Gopal et al. describe in "Fast CRC Computation for Generic
// Polynomials Using PCLMULQDQ Instruction" (Intel, 2009).
//
//go:noescape
func fold(crc uint32, p *byte, n int) uint32
