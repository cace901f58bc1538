package change

import (
	"strconv"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"
)

func TestNextVersion(t *testing.T) {
	tests := []struct {
		rule        string
		last, first string
		level       Level
		want        string // "" means an error
	}{
		{"the first release has the first version, whatever the level", "", "0.1.0", LevelMajor, "0.1.0"},
		{"a first version may be beyond 1.0.0", "", "3.2.1", LevelPatch, "3.2.1"},
		{"an incomplete first version is an error", "", "0.1", LevelPatch, ""},
		{"a first version with a prefix is an error", "", "v0.1.0", LevelPatch, ""},
		{"no first version is an error", "", "", LevelPatch, ""},
		{"before 1.0.0 a fix raises the patch number", "0.1.2", "0.1.0", LevelPatch, "0.1.3"},
		{"before 1.0.0 a feature raises the minor number", "0.1.2", "0.1.0", LevelMinor, "0.2.0"},
		{"before 1.0.0 a breaking change raises the minor number", "0.1.2", "0.1.0", LevelMajor, "0.2.0"},
		{"from 1.0.0 on a fix raises the patch number", "1.9.9", "0.1.0", LevelPatch, "1.9.10"},
		{"from 1.0.0 on a feature raises the minor number", "1.9.9", "0.1.0", LevelMinor, "1.10.0"},
		{"from 1.0.0 on a breaking change raises the major number", "1.9.9", "0.1.0", LevelMajor, "2.0.0"},
		{"the first version plays no part later", "0.0.1", "5.0.0", LevelPatch, "0.0.2"},
		{"a pre-release is followed by its release", "1.0.0-rc.1", "0.1.0", LevelPatch, "1.0.0"},
		{"build metadata is dropped", "1.0.0+abc", "0.1.0", LevelPatch, "1.0.1"},
		{"a last version with a prefix is an error", "v1.0.0", "0.1.0", LevelPatch, ""},
		{"a last version that is none is an error", "latest", "0.1.0", LevelPatch, ""},
		{"a number that overflows is an error", "1.0.18446744073709551615", "0.1.0", LevelPatch, ""},
		{"an unknown level counts as the least", "1.2.3", "0.1.0", Level(9), "1.2.4"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			got, err := NextVersion(test.last, test.first, test.level)
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("NextVersion(%q, %q, %s) = %q, %v; want %q", test.last, test.first, test.level, got, err, test.want)
			}
		})
	}
}

func TestVersionsOnlyRise(t *testing.T) {
	number := rapid.Uint64Range(0, 1000)
	rapid.Check(t, func(t *rapid.T) {
		last := semver.New(number.Draw(t, "major"), number.Draw(t, "minor"), number.Draw(t, "patch"), "", "")
		level := rapid.SampledFrom([]Level{LevelPatch, LevelMinor, LevelMajor}).Draw(t, "level")
		text, err := NextVersion(last.String(), "0.1.0", level)
		if err != nil {
			t.Fatal(err)
		}
		next, err := semver.StrictNewVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		if !next.GreaterThan(last) {
			t.Errorf("%s follows %s", next, last)
		}
		if last.Major() == 0 && next.Major() != 0 {
			t.Errorf("%s follows %s: nobody decided on 1.0.0", next, last)
		}
	})
}

func TestLabelLevel(t *testing.T) {
	plan := ReleasePlan{Major: "release/major", Minor: "release/minor", Patch: "release/patch"}
	tests := []struct {
		rule   string
		labels []string
		plan   ReleasePlan
		level  Level
		ok     bool
	}{
		{"no label says nothing", nil, plan, LevelPatch, false},
		{"a foreign label says nothing", []string{"bug", "Release/Major"}, plan, LevelPatch, false},
		{"a patch label is a decision too", []string{"release/patch"}, plan, LevelPatch, true},
		{"a minor label", []string{"bug", "release/minor"}, plan, LevelMinor, true},
		{"the highest of several wins, first", []string{"release/major", "release/patch"}, plan, LevelMajor, true},
		{"the highest of several wins, last", []string{"release/patch", "release/minor"}, plan, LevelMinor, true},
		{"a level without a label cannot be named by an empty one", []string{""}, ReleasePlan{Major: "m"}, LevelPatch, false},
		{"a name that stands for two levels stands for the higher", []string{"x"}, ReleasePlan{Major: "x", Patch: "x"}, LevelMajor, true},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) {
			level, ok := LabelLevel(test.labels, test.plan)
			if level != test.level || ok != test.ok {
				t.Errorf("got %s, %s; want %s, %s", level, strconv.FormatBool(ok), test.level, strconv.FormatBool(test.ok))
			}
		})
	}
}
