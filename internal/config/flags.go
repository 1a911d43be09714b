package config

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// The flags that every program has and that are no settings.
const (
	configFlag  = "config"
	checkFlag   = "check-config"
	versionFlag = "version"
	helpFlag    = "help"
)

// commandLine is what the flags said, not yet judged.
type commandLine struct {
	mode   Mode
	config string
	args   []string
	given  map[string][]string
}

// collector keeps the texts of one flag, so that flags are judged like every
// other layer, all of them at once.
type collector struct {
	name  string
	kind  kind
	given map[string][]string
}

// Set keeps one text.
func (c *collector) Set(s string) error {
	c.given[c.name] = append(c.given[c.name], s)
	return nil
}

// String gives nothing: defaults are shown by the help.
func (c *collector) String() string { return "" }

// Type is asked for by pflag.
func (c *collector) Type() string { return c.kind.String() }

func (p *Program) parseFlags(args []string) (commandLine, error) {
	line := commandLine{given: map[string][]string{}}
	fs := pflag.NewFlagSet(p.Name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, s := range p.Settings {
		f := fs.VarPF(&collector{name: s.Name, kind: s.value.kind, given: line.given}, s.Name, s.Short, s.Help)
		f.NoOptDefVal = s.value.bare
	}
	fs.StringVar(&line.config, configFlag, "", "")
	check := fs.Bool(checkFlag, false, "")
	version := fs.BoolP(versionFlag, "V", false, "")
	help := fs.BoolP(helpFlag, "h", false, "")

	err := fs.Parse(args)
	line.args = fs.Args()
	switch {
	case *help:
		line.mode = ShowHelp
	case *version:
		line.mode = ShowVersion
	case *check:
		line.mode = CheckOnly
	}
	if err != nil {
		return line, &SettingError{Text: err.Error()}
	}
	if fs.Changed(configFlag) && line.config == "" {
		return line, &SettingError{Where: "--" + configFlag, Text: "the file's name is empty"}
	}
	return line, nil
}

// Help writes what the program does and every flag with its default.
func (p *Program) Help(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", p.About)
	for _, u := range p.Usage {
		fmt.Fprintf(&b, "  %s %s\n", p.Name, u)
	}
	var groups []string
	rows := map[string][]helpRow{}
	add := func(group string, row helpRow) {
		if _, ok := rows[group]; !ok {
			groups = append(groups, group)
		}
		rows[group] = append(rows[group], row)
	}
	for _, s := range p.Settings {
		add(s.Group, s.helpRow())
	}
	add(CommonGroup, helpRow{flag: "    --config FILE", text: "a configuration file, stronger than the ones below"})
	add(CommonGroup, helpRow{flag: "    --check-config", text: "say whether the configuration is valid, and end"})
	add(CommonGroup, helpRow{flag: "-V, --version", text: "print the version, and end"})
	add(CommonGroup, helpRow{flag: "-h, --help", text: "print this, and end"})
	for _, g := range groups {
		fmt.Fprintf(&b, "\n%s:\n", g)
		for _, row := range rows[g] {
			row.write(&b)
		}
	}
	fmt.Fprintf(&b, `
Flags are also keys of configuration files and environment variables, unless
marked: --log-level is log-level = "debug" in a file and %s.
A flag is stronger than the environment, then come --config FILE, the user's
ddm/%s.toml (usually in ~/.config) and /etc/ddm/%s.toml.
`, p.Variable("log-level"), p.Key, p.Key)
	_, err := io.WriteString(w, b.String())
	return err
}

// helpRow is one flag in the help.
type helpRow struct{ flag, text string }

// The help's columns: flags, then text up to the edge of a narrow terminal.
const (
	flagWidth = 32
	textWidth = 96 - flagWidth
)

func (s Setting) helpRow() helpRow {
	flag := "    --" + s.Name
	if s.Short != "" {
		flag = "-" + s.Short + ", --" + s.Name
	}
	switch {
	case strings.HasPrefix(s.Arg, "["):
		flag += s.Arg
	case s.Arg != "":
		flag += " " + s.Arg
	}
	text := s.Help
	if s.value.kind == listKind {
		text += "; repeatable"
	}
	switch preset := s.value.show(); {
	case s.value.kind == boolKind, preset == "", preset == "0":
	default:
		text += fmt.Sprintf(" (default %s)", preset)
	}
	switch s.Scope {
	case FlagOnly:
		text += " [flag only]"
	case NotInFile:
		text += " [not in files]"
	case Everywhere:
	}
	return helpRow{flag: flag, text: text}
}

func (r helpRow) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %-*s", flagWidth, r.flag)
	if len(r.flag) >= flagWidth {
		fmt.Fprintf(b, "\n  %-*s", flagWidth, "")
	}
	used := 0
	for word := range strings.FieldsSeq(r.text) {
		if used > 0 && used+1+len(word) > textWidth {
			fmt.Fprintf(b, "\n  %-*s", flagWidth, "")
			used = 0
		}
		if used > 0 {
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	b.WriteByte('\n')
}
