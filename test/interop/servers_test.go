//go:build unix

package interop_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"ddm/test/program"
)

// server is a web server that can be run on a folder.
type server struct {
	name   string
	binary string
	needs  []string // files without which it cannot do what is asked
	config string   // a template over site
	args   []string // templates over site
	// folders it serves in the way that their name says; see folders.
	folders []string
}

// site is what a configuration is made of.
type site struct {
	Dir, Root, Port string
	Config          string
	AsRoot          bool
}

// Folders of the site. Every one holds the same file.
const (
	strong = "strong" // ranges, ETag, old Last-Modified
	weak   = "weak"   // no ETag
	young  = "young"  // no ETag, and the file was just made
	bare   = "bare"   // neither ETag nor Last-Modified
	whole  = "whole"  // no ranges
	gzip   = "gzip"   // would be compressed for those who ask for that
	coded  = "coded"  // comes compressed, asked or not, and without ranges
	slow   = "slow"   // as strong, at 256 KiB/s a connection: for mirrors
)

var servers = []server{
	{
		name: "nginx", binary: "nginx", folders: []string{strong, weak, young, bare, whole, gzip, coded},
		args: []string{"-p", "{{.Dir}}", "-c", "{{.Config}}"},
		config: `daemon off; master_process off; pid {{.Dir}}/pid; error_log stderr;
{{if .AsRoot}}user root;{{end}}
events {}
http {
	access_log off;
	client_body_temp_path {{.Dir}}/t1; proxy_temp_path {{.Dir}}/t2; fastcgi_temp_path {{.Dir}}/t3;
	uwsgi_temp_path {{.Dir}}/t4; scgi_temp_path {{.Dir}}/t5;
	server {
		listen 127.0.0.1:{{.Port}};
		root {{.Root}};
		location /weak/ { etag off; }
		location /young/ { etag off; }
		location /bare/ { etag off; if_modified_since off; add_header Last-Modified ""; }
		location /whole/ { max_ranges 0; }
		location /gzip/ { gzip on; gzip_types *; gzip_vary on; }
		location /coded/ { gzip_static always; }
		location /slow/ { limit_rate 256k; }
	}
}
`,
	},
	{
		name: "apache", binary: "apache2", needs: []string{"/usr/lib/apache2/modules/mod_mpm_event.so"},
		folders: []string{strong, weak, young, bare, whole, gzip},
		args:    []string{"-X", "-d", "{{.Dir}}", "-f", "{{.Config}}"},
		config: `ServerName localhost
PidFile {{.Dir}}/pid
ErrorLog /dev/stderr
Listen 127.0.0.1:{{.Port}}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule filter_module /usr/lib/apache2/modules/mod_filter.so
LoadModule deflate_module /usr/lib/apache2/modules/mod_deflate.so
LoadModule ratelimit_module /usr/lib/apache2/modules/mod_ratelimit.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
{{if .AsRoot}}User www-data
Group www-data{{end}}
DocumentRoot {{.Root}}
<Directory {{.Root}}>
	Require all granted
</Directory>
<Directory {{.Root}}/weak>
	FileETag None
</Directory>
<Directory {{.Root}}/young>
	FileETag None
</Directory>
<Directory {{.Root}}/bare>
	FileETag None
	Header unset Last-Modified
</Directory>
<Directory {{.Root}}/whole>
	MaxRanges none
</Directory>
<Directory {{.Root}}/slow>
	SetOutputFilter RATE_LIMIT
	SetEnv rate-limit 256
</Directory>
<Directory {{.Root}}/gzip>
	SetOutputFilter DEFLATE
</Directory>
`,
	},
	{
		name: "lighttpd", binary: "lighttpd", folders: []string{strong, weak, young, bare, whole},
		args: []string{"-D", "-f", "{{.Config}}"},
		config: `server.modules = ("mod_setenv")
server.document-root = "{{.Root}}"
server.bind = "127.0.0.1"
server.port = {{.Port}}
server.upload-dirs = ("{{.Dir}}")
mimetype.assign = (".txt" => "text/plain") # without a type it names no validator
$HTTP["url"] =~ "^/(weak|young|bare)/" { static-file.etags = "disable" }
$HTTP["url"] =~ "^/bare/" { setenv.set-response-header = ("Last-Modified" => "") }
$HTTP["url"] =~ "^/whole/" { server.range-requests = "disable" }
$HTTP["url"] =~ "^/slow/" { connection.kbytes-per-second = 256 }
`,
	},
	{
		name: "python", binary: "python3", folders: []string{whole},
		args: []string{"-m", "http.server", "--bind", "127.0.0.1", "--directory", "{{.Root}}", "{{.Port}}"},
	},
}

// look returns where the server is installed, or what of it is missing.
func (s *server) look() (path, missing string) {
	path, err := exec.LookPath(s.binary)
	if err != nil {
		path = filepath.Join("/usr/sbin", s.binary) // not on every user's path
		if _, err := os.Stat(path); err != nil {
			missing = s.binary
		}
	}
	for _, file := range s.needs {
		if _, err := os.Stat(file); err != nil {
			missing = file
		}
	}
	return path, missing
}

func (s *server) installed() bool {
	_, missing := s.look()
	return missing == ""
}

// find returns where the server is installed, or skips the test.
func (s *server) find(t *testing.T) string {
	t.Helper()
	path, missing := s.look()
	switch {
	case missing == "":
	case os.Getenv("DDM_INTEROP") == "all":
		t.Fatalf("%s is not installed", missing)
	default:
		t.Skipf("skipped: %s is not installed", missing)
	}
	return path
}

// start runs the server on a folder and returns its base URL.
func (s *server) start(t *testing.T, dir string) string {
	t.Helper()
	path := s.find(t)
	own := filepath.Join(dir, s.name)
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	x := site{
		Dir: own, Root: filepath.Join(dir, "www"), Port: freePort(t),
		Config: filepath.Join(own, "conf"), AsRoot: os.Geteuid() == 0,
	}
	if err := os.WriteFile(x.Config, []byte(x.fill(t, s.config)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := make([]string, len(s.args))
	for i, a := range s.args {
		args[i] = x.fill(t, a)
	}
	p := program.Start(t, path, args...)
	base := "http://127.0.0.1:" + x.Port
	if !p.Until(t, s.name+" answers", func() bool { return answers(t.Context(), base) }) {
		t.Fatalf("%s ended: %s", s.name, p.Stderr.String())
	}
	return base
}

func (x site) fill(t *testing.T, text string) string {
	t.Helper()
	parsed, err := template.New("").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, x); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func answers(ctx context.Context, base string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, base+"/", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// freePort returns a port of 127.0.0.1 that was free a moment ago: these
// servers cannot choose one and tell it.
func freePort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	lis, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	addr, ok := lis.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(fmt.Errorf("no TCP address: %v", lis.Addr()))
	}
	return strconv.Itoa(addr.Port)
}
