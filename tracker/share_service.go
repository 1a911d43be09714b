package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// shareService speaks gRPC for the files that machines offer.
type shareService struct {
	ddmv1.UnimplementedShareServiceServer
	hello  *ddmv1.Hello
	shares *shares
	over   chan struct{} // closed: the tracker ends
	// receivers counts the goroutines that read from holders; Server.Run waits
	// for them.
	receivers sync.WaitGroup
}

// Offer implements ddmv1.ShareServiceServer. What a holder says is listed while
// the call lives.
func (s *shareService) Offer(stream grpc.BidiStreamingServer[ddmv1.OfferRequest, ddmv1.OfferResponse]) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	from, reached := ends(stream.Context())
	h, host, port, err := parseBegin(req.GetBegin())
	if err != nil {
		return err
	}
	if h.place, err = newPlace(host, port, from); err != nil {
		return err
	}
	h.from = from.String()
	if err := s.shares.enter(h); err != nil {
		return err
	}
	defer s.shares.leave(h)
	if err := stream.Send(&ddmv1.OfferResponse{Hello: s.hello, Address: h.place.seenBy(reached)}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	s.receivers.Go(func() { ended <- s.follow(stream, h) })
	select {
	case err := <-ended:
		return err
	case <-s.over:
		return errGoing()
	}
}

// follow takes a holder's changes until the stream ends.
func (s *shareService) follow(stream grpc.BidiStreamingServer[ddmv1.OfferRequest, ddmv1.OfferResponse], h *holder) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		change := req.GetChange()
		if change == nil {
			return fmt.Errorf("%w: what follows begin are changes", errdefs.Invalid)
		}
		came, err := parseFiles("came", change.GetCame())
		if err != nil {
			return err
		}
		gone, err := parseFiles("gone", change.GetGone())
		if err != nil {
			return err
		}
		if err := s.shares.change(h, came, gone); err != nil {
			return err
		}
	}
}

// ListShares implements ddmv1.ShareServiceServer. A page ends early where it
// would be too large for one message.
func (s *shareService) ListShares(ctx context.Context, req *ddmv1.ListSharesRequest) (*ddmv1.ListSharesResponse, error) {
	want, err := parseListShares(req)
	if err != nil {
		return nil, err
	}
	_, reached := ends(ctx)
	page, more := s.shares.list(want)
	resp := &ddmv1.ListSharesResponse{}
	size := 0
	for i, row := range page {
		share := row.proto(reached)
		size += proto.Size(share)
		if i > 0 && size > maxBatchBytes {
			resp.NextPageToken = shareToken(page[i-1].key)
			return resp, nil
		}
		resp.Shares = append(resp.Shares, share)
	}
	if more {
		resp.NextPageToken = shareToken(page[len(page)-1].key)
	}
	return resp, nil
}

func (s share) proto(reached netip.Addr) *ddmv1.Share {
	out := &ddmv1.Share{
		File:  &ddmv1.SharedFile{Sha256: s.key.sum[:], Size: s.key.size, Name: s.key.name},
		Count: int32(s.count),
	}
	for _, h := range s.holders {
		out.Holders = append(out.Holders, &ddmv1.Share_Holder{Id: h.id, Name: h.name, Address: h.place.seenBy(reached)})
	}
	return out
}
