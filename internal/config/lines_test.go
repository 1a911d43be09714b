package config_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ddm/internal/config"
	"ddm/internal/lines"
	"ddm/internal/quota"
)

// TestLines gives lines and their settings in every layer and form.
func TestLines(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	spec := func(name string, change ...func(*lines.Spec)) lines.Spec {
		s := lines.Spec{Interface: name}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	metered := func(n float64) func(*lines.Spec) { return func(s *lines.Spec) { s.Metered = n } }
	quotas := func(n int64, p quota.Period) func(*lines.Spec) {
		return func(s *lines.Spec) { s.Quota = quota.Limit{Bytes: n, Period: p} }
	}
	limited := func(n int64) func(*lines.Spec) { return func(s *lines.Spec) { s.LimitRate = n } }
	for _, tt := range []struct {
		name, file string
		env, args  []string
		want       []lines.Spec
		wrong      string
	}{
		{name: "nothing", want: []lines.Spec{{}}},
		{name: "plain", args: []string{"--interface", "eth0", "--interface=192.0.2.1", "--interface=::FFFF:192.0.2.2"}, want: []lines.Spec{spec("eth0"), spec("192.0.2.1"), spec("192.0.2.2")}},
		{name: "all", args: []string{"--interface=ALL,metered"}, want: []lines.Spec{spec("all", metered(0.2))}},
		{
			name: "settings of one line",
			args: []string{"--interface", "wlan0,quota=5GiB,quota-period=day,metered=0.3,limit-rate=2MiB/s", "--interface", "fe80::1"},
			want: []lines.Spec{spec("wlan0", quotas(5*gib, quota.Day), metered(0.3), limited(2*mib)), spec("fe80::1")},
		},
		{
			name: "settings of all lines, and exceptions",
			args: []string{"--quota=1GiB", "--quota-period", "day", "--metered", "--interface=a", "--interface=b,quota=0,metered=0", "--interface=c,quota-period=month"},
			want: []lines.Spec{spec("a", quotas(gib, quota.Day), metered(0.2)), spec("b", quotas(0, quota.Day)), spec("c", quotas(gib, quota.Month), metered(0.2))},
		},
		{name: "the system's choice", args: []string{"--quota=3MiB", "--metered=0.5"}, want: []lines.Spec{spec("", quotas(3*mib, quota.Month), metered(0.5))}},
		{
			name: "environment", env: []string{"DDM_PEERD_INTERFACE=eth0, wwan0,metered,quota=5GiB,metered0", "DDM_PEERD_QUOTA_PERIOD=day", "DDM_PEERD_METERED=false"},
			want: []lines.Spec{
				spec("eth0", quotas(0, quota.Day)),
				spec("wwan0", metered(0.2), quotas(5*gib, quota.Day)), spec("metered0", quotas(0, quota.Day)),
			},
		},
		{
			name: "file", file: "interface = [\"eth0\", \"wwan0,metered=0.2,quota=5GiB\"]\nmetered = 0.7\nquota = \"1MiB\"\n",
			want: []lines.Spec{spec("eth0", metered(0.7), quotas(mib, quota.Month)), spec("wwan0", metered(0.2), quotas(5*gib, quota.Month))},
		},
		{name: "file, in other types", file: "interface = [\"eth0,\"]\nmetered = true\nquota-period = \"DAY\"", want: []lines.Spec{spec("eth0", metered(0.2), quotas(0, quota.Day))}},
		{name: "an interface called like a setting", args: []string{"--interface=metered"}, want: []lines.Spec{spec("metered")}},

		{name: "twice", args: []string{"--interface=a,b", "--interface=a"}, wrong: "--interface: a is named twice"},
		{name: "empty", args: []string{"--interface="}, wrong: `"" is neither an interface nor an address`},
		{name: "a setting alone", args: []string{"--interface=quota=1GiB"}, wrong: `"quota=1GiB" is neither an interface nor an address`},
		{name: "unknown setting", env: []string{"DDM_PEERD_INTERFACE=a,cost=1"}, wrong: `DDM_PEERD_INTERFACE: "cost" is no setting of a line: quota, quota-period, metered and limit-rate are`},
		{name: "no unit", file: "x = 1\ninterface = [\"a,quota=5\"]", wrong: `:2: interface: quota of a: "5" is no size: write bytes with a unit, such as "5GiB"`},
		{name: "bad rate", args: []string{"--interface=a,limit-rate=fast"}, wrong: `limit-rate of a: "fast" is no rate`},
		{name: "bad share", args: []string{"--interface=a,metered=2"}, wrong: `metered of a: 2 is not between 0 and 1`},
		{name: "no number", args: []string{"--metered=NaN"}, wrong: `"NaN" is no share: write a number from 0 to 1`},
		{name: "bad period", args: []string{"--interface=a,quota-period=week"}, wrong: `quota-period of a: "week" is not one of day, month`},
		{name: "wrong types", file: "metered = \"0.2\"\nquota = 5", wrong: `:1: metered: must be a number from 0 to 1, such as 0.2`},
	} {
		file := write(t, filepath.Join(t.TempDir(), "peerd.toml"), tt.file)
		args := append([]string{"--config", file, "--state-dir=/s"}, tt.args...)
		var cfg config.Peerd
		_, err := config.PeerdProgram(&cfg).Load(args, config.Environment{Lookup: variables(tt.env...), SystemDir: t.TempDir()})
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case !slices.Equal(cfg.Specs(), tt.want):
			t.Errorf("%s: %+v, want %+v", tt.name, cfg.Specs(), tt.want)
		}
	}
}

func TestQuotaNeedsAFolder(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--quota=1GiB"}, {"--interface=a,quota=1GiB"}} {
		var cfg config.Peerd
		_, err := config.PeerdProgram(&cfg).Load(args, config.Environment{SystemDir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "set state-dir") {
			t.Errorf("%q: %v", args, err)
		}
		var client config.Client
		if _, err := config.ClientProgram(&client).Load(args, config.Environment{SystemDir: t.TempDir()}); err != nil {
			t.Errorf("client, %q: %v", args, err)
		}
	}
}
