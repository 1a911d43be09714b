//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
)

// get is the floor for a download over one's own line: the socket is read and
// the file written a MiB at a time, in one thread that waits in the system.
func get(ctx context.Context, file, from string) error {
	u, err := url.Parse(from)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("no TCP connection to %s", u.Host)
	}
	socket, err := tcp.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	socket.Fd() // blocks from now on
	if _, err := fmt.Fprintf(socket, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(copyBody(out, socket), out.Close())
}

func copyBody(out io.Writer, socket io.Reader) error {
	buf := make([]byte, mib)
	n, err := socket.Read(buf)
	if err != nil {
		return err
	}
	_, body, whole := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
	if !whole {
		return errors.New("no reply with a head in one piece")
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(buf[:n])), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return fmt.Errorf("the origin says %s, %d bytes", resp.Status, resp.ContentLength)
	}
	for left := resp.ContentLength; ; body = buf {
		if _, err := out.Write(body); err != nil {
			return err
		}
		if left -= int64(len(body)); left <= 0 {
			return nil
		}
		buf = buf[:min(left, mib)]
		if _, err := io.ReadFull(socket, buf); err != nil {
			return err
		}
	}
}
