// Package stack starts and ends the containers of docker-compose.yml, with
// Compose v2 (docker compose) or v1 (docker-compose), whichever is there.
//
//	bin/tracker ...  (make build) --+
//	bin/docker/... (own programs) --+--> images (Build) --> containers (Up) --> healthy
package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// healthyWithin bounds the wait for every container's health check.
const healthyWithin = 90 * time.Second

// Stack is one project of containers.
type Stack struct {
	root    string   // of the repository
	compose []string // the command, with its first arguments
	out     io.Writer
}

// Missing says why no containers can be run here; "" if they can.
func Missing(ctx context.Context) string {
	if _, err := exec.LookPath("docker"); err != nil {
		return "the program docker is not installed"
	}
	if out, err := exec.CommandContext(ctx, "docker", "info", "--format", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		return "no Docker engine answers: " + firstLine(out)
	}
	if composeCommand(ctx) == nil {
		return "neither docker compose nor docker-compose is installed"
	}
	return ""
}

func composeCommand(ctx context.Context) []string {
	for _, c := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.CommandContext(ctx, c[0], append(c[1:], "version")...).Run() == nil {
			return c
		}
	}
	return nil
}

// New describes the stack of the repository at root under a project name ("":
// Compose's own choice). What the tools print goes to out.
func New(ctx context.Context, root, project string, out io.Writer) (*Stack, error) {
	if why := Missing(ctx); why != "" {
		return nil, errors.New(why)
	}
	c := append(composeCommand(ctx), "-f", filepath.Join(root, "docker-compose.yml"))
	if project != "" {
		c = append(c, "-p", project)
	}
	return &Stack{root: root, compose: c, out: out}, nil
}

// Build makes the images, out of bin/, which it fills.
func (s *Stack) Build(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return s.run(s.Compose(ctx, "build", "tracker", "origin"))
}

// prepare makes the programs of bin and bin/docker.
func (s *Stack) prepare(ctx context.Context) error {
	programs := exec.CommandContext(ctx, "make", "-s", "build")
	programs.Dir = s.root
	programs.Env = append(os.Environ(), "GOOS=linux")
	if err := s.run(programs); err != nil {
		return err
	}
	dir := filepath.Join(s.root, "bin", "docker")
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o755); err != nil {
		return err
	}
	for _, pkg := range []string{"ddm/test/docker/healthcheck", "ddm/test/lab/origin"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+string(filepath.Separator), pkg)
		cmd.Dir = s.root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if err := s.run(cmd); err != nil {
			return err
		}
	}
	return copyRoots(filepath.Join(dir, "ca-certificates.crt"), s.out)
}

// copyRoots takes this machine's root certificates for the images. Without any
// the images still serve http origins.
func copyRoots(to string, out io.Writer) error {
	for _, from := range []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		text, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	}
	_, _ = fmt.Fprintln(out, "no root certificates found on this machine: the images will trust no https origin")
	return os.WriteFile(to, nil, 0o644)
}

// Up starts the containers and waits until all of them are healthy.
func (s *Stack) Up(ctx context.Context, flags ...string) error {
	if err := s.run(s.Compose(ctx, append([]string{"up", "-d", "--no-build"}, flags...)...)); err != nil {
		return err
	}
	// Compose v1 knows no --wait.
	ctx, cancel := context.WithTimeout(ctx, healthyWithin)
	defer cancel()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := s.unhealthy(ctx)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not healthy within %v: %s", healthyWithin, strings.Join(waiting, ", ")), err)
		}
	}
}

// unhealthy names the containers that are not healthy yet.
func (s *Stack) unhealthy(ctx context.Context) ([]string, error) {
	ids, err := s.Compose(ctx, "ps", "-q").Output()
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(ids)) == 0 {
		return []string{"nothing runs"}, nil
	}
	args := append([]string{"inspect", "--format", "{{.Name}} {{.State.Status}} {{.State.Health.Status}}"}, strings.Fields(string(ids))...)
	states, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return nil, err
	}
	var waiting []string
	for line := range strings.Lines(string(states)) {
		if line = strings.TrimSpace(line); !strings.HasSuffix(line, " running healthy") {
			waiting = append(waiting, line)
		}
	}
	return waiting, nil
}

// Down removes the containers, networks and volumes.
func (s *Stack) Down(ctx context.Context) error {
	return s.run(s.Compose(ctx, "down", "-v", "-t", "2", "--remove-orphans"))
}

// Compose prepares a command of Compose for this stack.
func (s *Stack) Compose(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.compose[0], append(s.compose[1:len(s.compose):len(s.compose)], args...)...)
	cmd.Dir = s.root
	return cmd
}

func (s *Stack) run(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return nil
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}
