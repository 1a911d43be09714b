// Package memory holds tests that the real programs need little memory,
// however large a file is, however fast it comes and however slowly it is
// taken. They look at the most that the kernel ever saw in memory (VmHWM), and
// at no time.
//
//	origin in the test, byte i a function of i <--- 8 peerd <--- ddm-client --> file, or a reader in the test
//	                                           <--- peerd <--- 8 ddm-client, some of them stopped
//
// DDM_MEMORY_SIZE sets the size of the large file in bytes (1 GiB); make soak
// takes 4 GiB. The origin needs no disk for it, the client does.
package memory
