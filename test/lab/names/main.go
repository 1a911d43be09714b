// Command names is the name server of the lab: every name is the address that
// it was told. It prints the address of everybody who asks, one a line.
//
//	names -listen 10.99.0.1:53 -answer 10.99.0.1
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/net/dns/dnsmessage"
)

func main() {
	listen := flag.String("listen", ":53", "where to answer, UDP")
	answer := flag.String("answer", "127.0.0.1", "the IPv4 address of every name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *answer); err != nil {
		fmt.Fprintln(os.Stderr, "names:", err)
		os.Exit(1) //nolint:gocritic // the process ends either way
	}
}

func run(ctx context.Context, listen, answer string) error {
	addr, err := netip.ParseAddr(answer)
	if err != nil || !addr.Is4() {
		return fmt.Errorf("-answer %q: want an IPv4 address", answer)
	}
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", listen)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	fmt.Fprintln(os.Stderr, "names ready at", conn.LocalAddr())
	buf := make([]byte, 4<<10)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		reply, err := respond(buf[:n], addr.As4())
		if err != nil {
			continue // no question that a resolver would send
		}
		if asker, err := netip.ParseAddrPort(from.String()); err == nil {
			fmt.Println(asker.Addr().Unmap())
		}
		if _, err := conn.WriteTo(reply, from); err != nil {
			return err
		}
	}
}

// respond answers a question for an address; other questions have no answer.
func respond(query []byte, addr [4]byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
	m.Additionals = nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: addr},
			})
		}
	}
	return m.Pack()
}
