package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"ddm/internal/config"
)

// TestShippedFiles loads every file of configs/ strictly and finds each
// setting in it, at its default.
func TestShippedFiles(t *testing.T) {
	t.Parallel()
	var (
		tracker, trackerPreset config.Tracker
		peerd, peerdPreset     config.Peerd
		client, clientPreset   config.Client
	)
	config.TrackerProgram(&trackerPreset)
	config.PeerdProgram(&peerdPreset)
	config.ClientProgram(&clientPreset)
	for _, tt := range []struct {
		program     *config.Program
		got, preset any
	}{
		{config.TrackerProgram(&tracker), &tracker, &trackerPreset},
		{config.PeerdProgram(&peerd), &peerd, &peerdPreset},
		{config.ClientProgram(&client), &client, &clientPreset},
	} {
		t.Run(tt.program.Name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("..", "..", "configs", tt.program.Key+".toml")
			loaded, err := tt.program.Load([]string{"--config", file}, config.Environment{SystemDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded.Files) != 1 {
				t.Errorf("files read: %q, want one", loaded.Files)
			}
			if !reflect.DeepEqual(tt.got, tt.preset) {
				t.Errorf("the file does not hold the defaults:\n got %+v\nwant %+v", tt.got, tt.preset)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tt.program.Settings {
				pattern := regexp.MustCompile(`(?m)^(# )?` + regexp.QuoteMeta(s.Name) + ` = .+$`)
				if n := len(pattern.FindAll(data, -1)); s.Scope == config.Everywhere && n != 1 {
					t.Errorf("%s stands in the file %d times, want once", s.Name, n)
				} else if s.Scope != config.Everywhere && n != 0 {
					t.Errorf("%s stands in the file, where it may not be", s.Name)
				}
			}
		})
	}
}

// TestCommentedExamples loads the files with every example switched on: an
// example that does not load teaches nothing.
func TestCommentedExamples(t *testing.T) {
	t.Parallel()
	for _, program := range []*config.Program{
		config.TrackerProgram(new(config.Tracker)),
		config.PeerdProgram(new(config.Peerd)),
		config.ClientProgram(new(config.Client)),
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "configs", program.Key+".toml"))
		if err != nil {
			t.Fatal(err)
		}
		data = regexp.MustCompile(`(?m)^# ([a-z-]+ = )`).ReplaceAll(data, []byte("$1"))
		file := filepath.Join(t.TempDir(), "all.toml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := program.Load([]string{"--config", file}, config.Environment{SystemDir: t.TempDir()}); err != nil {
			t.Error(err)
		}
	}
}

// TestEveryFieldHasASetting counts both: a field without a setting could
// never be given.
func TestEveryFieldHasASetting(t *testing.T) {
	t.Parallel()
	count := func(v any) int {
		n := 0
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if !f.Anonymous {
				n++
			}
		}
		return n
	}
	for _, tt := range []struct {
		program *config.Program
		fields  int
	}{
		{config.TrackerProgram(new(config.Tracker)), count(config.Tracker{})},
		{config.PeerdProgram(new(config.Peerd)), count(config.Peerd{})},
		{config.ClientProgram(new(config.Client)), count(config.Client{})},
	} {
		if got := len(tt.program.Settings); got != tt.fields {
			t.Errorf("%s: %d settings for %d fields", tt.program.Name, got, tt.fields)
		}
	}
}
