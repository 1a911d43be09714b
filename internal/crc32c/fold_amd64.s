#include "textflag.h"

// To move 128 bits d bits further on is to multiply their halves by powers of x
// modulo the polynomial: the low half, whose bytes come first, by x^(d+32), the
// high half by x^(d-32). As everything here, the powers have their bits in
// reverse, shifted left by one for what a reversed product lacks.
// TestPowers computes them anew.
#define POWERS(name, low, high) \
	DATA name<>+0(SB)/8, $low \
	DATA name<>+8(SB)/8, $high \
	GLOBL name<>(SB), RODATA|NOPTR, $16

POWERS(by4096, 0x0bd6f81f8, 0x0dd7e3b0c)
POWERS(by2048, 0x0dcb17aa4, 0x0b9e02b86)
POWERS(by1024, 0x06992cea2, 0x00d3b6092)
POWERS(by512, 0x0740eef02, 0x09e4addf8)
POWERS(by256, 0x1384aa63a, 0x0ba4fc28e)
POWERS(by128, 0x0f20c0dfe, 0x14cd00bd6)

// MOVE adds acc, moved on by the powers in Z15, to what is at to.
#define MOVE(acc, to) \
	VPCLMULQDQ $0x00, Z15, acc, Z8 \
	VPCLMULQDQ $0x11, Z15, acc, acc \
	VPTERNLOGQ $0x96, to, Z8, acc

// func fold(crc uint32, p *byte, n int) uint32
TEXT ·fold(SB), NOSPLIT, $0-28
	MOVL      crc+0(FP), AX
	MOVQ      p+8(FP), SI
	MOVQ      n+16(FP), CX
	VMOVD     AX, X8
	VPXORQ    0(SI), Z8, Z0
	VMOVDQU64 64(SI), Z1
	VMOVDQU64 128(SI), Z2
	VMOVDQU64 192(SI), Z3
	VMOVDQU64 256(SI), Z4
	VMOVDQU64 320(SI), Z5
	VMOVDQU64 384(SI), Z6
	VMOVDQU64 448(SI), Z7

	VBROADCASTI32X4 by4096<>(SB), Z15

next: // and what is needed soon comes from memory meanwhile, whatever page it is on
	PREFETCHT0 2048(SI)
	PREFETCHT0 2112(SI)
	PREFETCHT0 2176(SI)
	PREFETCHT0 2240(SI)
	PREFETCHT0 2304(SI)
	PREFETCHT0 2368(SI)
	PREFETCHT0 2432(SI)
	PREFETCHT0 2496(SI)
	ADDQ       $512, SI
	SUBQ       $512, CX
	JZ         join
	MOVE(Z0, 0(SI))
	MOVE(Z1, 64(SI))
	MOVE(Z2, 128(SI))
	MOVE(Z3, 192(SI))
	MOVE(Z4, 256(SI))
	MOVE(Z5, 320(SI))
	MOVE(Z6, 384(SI))
	MOVE(Z7, 448(SI))
	JMP next

join:
	VBROADCASTI32X4 by2048<>(SB), Z15
	MOVE(Z0, Z4)
	MOVE(Z1, Z5)
	MOVE(Z2, Z6)
	MOVE(Z3, Z7)
	VBROADCASTI32X4 by1024<>(SB), Z15
	MOVE(Z0, Z2)
	MOVE(Z1, Z3)
	VBROADCASTI32X4 by512<>(SB), Z15
	MOVE(Z0, Z1)
	VEXTRACTI64X4 $1, Z0, Y1
	VBROADCASTI32X4 by256<>(SB), Z15
	MOVE(Z0, Z1) // the upper half of Z0 goes nowhere
	VEXTRACTI128 $1, Y0, X1

	VMOVDQU    by128<>(SB), X15
	VPCLMULQDQ $0x00, X15, X0, X8
	VPCLMULQDQ $0x11, X15, X0, X0
	VPXOR      X8, X0, X0
	VPXOR      X1, X0, X0

	// The CRC of 16 bytes that are congruent to all of p is the CRC of p.
	XORL    AX, AX
	VMOVQ   X0, BX
	CRC32Q  BX, AX
	VPEXTRQ $1, X0, BX
	CRC32Q  BX, AX
	VZEROUPPER
	MOVL    AX, ret+24(FP)
	RET
