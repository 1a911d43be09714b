package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"ddm/internal/errdefs"
)

// transportError gives an error of the transport its kind. Errors of ctx are
// kept as they are. The text names the host, never the URL.
func transportError(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("request to %s: %w", host, ctx.Err())
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused // alone: what wraps it names the address
	}
	if _, ok := errors.AsType[errdefs.Kind](err); ok {
		return err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("%w: %s: %s", errdefs.Unresolved, host, dns.Err)
	}
	if isCertificate(err) {
		return fmt.Errorf("%w: certificate of %s: %w", errdefs.Refused, host, err)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Errorf("%w: %s: %w", errdefs.Timeout, host, err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s closed the connection without an answer: %w", errdefs.Unavailable, host, io.ErrUnexpectedEOF)
	}
	// net/http has no types for these.
	text := err.Error()
	if strings.Contains(text, "malformed") || strings.Contains(text, "response headers exceeded") || strings.Contains(text, "Content-Length") {
		return fmt.Errorf("%w: %s: %w", errdefs.BadReply, host, err)
	}
	return fmt.Errorf("%w: %s: %w", errdefs.Unavailable, host, err)
}

// isCertificate reports whether the origin could not prove its name.
func isCertificate(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}
