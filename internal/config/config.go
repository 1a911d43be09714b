// Package config turns one description of a program's settings into its
// flags, its environment variables, its configuration files and its help.
//
//	default < /etc/ddm/NAME.toml < user's ddm/NAME.toml < --config FILE < DDM_NAME_* < flag
//	   \______________\_____________________|____________________|__________/
//	                                   apply, in this order
//	                                        |
//	                     every problem found, each with the place it is in
//
// A setting has one name: --log-level is the key log-level and the variable
// DDM_TRACKER_LOG_LEVEL. A layer replaces what lower layers said, lists
// included. Every layer is judged, also where a higher one overrides it.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"ddm/internal/errdefs"
)

// Scope says where a setting may be given.
type Scope int

const (
	// Everywhere is flag, environment and file.
	Everywhere Scope = iota
	// NotInFile is flag and environment, for secrets of one run.
	NotInFile
	// FlagOnly is for what makes sense for one command line alone.
	FlagOnly
)

// Setting describes one field of a program's settings.
type Setting struct {
	Name  string // of flag and key; upper case with underscores in the environment
	Short string // one letter, "" for none
	Arg   string // what the flag's value is called in the help
	Group string // heading in the help; settings of a group stand together
	Help  string // one sentence, unit included
	Scope Scope
	value value
}

// Program is what Load needs to know of a program.
type Program struct {
	Name     string   // as people call it: "ddm-client"
	Key      string   // its part of files and variables: "client" for client.toml and DDM_CLIENT_*
	Usage    []string // its command lines, without the name
	About    string   // one sentence
	Settings []Setting
	// Check judges settings against one another, after all layers. It may be
	// nil. Report takes the name of the setting to blame.
	Check func(report func(name, format string, args ...any))
}

// Environment is where Load looks besides the command line.
type Environment struct {
	Lookup    func(name string) (string, bool) // such as os.LookupEnv; nil: no variables
	SystemDir string                           // "": /etc/ddm
}

// Mode is what the command line asks for.
type Mode int

const (
	// Run is for the program itself.
	Run Mode = iota
	// ShowHelp prints the help, and ends.
	ShowHelp
	// ShowVersion prints the version, and ends.
	ShowVersion
	// CheckOnly says whether the configuration is valid, and ends.
	CheckOnly
)

// Loaded is what Load found besides the settings themselves.
type Loaded struct {
	Mode  Mode
	Args  []string // what is no flag
	Files []string // configuration files that were read, the strongest last
	Flags []string // names of the settings that were given as flags
}

// SettingError is one thing wrong with the configuration. Its kind is
// errdefs.Invalid.
type SettingError struct {
	Where string // "FILE:LINE", a variable, or a flag; "" if the default is to blame
	Key   string // the setting, where Where does not say it
	Text  string // what is wrong, and what would be right
}

// Error puts place, key and text in one line.
func (p *SettingError) Error() string {
	parts := slices.DeleteFunc([]string{p.Where, p.Key, p.Text}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Unwrap gives the kind.
func (p *SettingError) Unwrap() error { return errdefs.Invalid }

// Load reads every layer into the fields that the settings stand for. Its
// error joins every SettingError; a command line that cannot be parsed is
// reported alone. With --help or --version nothing else is looked at.
func (p *Program) Load(args []string, env Environment) (Loaded, error) {
	line, err := p.parseFlags(args)
	if err != nil {
		return Loaded{Mode: line.mode}, err
	}
	loaded := Loaded{Mode: line.mode, Args: line.args}
	if line.mode == ShowHelp || line.mode == ShowVersion {
		return loaded, nil
	}
	if env.Lookup == nil {
		env.Lookup = func(string) (string, bool) { return "", false }
	}

	a := applier{settings: p.Settings, where: map[string]place{}}
	for _, f := range p.files(env, line.config) {
		if a.file(f) {
			loaded.Files = append(loaded.Files, f.path)
		}
	}
	a.environment(p, env.Lookup)
	loaded.Flags = a.flags(line.given)
	if p.Check != nil {
		p.Check(a.report)
	}
	return loaded, errors.Join(a.problems...)
}

// Variable gives the name of a setting's environment variable.
func (p *Program) Variable(name string) string {
	return "DDM_" + strings.ToUpper(p.Key+"_"+strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

// source is one configuration file to look at.
type source struct {
	path     string
	required bool // named by the user: must be there
}

func (p *Program) files(env Environment, explicit string) []source {
	name := p.Key + ".toml"
	files := []source{{path: filepath.Join(cmp.Or(env.SystemDir, "/etc/ddm"), name)}}
	if dir := userDir(env.Lookup); dir != "" {
		files = append(files, source{path: filepath.Join(dir, "ddm", name)})
	}
	if explicit != "" {
		files = append(files, source{path: explicit, required: true})
	}
	return files
}

// place is where a setting got its present value: what a problem found later
// is blamed on.
type place struct {
	where string
	named bool // where already says which setting it is
}

// applier puts layers on top of one another.
type applier struct {
	settings []Setting
	where    map[string]place
	problems []error
}

func (a *applier) find(name string) (Setting, bool) {
	i := slices.IndexFunc(a.settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return a.settings[i], true
}

// set gives a setting its value from one layer.
func (a *applier) set(s Setting, at place, texts []string) {
	a.where[s.Name] = at
	if err := s.value.set(texts); err != nil {
		a.report(s.Name, "%w", err)
	}
}

// report blames the place that a setting got its value from.
func (a *applier) report(name, format string, args ...any) {
	at := a.where[name]
	problem := &SettingError{Where: at.where, Key: name, Text: fmt.Errorf(format, args...).Error()}
	if at.named {
		problem.Key = ""
	}
	a.problems = append(a.problems, problem)
}

// environment applies the variables. One that is empty counts as unset, as
// compose files write it; one that no setting is called is left alone, since
// orchestrators make variables of a service's name.
func (a *applier) environment(p *Program, lookup func(string) (string, bool)) {
	for _, s := range a.settings {
		if s.Scope == FlagOnly {
			continue
		}
		name := p.Variable(s.Name)
		text, ok := lookup(name)
		if !ok || text == "" {
			continue
		}
		texts := []string{text}
		if s.value.kind == listKind {
			texts = splitList(text, s.value.separator)
		}
		a.set(s, place{where: name, named: true}, texts)
	}
}

func (a *applier) flags(given map[string][]string) (names []string) {
	for _, s := range a.settings {
		texts, ok := given[s.Name]
		if !ok {
			continue
		}
		names = append(names, s.Name)
		a.set(s, place{where: "--" + s.Name, named: true}, texts)
	}
	return names
}

func splitList(text, separator string) []string {
	var items []string
	for item := range strings.SplitSeq(text, separator) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// absent tells that a file is not there, rather than unreadable.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || isNotDir(err)
}
