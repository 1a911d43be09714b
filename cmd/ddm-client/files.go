package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"ddm/internal/config"
	"ddm/internal/errdefs"
)

// maxFile bounds every file that the command line names, in bytes.
const maxFile = 64 << 20

// loadFile reads a file and has it parsed; a flag is to blame for what is in it.
func loadFile[T any](path, flag string, parse func(string) (T, error)) (T, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, fmt.Errorf("%w: %s: %w", errdefs.OpenFile, flag, err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	text, err := readAll(f, path)
	if err != nil {
		return none, fmt.Errorf("%s: %w", flag, err)
	}
	v, err := parse(text)
	if err != nil {
		return none, &config.SettingError{Where: flag, Key: path, Text: err.Error()}
	}
	return v, nil
}

func readAll(r io.Reader, name string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	if len(data) > maxFile {
		return "", fmt.Errorf("%w: %s is larger than %d MiB", errdefs.Invalid, name, maxFile>>20)
	}
	return string(data), nil
}

// loadNetrc reads --netrc-file, or ~/.netrc, which need not be there.
func (s *session) loadNetrc() (func(host string) *url.Userinfo, error) {
	path := s.cfg.NetrcFile
	if path == "" {
		home, _ := s.std.Lookup("HOME")
		if home == "" {
			return nil, problem("netrc", "there is no home directory: name the file by --netrc-file")
		}
		path = filepath.Join(home, ".netrc")
	}
	n, err := loadFile(path, "--netrc", parseNetrc)
	if s.cfg.NetrcFile == "" && errors.Is(err, fs.ErrNotExist) {
		return netrc{}.find, nil
	}
	return n.find, err
}

// input reads --input-file.
func (s *session) input() (text string, err error) {
	switch s.cfg.InputFile {
	case "":
		return "", nil
	case "-":
		return readAll(s.std.Stdin, "stdin")
	}
	return loadFile(s.cfg.InputFile, "--input-file", func(text string) (string, error) { return text, nil })
}

// proxies chooses the proxy of each request: the one given, none, or what the
// environment says, where a proxy that is no URL is an error, not silence.
func proxies(given string, lookup func(string) (string, bool)) (func(*http.Request) (*url.URL, error), error) {
	switch given {
	case "none":
		return nil, nil //nolint:nilnil // nil is the engine's word for no proxy
	case "":
		return environmentProxies(lookup)
	}
	u, err := url.Parse(given)
	if err != nil {
		return nil, problem("proxy", "is no URL")
	}
	return http.ProxyURL(u), nil
}

func environmentProxies(lookup func(string) (string, bool)) (func(*http.Request) (*url.URL, error), error) {
	var problems []error
	first := func(names ...string) string {
		for _, name := range names {
			v, _ := lookup(name)
			if v == "" {
				continue
			}
			if _, err := config.ProxyURL(v); err != nil && !strings.HasPrefix(strings.ToLower(name), "no_") {
				problems = append(problems, &config.SettingError{Where: name, Text: err.Error()})
			}
			return v
		}
		return ""
	}
	_, cgi := lookup("REQUEST_METHOD") // there HTTP_PROXY may be a header of a request
	cfg := httpproxy.Config{
		HTTPProxy:  first("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"),
		HTTPSProxy: first("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"),
		NoProxy:    first("NO_PROXY", "no_proxy"),
		CGI:        cgi,
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.HTTPProxy == "" && cfg.HTTPSProxy == "" {
		return nil, nil //nolint:nilnil // as above
	}
	choose := cfg.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }, nil
}
