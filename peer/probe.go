package peer

import (
	"context"
	"errors"
	"net"
	"net/url"
	"time"

	"google.golang.org/grpc/peer"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	probeBytes = 16 << 10 // asked of the origin; enough for any server to answer in ranges
	probeLimit = 30 * time.Second
)

// Probe tells what this peer sees of a resource.
func (s *service) Probe(ctx context.Context, req *ddmv1.ProbeRequest) (*ddmv1.ProbeResponse, error) {
	res, err := checkResource(req.GetResource())
	if err != nil {
		return nil, err
	}
	leave, err := s.admission.enter(clientOf(ctx))
	if err != nil {
		return nil, err
	}
	defer leave()
	end, err := s.admission.start(originOf(res.URL))
	if err != nil {
		return nil, err
	}
	defer end()

	line, err := cheapest(s.lines.Lines())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	reply, err := line.Origin.Probe(ctx, origin.ProbeRequest{URL: res.URL, Header: res.Header, First: probeBytes})
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.metrics.failed(errdefs.KindOf(err))
			s.log.Debug("probe failed", "origin", originOf(res.URL), "reason", detail(err))
		}
		shown, _ := conceal(err, false)
		return nil, shown
	}
	cancel() // the body is of no use
	_ = reply.Body.Close()
	return &ddmv1.ProbeResponse{
		Generation:         origin.GenerationToProto(reply.Gen),
		Ranges:             !reply.Whole,
		ContentDisposition: reply.Disposition,
		FinalUrl:           publicURL(reply.FinalURL),
	}, nil
}

// publicURL takes out of a URL what may hold a secret.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// clientOf names the client of a call by its address, without the port.
func clientOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
		return host
	}
	return p.Addr.String()
}
