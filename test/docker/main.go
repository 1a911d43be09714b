// Command docker is what `make docker` runs: it builds the images of
// docker-compose.yml, starts the containers, waits until they are healthy and
// downloads once through them.
//
//	go run ./test/docker up | down
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"ddm/test/docker/stack"
)

const exampleURL = "http://origin:8080/ranges/104857600/file.bin"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/docker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	s, err := stack.New(ctx, root, "", os.Stderr)
	if err != nil {
		return err
	}
	switch strings.Join(args, " ") {
	case "up":
		return up(ctx, s)
	case "down":
		return s.Down(ctx)
	default:
		return fmt.Errorf("unknown arguments %q: want up or down", args)
	}
}

func up(ctx context.Context, s *stack.Stack) error {
	if err := s.Build(ctx); err != nil {
		return err
	}
	if err := s.Up(ctx); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "\nA tracker, four peers and an origin run. A download through them:")
	show := s.Compose(ctx, "run", "--rm", "client", "--digest", exampleURL)
	fmt.Fprintln(os.Stderr, " ", strings.Join(show.Args, " "))
	show.Stdin, show.Stdout, show.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := show.Run(); err != nil {
		return fmt.Errorf("the download: %w", err)
	}
	down := s.Compose(ctx, "down", "-v")
	fmt.Fprintf(os.Stderr, "\nThey go on running. To end them:\n  %s\n", strings.Join(down.Args, " "))
	return nil
}
