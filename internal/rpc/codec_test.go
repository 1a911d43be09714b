package rpc_test

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

func dataMessage(payload []byte) *ddmv1.FetchResponse {
	return &ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Data{Data: &ddmv1.Data{
		AssignmentId: 1<<63 + 7, Offset: 3 << 40, Crc32C: 0xfffffffe, Payload: payload,
	}}}
}

func frame(payload []byte) *rpc.Frame {
	return &rpc.Frame{
		Assignment: 1<<63 + 7, Offset: 3 << 40, CRC32C: 0xfffffffe,
		Payload: mem.BufferSlice{mem.SliceBuffer(payload)},
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	bufs, err := rpc.NewCodec().Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	defer bufs.Free()
	return bufs.Materialize()
}

// split cuts data at the places in cuts, each modulo what is left.
func split(data []byte, cuts ...byte) mem.BufferSlice {
	var out mem.BufferSlice
	for _, c := range cuts {
		n := min(int(c), len(data))
		out = append(out, mem.SliceBuffer(data[:n]))
		data = data[n:]
	}
	return append(out, mem.SliceBuffer(data))
}

func checkFrame(t *testing.T, got *rpc.Frame, want *ddmv1.Data) {
	t.Helper()
	if got == nil {
		t.Fatal("no frame")
	}
	if got.Assignment != want.GetAssignmentId() || got.Offset != want.GetOffset() || got.CRC32C != want.GetCrc32C() {
		t.Errorf("frame %d, %d, %x; want %v", got.Assignment, got.Offset, got.CRC32C, want)
	}
	if !bytes.Equal(got.Payload.Materialize(), want.GetPayload()) {
		t.Error("payload differs")
	}
}

func TestFrameIsOrdinaryProtobuf(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 20000, 1 << 20} {
		payload := bytes.Repeat([]byte{0x5a}, size)
		var got ddmv1.FetchResponse
		if err := proto.Unmarshal(marshal(t, frame(payload)), &got); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !proto.Equal(&got, dataMessage(payload)) {
			t.Errorf("%d bytes: another message", size)
		}
	}
}

func TestEventReadsFrames(t *testing.T) {
	payload := bytes.Repeat([]byte("payload!"), 50)
	want := dataMessage(payload).GetData()
	for name, wire := range map[string][]byte{
		"own encoding":      marshal(t, frame(payload)),
		"standard encoding": marshal(t, dataMessage(payload)),
	} {
		// Every place where the header can straddle two or three buffers.
		for cut := range min(100, len(wire)) {
			for _, data := range []mem.BufferSlice{split(wire, byte(cut)), split(wire, byte(cut), 1), split(wire, byte(cut), 0, 2)} {
				var ev rpc.Event
				if err := rpc.NewCodec().Unmarshal(data, &ev); err != nil {
					t.Fatalf("%s cut at %d: %v", name, cut, err)
				}
				checkFrame(t, ev.Frame, want)
			}
		}
	}
}

func TestEventDoesNotCopy(t *testing.T) {
	payload := bytes.Repeat([]byte{1}, 1<<20)
	out, err := rpc.NewCodec().Marshal(frame(payload))
	if err != nil {
		t.Fatal(err)
	}
	if &out[1].ReadOnlyData()[0] != &payload[0] {
		t.Error("sending copied the payload")
	}
	var ev rpc.Event
	if err := rpc.NewCodec().Unmarshal(out, &ev); err != nil {
		t.Fatal(err)
	}
	if ev.Frame == nil || &ev.Frame.Payload[0].ReadOnlyData()[0] != &payload[0] {
		t.Error("receiving copied the payload")
	}
}

// tagged appends one length-delimited field.
func tagged(num protowire.Number, val []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), val)
}

func TestEventFallsBack(t *testing.T) {
	payload := tagged(15, []byte("bytes"))
	id := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 9)
	later := protowire.AppendVarint(protowire.AppendTag(nil, 20, protowire.VarintType), 1)
	long := tagged(30, make([]byte, 100))
	for name, wire := range map[string][]byte{
		"payload first":           tagged(15, append(bytes.Clone(payload), id...)),
		"field after the payload": tagged(15, append(append(bytes.Clone(id), payload...), later...)),
		"field before, unknown":   tagged(15, append(append(bytes.Clone(later), id...), payload...)),
		"field before, long":      tagged(15, append(append(bytes.Clone(long), id...), payload...)),
		"data twice":              append(tagged(15, id), tagged(15, payload)...),
		"field after the message": append(tagged(15, append(bytes.Clone(id), payload...)), later...),
	} {
		var ev rpc.Event
		if err := rpc.NewCodec().Unmarshal(split(wire, 3, 4), &ev); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Run(name, func(t *testing.T) {
			checkFrame(t, ev.Frame, &ddmv1.Data{AssignmentId: 9, Payload: []byte("bytes")})
		})
	}
}

func TestEventReadsOtherMessages(t *testing.T) {
	want := &ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Draining{
		Draining: &ddmv1.Draining{Grace: durationpb.New(5e9)},
	}}
	ev := rpc.Event{Frame: frame(nil)} // what was in it is gone
	if err := rpc.NewCodec().Unmarshal(split(marshal(t, want), 2), &ev); err != nil {
		t.Fatal(err)
	}
	if ev.Frame != nil || !proto.Equal(ev.Message, want) {
		t.Errorf("event %v", ev)
	}
}

func TestCodecRejects(t *testing.T) {
	var ev rpc.Event
	for _, wire := range [][]byte{{0x7a}, {0x7a, 0x05, 0x08}, {0x7a, 0x02, 0x7a, 0x05, 0x01}} {
		if err := rpc.NewCodec().Unmarshal(split(wire), &ev); err == nil {
			t.Errorf("% x was read as %v", wire, ev)
		}
	}
	if _, err := rpc.NewCodec().Marshal("no message"); err == nil {
		t.Error("a string was sent")
	}
}

// FuzzEvent holds the codec against the standard one, whatever the bytes and
// wherever the buffers are cut.
func FuzzEvent(f *testing.F) {
	payload := bytes.Repeat([]byte{7}, 300)
	f.Add(marshal(f, frame(payload)), []byte{1, 2, 3})
	f.Add(marshal(f, frame(nil)), []byte{})
	f.Add(marshal(f, dataMessage(payload[:20])), []byte{25})
	f.Add(tagged(15, append(tagged(15, payload[:5]), 0x08, 0x01)), []byte{0})
	f.Add([]byte{0x12, 0x02, 0x08, 0x01}, []byte{2})
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		var ev rpc.Event
		err := rpc.NewCodec().Unmarshal(split(wire, cuts...), &ev)
		var want ddmv1.FetchResponse
		wantErr := proto.Unmarshal(wire, &want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, the standard codec says %v", err, wantErr)
		}
		switch {
		case err != nil:
		case want.GetData() != nil:
			checkFrame(t, ev.Frame, want.GetData())
			if ev.Message != nil {
				t.Error("a message besides the frame")
			}
			// And back: what was read is what would be sent.
			var again ddmv1.FetchResponse
			if err := proto.Unmarshal(marshal(t, ev.Frame), &again); err != nil {
				t.Fatal(err)
			}
			checkFrame(t, ev.Frame, again.GetData())
		default:
			if ev.Frame != nil || !proto.Equal(ev.Message, &want) {
				t.Errorf("event %v, want %v", ev, &want)
			}
		}
	})
}
