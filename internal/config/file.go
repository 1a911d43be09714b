package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file: far above any real one, far below
// what nested brackets would need to exhaust the parser's stack.
const maxFile = 256 << 10

// userDir is the user's own configuration directory, "" if there is none.
func userDir(lookup func(string) (string, bool)) string {
	if dir, _ := lookup("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		return dir
	}
	if home, _ := lookup("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config")
	}
	return ""
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// file applies one configuration file and tells whether it was there.
func (a *applier) file(src source) bool {
	data, err := readFile(src.path)
	if err != nil {
		if absent(err) && !src.required {
			return false
		}
		a.problems = append(a.problems, &SettingError{Text: err.Error()})
		return false
	}
	a.document(src.path, data)
	return true
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d KiB: that is no configuration file", path, maxFile>>10)
	}
	return data, nil
}

// document applies the text of a file called name.
func (a *applier) document(name string, data []byte) {
	var top map[string]toml.Primitive
	md, err := toml.Decode(string(data), &top)
	if err != nil {
		a.problems = append(a.problems, syntaxProblem(name, err))
		return
	}
	entries := (&reader{md: &md, known: a.find}).entries(nil, top)
	slices.SortStableFunc(entries, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.line, y.line), strings.Compare(x.key, y.key))
	})
	for _, e := range entries {
		a.entry(name, e)
	}
}

func (a *applier) entry(file string, e entry) {
	at := place{where: file + ":" + strconv.Itoa(e.line)}
	s, ok := a.find(e.key)
	if !ok || s.Scope != Everywhere {
		text := "unknown key" + a.suggest(e.key)
		if ok {
			text = "cannot be set in a file: use the flag --" + s.Name
		}
		a.problems = append(a.problems, &SettingError{Where: at.where, Key: e.key, Text: text})
		return
	}
	texts, err := s.value.fromTOML(e.value)
	if err != nil {
		a.problems = append(a.problems, &SettingError{Where: at.where, Key: e.key, Text: err.Error()})
		return
	}
	a.set(s, at, texts)
}

func syntaxProblem(name string, err error) error {
	pe, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return &SettingError{Where: name, Text: err.Error()}
	}
	return &SettingError{
		Where: name + ":" + strconv.Itoa(pe.Position.Line),
		Text:  strings.TrimRight(pe.ErrorWithPosition(), "\n "),
	}
}

// entry is one key of a file: a setting, or something unknown.
type entry struct {
	key   string // dotted and quoted as in the file
	line  int
	value any
}

// reader finds the keys of a decoded document with their lines.
type reader struct {
	md    *toml.MetaData
	known func(string) (Setting, bool)
}

// entries flattens a table. A known key is taken as it is; an unknown table
// is opened, so that each of its keys is named with its own line.
func (r *reader) entries(path toml.Key, table map[string]toml.Primitive) []entry {
	var all []entry
	for name, primitive := range table {
		key := append(slices.Clone(path), name)
		e := entry{key: key.String(), line: r.line(primitive)}
		if _, ok := r.known(e.key); !ok {
			if inner := r.table(primitive); len(inner) > 0 {
				all = append(all, r.entries(key, inner)...)
				continue
			}
		}
		if err := r.md.PrimitiveDecode(primitive, &e.value); err != nil {
			e.value = err // no setting takes it: reported as a wrong type
		}
		all = append(all, e)
	}
	return all
}

func (r *reader) table(p toml.Primitive) map[string]toml.Primitive {
	var inner map[string]toml.Primitive
	if err := r.md.PrimitiveDecode(p, &inner); err != nil {
		return nil // no table
	}
	return inner
}

// line gives the line of a key's value: the decoder tells positions in its
// errors alone, so it is made to err.
func (r *reader) line(p toml.Primitive) int {
	pe, _ := errors.AsType[toml.ParseError](r.md.PrimitiveDecode(p, refuser{}))
	return max(pe.Position.Line, 1)
}

// refuser takes no value.
type refuser struct{}

// UnmarshalTOML always errs.
func (refuser) UnmarshalTOML(any) error { return errors.ErrUnsupported }

// suggest names the setting that was probably meant.
func (a *applier) suggest(key string) string {
	key = strings.ReplaceAll(strings.ToLower(key), "_", "-")
	best, least := "", 3
	for _, s := range a.settings {
		if s.Scope != Everywhere {
			continue
		}
		if d := editDistance(key, s.Name, least); d < least {
			best, least = s.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// editDistance counts the insertions, deletions and replacements between two
// words; it gives limit where there are as many or more.
func editDistance(x, y string, limit int) int {
	if len(x)-len(y) >= limit || len(y)-len(x) >= limit {
		return limit
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(x) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(y) {
			replace := diagonal
			if x[i] != y[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(y)], limit)
}
