package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
)

// kind is how a value is written in TOML.
type kind int

const (
	textKind  kind = iota // a string
	unitKind              // a string, because its unit belongs to it
	listKind              // an array of strings
	boolKind              // true or false
	countKind             // an integer
	shareKind             // a number from 0 to 1, or true or false
)

// value ties a setting to its field.
type value struct {
	kind      kind
	separator string               // between items of a list in the environment
	example   string               // for messages about a wrong type
	bare      string               // what a flag without a value means; "": it needs one
	set       func([]string) error // replaces the field; more than one text for lists alone
	show      func() string        // the field as text, "" for empty or none
}

// scalar makes a value of one text and gives the field its default.
func scalar[T any](field *T, preset T, kind kind, example string, parse func(string) (T, error), show func(T) string) value {
	*field = preset
	return value{
		kind:    kind,
		example: example,
		set: func(texts []string) error {
			v, err := parse(texts[len(texts)-1])
			if err != nil {
				return err
			}
			*field = v
			return nil
		},
		show: func() string { return show(*field) },
	}
}

// text is a string that check may judge and rewrite; nil takes everything.
func text(field *string, preset string, check func(string) (string, error)) value {
	if check == nil {
		check = func(s string) (string, error) { return s, nil }
	}
	return scalar(field, preset, textKind, `"text"`, check, func(s string) string { return s })
}

// choice is one of some words.
func choice(field *string, preset string, words ...string) value {
	parse := func(s string) (string, error) {
		for _, w := range words {
			if strings.EqualFold(s, w) {
				return w, nil
			}
		}
		return "", fmt.Errorf("%q is not one of %s", s, strings.Join(words, ", "))
	}
	return scalar(field, preset, textKind, strconv.Quote(preset), parse, func(s string) string { return s })
}

// toggle is on or off.
func toggle(field *bool) value {
	parse := func(s string) (bool, error) {
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, fmt.Errorf("%q is not true or false", s)
		}
		return v, nil
	}
	v := scalar(field, false, boolKind, "true", parse, strconv.FormatBool)
	v.bare = "true"
	return v
}

// count is an integer from low to high.
func count(field *int, preset, low, high int) value {
	parse := func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if errors.Is(err, strconv.ErrRange) || err == nil && (n < low || n > high) {
			return 0, fmt.Errorf("%s is not between %d and %d", s, low, high)
		}
		if err != nil {
			return 0, fmt.Errorf("%q is not a whole number", s)
		}
		return n, nil
	}
	return scalar(field, preset, countKind, strconv.Itoa(preset), parse, strconv.Itoa)
}

// duration is a time span with its unit, from low to high.
func duration(field *time.Duration, preset, low, high time.Duration) value {
	parse := func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: write a number and a unit, such as %q", s, shortDuration(preset))
		}
		if d < low || d > high {
			return 0, fmt.Errorf("%s is not between %s and %s", s, shortDuration(low), shortDuration(high))
		}
		return d, nil
	}
	return scalar(field, preset, unitKind, strconv.Quote(shortDuration(preset)), parse, shortDuration)
}

// shortDuration writes 1m0s as 1m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// rate is bytes per second; 0 means none.
func rate(field *int64) value {
	return scalar(field, 0, unitKind, `"5MiB"`, readRate, showBytes)
}

func readRate(s string) (int64, error) {
	n, err := parseSize(strings.TrimSuffix(s, "/s"))
	if err != nil {
		return 0, fmt.Errorf(`%q is no rate: write bytes per second with a unit, such as "5MiB", or "0" for none: %w`, s, err)
	}
	return n, nil
}

func showBytes(n int64) string {
	if n == 0 {
		return "0"
	}
	return strconv.FormatInt(n, 10) + "B"
}

// parseSize reads a size such as 5GiB, 10MB or 1.5K. Single letters are
// binary, as curl, wget and aria2 read them. A number without a unit is
// refused, 0 apart: too many programs disagree about what it means.
func parseSize(s string) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "0" {
		return 0, nil
	}
	number := strings.TrimRightFunc(s, unicode.IsLetter)
	unit := strings.ToLower(s[len(number):])
	number = strings.TrimSpace(number)
	switch {
	case strings.Trim(number, "0123456789.") != "" || number == "":
		return 0, errors.New("the number is malformed")
	case unit == "":
		return 0, errors.New("the unit is missing")
	case unit == "k" || unit == "m" || unit == "g" || unit == "t":
		unit += "ib"
	}
	n, err := humanize.ParseBytes(number + unit)
	if err != nil {
		return 0, errors.New("number or unit is unknown")
	}
	if n > math.MaxInt64 {
		return 0, errors.New("too large")
	}
	return int64(n), nil
}

// list is a repeatable text; check judges each item and may rewrite it.
// Separator stands between items in an environment variable.
func list(field *[]string, preset []string, separator string, check func(string) (string, error)) value {
	*field = preset
	return value{
		kind:      listKind,
		separator: separator,
		example:   `["text", "text"]`,
		set: func(texts []string) error {
			items := make([]string, 0, len(texts))
			var problems []string
			for _, t := range texts {
				item, err := check(t)
				if err != nil {
					problems = append(problems, err.Error())
					continue
				}
				items = append(items, item)
			}
			if len(problems) > 0 {
				return errors.New(strings.Join(problems, "; "))
			}
			*field = items
			return nil
		},
		show: func() string { return strings.Join(*field, ", ") },
	}
}

// fromTOML gives the texts of a decoded value, or says which type was due.
func (v value) fromTOML(decoded any) ([]string, error) {
	switch d := decoded.(type) {
	case string:
		if v.kind == textKind || v.kind == unitKind {
			return []string{d}, nil
		}
	case bool:
		if v.kind == boolKind || v.kind == shareKind {
			return []string{strconv.FormatBool(d)}, nil
		}
	case float64:
		if v.kind == shareKind {
			return []string{strconv.FormatFloat(d, 'g', -1, 64)}, nil
		}
	case int64:
		if v.kind == countKind || v.kind == shareKind {
			return []string{strconv.FormatInt(d, 10)}, nil
		}
		if v.kind == unitKind {
			return nil, fmt.Errorf("%d has no unit: write a string with one, such as %s", d, v.example)
		}
	case []any:
		if texts, ok := texts(d); ok && v.kind == listKind {
			return texts, nil
		}
	}
	return nil, fmt.Errorf("must be %s, such as %s", v.kind, v.example)
}

func texts(items []any) ([]string, bool) {
	all := make([]string, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, false
		}
		all[i] = s
	}
	return all, true
}

// String names the TOML type.
func (k kind) String() string {
	switch k {
	case listKind:
		return "an array of strings"
	case boolKind:
		return "true or false"
	case countKind:
		return "an integer"
	case shareKind:
		return "a number from 0 to 1"
	case textKind, unitKind:
	}
	return "a string"
}
