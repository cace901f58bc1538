package config_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"slipway/config"
	"slipway/internal/change"
	"slipway/internal/ref"
)

// withMerge is the minimal policy with a merge section.
func withMerge(lines string) []byte { return []byte(minimal + "merge:\n" + lines) }

func landed() change.MessageData {
	return change.MessageData{
		Title: "Weigh the anchor", Body: "Because.\n\nThe tide turns.", Number: 7, Author: "alice",
		Head: ref.SHA(strings.Repeat("ab", 20)), Base: "main", Labels: []string{"big", "docs"}, Approvers: []string{"bob", "carol"},
	}
}

func TestComposeMakesTheMessage(t *testing.T) {
	for _, row := range []struct {
		name, merge string
		differ      func(*change.MessageData)
		title, body string
		fails       string
	}{
		{"a title alone keeps the body", "  title: '{{.Title}} by {{.Author}}'\n", nil, "Weigh the anchor by alice", "Because.\n\nThe tide turns.", ""},
		{"a message alone keeps the title", "  message: 'See {{.Base}} at {{.Head.Short}}'\n", nil, "Weigh the anchor (#7)", "See main at " + ref.SHA(strings.Repeat("ab", 20)).Short(), ""},
		{"lists can be joined and gone through", "  message: '{{join .Approvers \", \"}}:{{range .Labels}} {{upper .}}{{end}}'\n", nil, "Weigh the anchor (#7)", "bob, carol: BIG DOCS", ""},
		{"a message of many lines", "  message: |\n    {{.Body}}\n\n    By {{.Author}}.\n", nil, "Weigh the anchor (#7)", "Because.\n\nThe tide turns.\n\nBy alice.", ""},
		{"a title is one line", "  title: '{{.Body}}'\n", nil, "Because. The tide turns.", "Because.\n\nThe tide turns.", ""},
		{"what no terminal should see is dropped", "  title: '{{.Title}}'\n", func(d *change.MessageData) { d.Title = "a\x1b[31mb\x00c\r\nd" }, "a[31mbc d", "Because.\n\nThe tide turns.", ""},
		{"a text can be cut", "  title: '{{first 5 .Title}}'\n", nil, "Weig…", "Because.\n\nThe tide turns.", ""},
		{"a title of nothing is an error, not an empty title", "  title: '{{if .Labels}}{{.Title}}{{end}}'\n", func(d *change.MessageData) { d.Labels = nil }, "", "", "merge.title makes nothing of this pull request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan, faults := config.ParsePolicy(config.PolicyFile, withMerge(row.merge))
			says(t, faults, nil)
			d := landed()
			if row.differ != nil {
				row.differ(&d)
			}
			title, body, err := plan.Merge.Compose(d)
			if row.fails != "" {
				if err == nil || err.Error() != row.fails {
					t.Errorf("error %v, want %s", err, row.fails)
				}
				return
			}
			if err != nil || title != row.title || body != row.body {
				t.Errorf("%q and %q (%v), want %q and %q", title, body, err, row.title, row.body)
			}
		})
	}
}

func TestComposeIsBounded(t *testing.T) {
	plan, faults := config.ParsePolicy(config.PolicyFile, withMerge("  title: '{{.Title}}{{.Title}}'\n  message: '{{range .Labels}}{{$.Body}}{{end}}'\n"))
	says(t, faults, nil)
	d := landed()
	d.Title, d.Body = strings.Repeat("ä", 300), strings.Repeat("ö", 40_000)
	d.Labels = make([]string, 1000)
	title, body, err := plan.Merge.Compose(d)
	if err != nil || utf8.RuneCountInString(title) != 200 || !strings.HasSuffix(title, "…") {
		t.Errorf("a title of %d characters (%v)", utf8.RuneCountInString(title), err)
	}
	if len(body) > 64<<10 || len(body) < 64<<10-4 || !utf8.ValidString(body) {
		t.Errorf("a body of %d bytes, valid: %v", len(body), utf8.ValidString(body))
	}
}

func TestAPolicyWithoutTemplatesComposesNothing(t *testing.T) {
	plan, faults := config.ParsePolicy(config.PolicyFile, withMerge("  method: merge\n"))
	says(t, faults, nil)
	if plan.Merge.Compose != nil {
		t.Error("a message is composed though nothing asks for it")
	}
}

func TestTemplateFaults(t *testing.T) {
	for _, row := range []struct{ name, template, want string }{
		{"a name that there is not", "{{.Titel}}", "does not work"},
		{"an action that is not closed", "{{.Title", "is no template"},
		{"a function that there is not", "{{env .Title}}", `function "env" not defined`},
		{"a function that could make a huge text", `{{printf "%1000000000d" 1}}`, `there is no function "printf" here; did you mean "print"?`},
		{"a function that calls", "{{call .Title}}", `there is no function "call" here`},
		{"a loop over a number", "{{range 1000000000}}{{end}}x", "range goes over .Labels or .Approvers alone"},
		{"a loop over a text", "{{range .Title}}{{.}}{{end}}", "range goes over .Labels or .Approvers alone"},
		{"a loop in a loop", "{{range .Labels}}{{range $.Labels}}x{{end}}{{end}}", "range goes over .Labels or .Approvers alone"},
		{"a loop in the test of a loop's other branch", "{{range .Labels}}{{else}}{{range 9}}x{{end}}{{end}}", "range goes over .Labels or .Approvers alone"},
		{"a template that calls itself", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "define and block are not for these templates"},
		{"another template", `{{template "a"}}`, "template is not for these templates"},
		{"a block", `{{block "a" .}}x{{end}}`, "define and block are not for these templates"},
		{"a title that is always empty", "{{if false}}x{{end}}", "makes nothing of a pull request that has everything"},
		{"a part of a list that may not be there", "{{.Labels.Foo}}", "does not work"},
		{"what fails on a pull request without labels", "{{len (index .Labels 0)}}", `there is no function "index" here`},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, key := range []string{"title", "message"} {
				_, faults := config.ParsePolicy(config.PolicyFile, withMerge("  "+key+": '"+row.template+"'\n"))
				if len(faults) != 1 || faults[0].Line != 15 || !strings.Contains(faults[0].Message, "merge."+key+": ") || !strings.Contains(faults[0].Message, row.want) {
					t.Errorf("%s: %v, want one fault on line 15 with %q", key, faults, row.want)
				}
			}
		})
	}
}
