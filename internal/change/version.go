package change

import (
	"fmt"
	"math"

	"github.com/Masterminds/semver/v3"
)

// Level is how much a change asks of the version number. The zero value asks
// the least.
type Level uint8

// The levels.
const (
	LevelPatch Level = iota
	LevelMinor
	LevelMajor
)

func (l Level) String() string {
	switch l {
	case LevelMajor:
		return "major"
	case LevelMinor:
		return "minor"
	default:
		return "patch"
	}
}

// NextVersion is the version after last, without prefix; with no last it is
// first. Before 1.0.0 a breaking change raises the minor number, because
// semantic versioning promises nothing there and only a person can decide to
// begin promising. It fails on what is not a complete semantic version.
func NextVersion(last, first string, level Level) (string, error) {
	if last == "" {
		v, err := semver.StrictNewVersion(first)
		if err != nil {
			return "", fmt.Errorf("first version %q: %w", first, err)
		}
		return v.String(), nil
	}
	v, err := semver.StrictNewVersion(last)
	if err != nil {
		return "", fmt.Errorf("last version %q: %w", last, err)
	}
	if level == LevelMajor && v.Major() == 0 {
		level = LevelMinor
	}
	number, raise := v.Patch(), v.IncPatch
	switch level {
	case LevelMajor:
		number, raise = v.Major(), v.IncMajor
	case LevelMinor:
		number, raise = v.Minor(), v.IncMinor
	}
	if number == math.MaxUint64 { // the library panics
		return "", fmt.Errorf("no %s version can follow %s", level, last)
	}
	next := raise()
	return next.String(), nil
}

// LabelLevel is the highest level that the labels of a pull request name; ok is
// false when none of them does. Labels override what the commits say.
func LabelLevel(labels []string, p ReleasePlan) (level Level, ok bool) {
	names := map[string]Level{p.Patch: LevelPatch}
	// A name that stands for two levels stands for the higher.
	names[p.Minor] = LevelMinor
	names[p.Major] = LevelMajor
	delete(names, "")
	for _, label := range labels {
		if l, named := names[label]; named {
			level, ok = max(level, l), true
		}
	}
	return level, ok
}
