//go:build linux

// Command rawrelay is the floor that the relay of the programs is held against:
// the same way of the bytes, with nothing on it that could be left out.
//
//	origin --HTTP--> rawrelay peer --TCP--> rawrelay client -> file
//
// The client sends the URL on one line; the peer answers with frames of a
// header (length, CRC32C of the payload, offset) and at most 256 KiB, and with
// an empty frame at the end. The client checks every frame before it writes it.
//
// Two more floors tell what limits the programs: the same over gRPC, and a
// download without a relay that does nothing but read and write.
//
//	origin --HTTP--> rawrelay grpc-peer --gRPC--> rawrelay grpc-client -> file
//	origin --HTTP--> rawrelay get -> file
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

const (
	header  = 16
	payload = 256 << 10
	mib     = 1 << 20
)

const usage = "usage: rawrelay peer|grpc-peer LISTEN | rawrelay client|grpc-client PEER FILE URL | rawrelay get FILE URL"

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rawrelay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "peer":
		return listen(ctx, args[1], serve)
	case len(args) == 4 && args[0] == "client":
		return fetch(ctx, args[1], args[2], args[3])
	case len(args) == 2 && args[0] == "grpc-peer":
		return listen(ctx, args[1], serveGRPC)
	case len(args) == 4 && args[0] == "grpc-client":
		return fetchGRPC(ctx, args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "get":
		return get(ctx, args[1], args[2])
	default:
		return errors.New(usage)
	}
}

// listen is a peer at an address.
func listen(ctx context.Context, at string, serve func(context.Context, net.Listener) error) error {
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", at)
	if err != nil {
		return err
	}
	defer lis.Close()
	fmt.Fprintln(os.Stderr, "rawrelay ready at", lis.Addr())
	return serve(ctx, lis)
}

// serve relays for one client after the other.
func serve(ctx context.Context, lis net.Listener) error {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return err
		}
		err = relay(ctx, conn)
		conn.Close()
		if err != nil {
			fmt.Fprintln(os.Stderr, "rawrelay:", err)
		}
	}
}

func relay(ctx context.Context, conn net.Conn) error {
	url, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	body, err := open(ctx, strings.TrimSpace(url))
	if err != nil {
		return err
	}
	defer body.Close()
	frame := make([]byte, header+payload)
	for off := uint64(0); ; {
		n, err := io.ReadFull(body, frame[header:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		binary.BigEndian.PutUint32(frame, uint32(n)) //nolint:gosec // at most 256 KiB
		binary.BigEndian.PutUint32(frame[4:], crc32.Checksum(frame[header:header+n], castagnoli()))
		binary.BigEndian.PutUint64(frame[8:], off)
		if _, err := conn.Write(frame[:header+n]); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		off += uint64(n) //nolint:gosec // not negative
	}
}

// open asks an origin for a file.
func open(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("the origin says %s", resp.Status)
	}
	return resp.Body, nil
}

func fetch(ctx context.Context, peer, file, url string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", peer)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, url+"\n"); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(save(conn, out), out.Close())
}

func save(conn net.Conn, out *os.File) error {
	frame := make([]byte, header+payload)
	for {
		if _, err := io.ReadFull(conn, frame[:header]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(frame)
		if n == 0 {
			return nil
		}
		if n > payload {
			return fmt.Errorf("a frame of %d bytes", n)
		}
		body := frame[header : header+n]
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		off := binary.BigEndian.Uint64(frame[8:])
		if crc32.Checksum(body, castagnoli()) != binary.BigEndian.Uint32(frame[4:]) {
			return fmt.Errorf("a broken frame at %d", off)
		}
		if _, err := out.WriteAt(body, int64(off)); err != nil { //nolint:gosec // the peer counts from 0
			return err
		}
	}
}

// castagnoli is the standard library's: the floors are what anybody would write.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
