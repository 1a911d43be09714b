package rpc

import "google.golang.org/grpc/encoding"

// NewCodec gives tests the codec that servers and connections are forced to.
func NewCodec() encoding.CodecV2 { return newCodec() }
