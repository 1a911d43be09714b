package rpc

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto" // also registers the standard codec
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	ddmv1 "ddm/proto/ddm/v1"
)

// Frame is a FetchResponse that holds Data, with the payload by reference: the
// bulk of all traffic, never copied between socket and owner. A server sends it
// with stream.SendMsg(frame). The frame stays its owner's all the while: who
// made or received it calls Payload.Free once done with it, after SendMsg has
// returned too.
type Frame struct {
	Assignment uint64
	Offset     int64  // of the first byte in the resource
	CRC32C     uint32 // of the payload; neither computed nor checked here
	Payload    mem.BufferSlice
}

// Event is what a client receives in place of a FetchResponse, with
// stream.RecvMsg(&event): Data as a Frame, which the receiver then owns, and
// everything else as the ordinary message. Exactly one field is set.
type Event struct {
	Message *ddmv1.FetchResponse
	Frame   *Frame
}

// Field numbers of FetchResponse.data and of Data.
const (
	fieldData       = protowire.Number(15)
	fieldAssignment = protowire.Number(1)
	fieldOffset     = protowire.Number(2)
	fieldCRC32C     = protowire.Number(3)
	fieldPayload    = protowire.Number(15)
)

// maxHeader bounds what can stand before the payload: two tags with lengths,
// two varints and a fixed32 take at most 52 bytes when written by a program
// that wastes none.
const maxHeader = 64

// codec speaks protobuf. It has a way of its own for *Frame and *Event and
// leaves every other message to the standard codec.
type codec struct {
	std encoding.CodecV2
}

func newCodec() codec { return codec{std: encoding.GetCodecV2(proto.Name)} }

// Name is the standard codec's: what goes over the wire is ordinary protobuf.
func (codec) Name() string { return proto.Name }

// Marshal encodes v. The payload of a *Frame is referenced, not copied.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*Frame)
	if !ok {
		return c.std.Marshal(v)
	}
	size := f.Payload.Len()
	// The sum of both lengths has to fit what protobuf allows a message.
	if size > math.MaxInt32-maxHeader {
		return nil, fmt.Errorf("rpc: frame of %d bytes is too large", size)
	}
	inner := make([]byte, 0, maxHeader)
	inner = protowire.AppendTag(inner, fieldAssignment, protowire.VarintType)
	inner = protowire.AppendVarint(inner, f.Assignment)
	inner = protowire.AppendTag(inner, fieldOffset, protowire.VarintType)
	inner = protowire.AppendVarint(inner, uint64(f.Offset))
	inner = protowire.AppendTag(inner, fieldCRC32C, protowire.Fixed32Type)
	inner = protowire.AppendFixed32(inner, f.CRC32C)
	inner = protowire.AppendTag(inner, fieldPayload, protowire.BytesType)
	inner = protowire.AppendVarint(inner, uint64(size))

	header := make([]byte, 0, maxHeader)
	header = protowire.AppendTag(header, fieldData, protowire.BytesType)
	header = protowire.AppendVarint(header, uint64(len(inner)+size))
	header = append(header, inner...)

	// gRPC frees what Marshal returns; the owner frees the payload besides.
	out := make(mem.BufferSlice, 0, 1+len(f.Payload))
	out = append(out, mem.SliceBuffer(header))
	for _, b := range f.Payload {
		b.Ref()
		out = append(out, b)
	}
	return out, nil
}

// Unmarshal decodes data into v. An *Event takes references to the buffers that
// hold the payload; its owner frees them.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	ev, ok := v.(*Event)
	if !ok {
		return c.std.Unmarshal(data, v)
	}
	if f, start, ok := parseHeader(data); ok {
		f.Payload = tail(data, start)
		*ev = Event{Frame: &f}
		return nil
	}
	// Another event, or Data in an unusual but valid encoding.
	m := new(ddmv1.FetchResponse)
	if err := c.std.Unmarshal(data, m); err != nil {
		return err
	}
	*ev = Event{Message: m}
	if d := m.GetData(); d != nil {
		*ev = Event{Frame: &Frame{
			Assignment: d.GetAssignmentId(),
			Offset:     d.GetOffset(),
			CRC32C:     d.GetCrc32C(),
			Payload:    mem.BufferSlice{mem.SliceBuffer(d.GetPayload())},
		}}
	}
	return nil
}

// parseHeader reads a message that is one Data whose payload comes last and
// fills the rest: the encoding that Marshal and the standard codec produce.
// start is where the payload begins. At the first doubt ok is false, and the
// standard codec decides what the bytes mean.
func parseHeader(data mem.BufferSlice) (f Frame, start int, ok bool) {
	var scratch [maxHeader]byte
	total := data.Len()
	p := parser{buf: scratch[:data.CopyTo(scratch[:])]}

	num, typ := p.tag()
	size := p.varint()
	if p.err != nil || num != fieldData || typ != protowire.BytesType || size != uint64(total-p.pos) {
		return Frame{}, 0, false
	}
	for p.err == nil {
		num, typ = p.tag()
		switch {
		case num == fieldAssignment && typ == protowire.VarintType:
			f.Assignment = p.varint()
		case num == fieldOffset && typ == protowire.VarintType:
			f.Offset = int64(p.varint())
		case num == fieldCRC32C && typ == protowire.Fixed32Type:
			f.CRC32C = p.fixed32()
		case num == fieldPayload && typ == protowire.BytesType:
			size = p.varint()
			return f, p.pos, p.err == nil && size > 0 && size == uint64(total-p.pos)
		default:
			return Frame{}, 0, false
		}
	}
	return Frame{}, 0, false
}

// tail returns data from start on, with references of its own.
func tail(data mem.BufferSlice, start int) mem.BufferSlice {
	out := make(mem.BufferSlice, 0, len(data))
	for _, b := range data {
		n := b.Len()
		if start >= n {
			start -= n
			continue
		}
		out = append(out, b.Slice(start, n))
		start = 0
	}
	return out
}

var errMalformed = errors.New("malformed header")

// parser reads protobuf primitives until the first error, then zeros.
type parser struct {
	buf []byte
	pos int
	err error
}

func (p *parser) tag() (protowire.Number, protowire.Type) {
	num, typ, n := protowire.ConsumeTag(p.buf[p.pos:])
	p.advance(n)
	return num, typ
}

func (p *parser) varint() uint64 {
	v, n := protowire.ConsumeVarint(p.buf[p.pos:])
	p.advance(n)
	return v
}

func (p *parser) fixed32() uint32 {
	v, n := protowire.ConsumeFixed32(p.buf[p.pos:])
	p.advance(n)
	return v
}

func (p *parser) advance(n int) {
	if n < 0 {
		p.err, p.pos = errMalformed, len(p.buf)
		return
	}
	p.pos += n
}
