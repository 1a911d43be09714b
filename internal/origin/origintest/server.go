// Package origintest is an HTTP origin that misbehaves on request.
//
//	client --> Throttle (rate per connection, per client address)
//	             --> Handler (File, Faults) --> Content (bytes from seed, generation, offset)
//	                    \--> record (who asked for what, what is still running)
//
// New serves on loopback, Serve on any listener (pipenet in a synctest
// bubble), NewHandler is for servers of one's own.
package origintest

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// Server is a running origin; it ends with its test.
type Server struct {
	*Handler
	URL string // scheme and address, without a slash at the end
	srv *httptest.Server
}

// New serves on a loopback address.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	var lc net.ListenConfig
	lis, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return Serve(t, lis, o)
}

// Serve serves on a listener, and closes it at the end of the test.
func Serve(t testing.TB, lis net.Listener, o Options) *Server {
	t.Helper()
	h := NewHandler(o)
	srv := &httptest.Server{
		Listener: o.Throttle.Listen(lis),
		Config: &http.Server{
			Handler:  h,
			ErrorLog: hclog.NewNullLogger().StandardLogger(nil),
		},
	}
	if o.TLS {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	s := &Server{Handler: h, URL: srv.URL, srv: srv}
	t.Cleanup(s.Close)
	return s
}

// Close ends every request and the server. It may be called twice.
func (s *Server) Close() {
	s.Release()
	s.srv.CloseClientConnections()
	s.srv.Close()
}

// Roots trusts the certificate of a server with Options.TLS, whose names are
// example.com and 127.0.0.1.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.srv.Certificate())
	return pool
}
