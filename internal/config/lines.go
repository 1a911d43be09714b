package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ddm/internal/lines"
	"ddm/internal/quota"
)

// Lines holds the settings of this machine's own lines.
type Lines struct {
	Interfaces  []Interface  // none: the system's choice
	Quota       int64        // bytes per line and period; 0: none
	QuotaPeriod quota.Period // for every line that has no own
	Metered     float64      // share by which a line must shorten a download to be used; 0: not metered
}

// Interface is one line that was named, with what was said about it alone. Nil
// fields leave it to the settings of all lines.
type Interface struct {
	Name      string // name, address or lines.All
	Quota     *int64
	Period    *quota.Period
	Metered   *float64
	LimitRate int64 // bytes per second; 0: none
}

// Specs gives each line its settings.
func (l *Lines) Specs() []lines.Spec {
	all := lines.Spec{Quota: quota.Limit{Bytes: l.Quota, Period: l.QuotaPeriod}, Metered: l.Metered}
	if len(l.Interfaces) == 0 {
		return []lines.Spec{all}
	}
	specs := make([]lines.Spec, 0, len(l.Interfaces))
	for _, i := range l.Interfaces {
		s := all
		s.Interface, s.LimitRate = i.Name, i.LimitRate
		if i.Quota != nil {
			s.Quota.Bytes = *i.Quota
		}
		if i.Period != nil {
			s.Quota.Period = *i.Period
		}
		if i.Metered != nil {
			s.Metered = *i.Metered
		}
		specs = append(specs, s)
	}
	return specs
}

// hasQuota reports whether something must be kept.
func (l *Lines) hasQuota() bool {
	return slices.ContainsFunc(l.Specs(), func(s lines.Spec) bool { return s.Quota.Bytes > 0 })
}

func (l *Lines) settings() []Setting {
	return []Setting{
		{
			Name: "interface", Arg: "NAME|ADDRESS|all", Group: sourceGroup,
			Help: "line to fetch by, if not the system's choice; all finds every interface with a way out; " +
				"settings of its own may follow: wwan0,metered=0.2,quota=5GiB,quota-period=month,limit-rate=2MiB",
			value: interfaces(&l.Interfaces),
		},
		{
			Name: "quota", Arg: "SIZE", Group: sourceGroup,
			Help:  "most bytes that each line fetches per period, such as 5GiB; 0 is no quota",
			value: size(&l.Quota),
		},
		{
			Name: "quota-period", Arg: "day|month", Group: sourceGroup,
			Help:  "when a quota is fresh again: at midnight, or on the first of the month",
			value: period(&l.QuotaPeriod),
		},
		{
			Name: "metered", Arg: "[=SHARE]", Group: sourceGroup,
			Help: "the bytes of the lines cost: use them only where that shortens a download by more than " +
				"this share, 0.2 if none is said",
			value: share(&l.Metered),
		},
	}
}

// parseInterfaces reads "NAME[,SETTING]...[,NAME[,SETTING]...]...".
func parseInterfaces(s string) ([]Interface, error) {
	var all []Interface
	for i, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if i > 0 && (part == "metered" || strings.Contains(part, "=")) {
			if err := all[len(all)-1].set(part); err != nil {
				return nil, err
			}
			continue
		}
		if part == "" && i > 0 {
			continue // a comma at the end
		}
		name, err := interfaceName(part)
		if err != nil {
			return nil, err
		}
		all = append(all, Interface{Name: name})
	}
	return all, nil
}

// set reads one setting of a line alone.
func (i *Interface) set(option string) (err error) {
	key, text, valued := strings.Cut(option, "=")
	switch key {
	case "quota":
		var n int64
		n, err = readSize(text)
		i.Quota = &n
	case "quota-period":
		var p quota.Period
		p, err = readPeriod(text)
		i.Period = &p
	case "metered":
		n := lines.DefaultShare
		if valued {
			n, err = readShare(text)
		}
		i.Metered = &n
	case "limit-rate":
		i.LimitRate, err = readRate(text)
	default:
		return fmt.Errorf("%q is no setting of a line: quota, quota-period, metered and limit-rate are", key)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", key, i.Name, err)
	}
	return nil
}

// interfaces is a repeatable value; an environment variable holds several,
// since what has no "=" begins the next.
func interfaces(field *[]Interface) value {
	return value{
		kind:      listKind,
		separator: "\x00",
		example:   `["eth0", "wwan0,metered=0.2,quota=5GiB"]`,
		set: func(texts []string) error {
			var all []Interface
			for _, t := range texts {
				some, err := parseInterfaces(t)
				if err != nil {
					return err
				}
				all = append(all, some...)
			}
			for n, i := range all {
				if slices.ContainsFunc(all[:n], func(o Interface) bool { return o.Name == i.Name }) {
					return fmt.Errorf("%s is named twice", i.Name)
				}
			}
			*field = all
			return nil
		},
		show: func() string {
			var names []string
			for _, i := range *field {
				names = append(names, i.Name)
			}
			return strings.Join(names, ", ")
		},
	}
}

func interfaceName(s string) (string, error) {
	if s == "" || strings.ContainsAny(s, "=/ \t\r\n") {
		return "", fmt.Errorf("%q is neither an interface nor an address", s)
	}
	if strings.EqualFold(s, lines.All) {
		return lines.All, nil
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().String(), nil
	}
	return s, nil
}

// size is a number of bytes; 0 means none.
func size(field *int64) value {
	return scalar(field, 0, unitKind, `"5GiB"`, readSize, showBytes)
}

func readSize(s string) (int64, error) {
	n, err := parseSize(s)
	if err != nil {
		return 0, fmt.Errorf(`%q is no size: write bytes with a unit, such as "5GiB", or "0" for none: %w`, s, err)
	}
	return n, nil
}

func period(field *quota.Period) value {
	return scalar(field, quota.Month, textKind, `"month"`, readPeriod, quota.Period.String)
}

func readPeriod(s string) (quota.Period, error) {
	p, err := quota.ParsePeriod(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not one of day, month", s)
	}
	return p, nil
}

// share is a number from 0 to 1; without one a flag means lines.DefaultShare,
// as does "true".
func share(field *float64) value {
	v := scalar(field, 0, shareKind, "0.2", readShare, func(n float64) string {
		return strconv.FormatFloat(n, 'g', -1, 64)
	})
	v.bare = "true"
	return v
}

func readShare(s string) (float64, error) {
	if on, err := strconv.ParseBool(s); err == nil && strings.Trim(s, "01") != "" {
		if on {
			return lines.DefaultShare, nil
		}
		return 0, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(n):
		return 0, errors.New(strconv.Quote(s) + " is no share: write a number from 0 to 1, such as 0.2")
	case n < 0 || n > 1:
		return 0, fmt.Errorf("%s is not between 0 and 1", s)
	}
	return n, nil
}
