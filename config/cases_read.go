package config

import (
	"path/filepath"
	"time"

	"slipway/gate"
	"slipway/internal/ref"
)

// LoadCases reads a table of cases.
func LoadCases(path string) (Cases, []Fault) {
	data, err := readLimited(path, maxFile+1)
	if err != nil {
		return Cases{}, []Fault{{File: path, Message: "cannot be read: " + why(err)}}
	}
	return ParseCases(path, data)
}

// ParseCases reads a table of cases; name is how faults call it, and paths in
// it are relative to its directory.
func ParseCases(name string, data []byte) (Cases, []Fault) {
	r := &casesReader{reader: &reader{file: name}, cases: casesDefaults()}
	r.document(data, r.layout())
	r.cases.Policy = filepath.Join(filepath.Dir(name), r.cases.Policy)
	return r.cases, sorted(r.faults)
}

// CasesSchema is the JSON Schema (draft 2020-12) of a table of cases.
func CasesSchema() []byte {
	return schemaOf("Cases for Slipway's policy file, .slipway.test.yaml", casesShape())
}

func casesShape() shape {
	r := &casesReader{reader: &reader{}, cases: casesDefaults()}
	return r.layout().shape
}

type casesReader struct {
	*reader
	cases Cases
}

func (r *casesReader) layout() form {
	c := &r.cases
	var version int
	lines := map[string]int{}
	return r.object(
		must("version", r.number(&version, policyVersion, policyVersion), "`1`."),
		may("policy", r.text(&c.Policy), "The policy file, relative to this one."),
		may("repo", r.repository(&c.Repo), "OWNER/NAME, for an organisation's defaults and floors.").otherwise("`acme/app`"),
		may("identities", r.identities(&c.Identities), "Who is behind a login, as in [slipway.yaml](configuration.md#identities-who-is-behind-a-login)."),
		may("strangers", r.texts(&c.Strangers, account()), "Logins of unknown kind. Whoever is not declared here at all is a person."),
		may("teams", mapping(r.reader, &c.Teams, func(_ node, members *[]string) form { return r.texts(members, account()) }),
			"The members of teams, by `OWNER/TEAM`. In a team that is not declared here are all who approve by default."),
		must("cases", many(r.reader, &c.Cases, caseDefaults(), func(k *Case) form { return r.oneCase(k, lines) }), "The cases."),
	).named("cases")
}

func (r *casesReader) repository(into *ref.RepoID) form {
	var s string
	return r.text(&s, that(repository)).then(func(node) {
		if s != "" {
			*into, _ = ref.ParseRepo(s) // checked above
		}
	})
}

func (r *casesReader) oneCase(c *Case, lines map[string]int) form {
	f := &c.facts
	var codes []string
	var want string
	fields := []field{
		must("name", r.unique(&c.Name, lines), "The rule that it states."),
		may("at", r.instant(&f.at), "When it is judged.").otherwise("a moment without a freeze"),
	}
	fields = append(fields, r.caseContent(f)...)
	fields = append(fields, r.casePeople(f)...)
	fields = append(fields,
		must("want", r.text(&want, among(outcomes()...)), "What the gate must say: "+listed(outcomes())+"."),
		may("reasons", r.texts(&codes, among(codesKnown()...)), "The codes of all reasons that it must give, no more and no less: "+listed(codesKnown())+".").otherwise("not asked"),
		may("who", r.texts(&c.Who), "Logins or roles that must be among those who can act.").otherwise("not asked"),
	)
	return r.object(fields...).named("case").then(func(n node) {
		c.Line = n.line
		if f.unapproved && f.approved {
			r.fault(n, "names approvals, and says that nobody approved")
		}
		c.Want = outcome(want)
		for _, code := range codes {
			c.Reasons = append(c.Reasons, gate.Code(code))
		}
	})
}

// outcomes are the words for them.
func outcomes() []string {
	return []string{gate.Wait.String(), gate.Block.String(), gate.Merge.String()}
}

func outcome(word string) gate.Outcome {
	for _, o := range []gate.Outcome{gate.Block, gate.Merge} {
		if o.String() == word {
			return o
		}
	}
	return gate.Wait
}

// caseContent is what the pull request is and brings.
func (r *casesReader) caseContent(f *facts) []field {
	return []field{
		may("title", r.text(&f.title), "Its title."),
		may("body", r.block(&f.body), "Its text.").otherwise("none"),
		may("author", r.text(&f.author, account()), "Who opened it."),
		may("base", r.text(&f.base, that(branch)), "The branch it goes to."),
		may("head_branch", r.text(&f.headBranch, that(branch)), "The branch it comes from."),
		may("fork", r.flag(&f.fork), "Whether it comes from another repository."),
		may("labels", r.texts(&f.labels), "Its labels.").otherwise("none"),
		may("draft", r.flag(&f.draft), "Whether it is a draft."),
		may("conflict", r.flag(&f.conflict), "Whether it does not merge cleanly."),
		may("up_to_date", r.flag(&f.upToDate), "Whether its head contains the tip of its base."),
		may("files", many(r.reader, &f.files, gate.File{Added: 1}, func(file *gate.File) form {
			path := r.text(&file.Path, that(inside))
			return r.shorthand("path", path, r.object(
				must("path", path, "Its path."),
				may("previous", r.text(&file.Previous, that(inside)), "The path from which it was renamed."),
				may("added", r.number(&file.Added, 0, maxLines), "How many lines are added."),
				may("deleted", r.number(&file.Deleted, 0, maxLines), "How many are deleted.").otherwise("`0`"),
			).named("case file"))
		}), "The changed files, each a path or more. Those of CI workflows count as such.").otherwise("`[main.go]`"),
		may("lines", r.number(&f.lines, 0, maxLines), "How many lines are added and deleted together: what the files do not account for is added to the first.").otherwise("those of the files"),
		may("commits", r.number(&f.commits, 1, 1000), "How many commits it has."),
		may("authors", r.texts(&f.authors, account()), "Who wrote its commits.").otherwise("its author"),
		may("co_authors", r.texts(&f.coAuthors, account()), "Who is named a co-author.").otherwise("none"),
		may("unmapped", r.texts(&f.unmapped), "E-mails of further commits that belong to no account.").otherwise("none"),
		may("merges", r.flag(&f.merges), "Whether one of its commits is a merge commit."),
		may("pusher", r.text(&f.pusher, account()), "Who pushed its head.").otherwise("its author"),
	}
}

// casePeople is what others did to it.
func (r *casesReader) casePeople(f *facts) []field {
	return []field{
		may("approvals", many(r.reader, &f.approvals, approval{onHead: true, eligible: true}, func(a *approval) form {
			by := r.text(&a.by, account())
			return r.shorthand("by", by, r.object(
				must("by", by, "Who approved."),
				may("on_head", r.flag(&a.onHead), "Whether on this head, and not on one before it."),
				may("eligible", r.flag(&a.eligible), "Whether the forge lets them approve now."),
			).named("case approval"))
		}).then(func(node) { f.approved = true }), "Who approved, each a login or more.").otherwise("as many as it takes"),
		may("unapproved", r.flag(&f.unapproved), "Whether nobody approved."),
		may("members", many(r.reader, &f.members, caseMember{}, r.member), "Who of those that take part is a coordinate of the pools, each an address or more. They go before what is declared of the same login.").otherwise("there are no pools"),
		may("registered", r.flag(&f.registered), "Whether an attempt of its author's registered this head. It counts where the author is a member, or whoever pushed it."),
		may("vetoes", r.texts(&f.vetoes, account()), "Who asks for changes.").otherwise("nobody"),
		may("owners", r.texts(&f.owners), "Who owns the changed files by CODEOWNERS: logins and teams.").otherwise("there is no such file"),
		may("checks", many(r.reader, &f.checks, caseCheck{state: "success"}, func(c *caseCheck) form {
			return r.object(
				must("context", r.text(&c.context), "Its context."),
				may("state", r.text(&c.state, among("success", "failure", "pending", "skipped", "missing")), "How it stands: `success`, `failure`, `pending`, `skipped`, or `missing` for one that never came."),
				may("by", r.text(&c.by, account()), "A login that reported it, in place of whoever should.").otherwise("whoever the policy says"),
			).named("case check")
		}), "Checks that are not as they should be, or others besides. All that are not named here are green.").otherwise("all green"),
		may("holds", r.texts(&f.holds, account()), "Who holds it by command.").otherwise("nobody"),
		may("asked", r.flag(&f.asked), "Whether its author asked for the merge of this head."),
		may("emergency", r.text(&f.emergency, account()), "Who declared an emergency on this head.").otherwise("nobody"),
		may("frozen", r.text(&f.frozen), "Why the branch is frozen after a bad landing.").otherwise("it is not"),
		may("unread", r.texts(&f.unread, among(readable()...)), "Facts that could not be read: "+listed(readable())+".").otherwise("none"),
	}
}

// readable are the facts that a case may leave unread.
func readable() []string {
	return []string{"files", "commits", "reviews", "checks", "teams", "owners", "crew", "pusher", "mergeable"}
}

// instant is a moment with its zone.
func (r *reader) instant(into *time.Time) form {
	var s string
	return r.text(&s, moment()).then(func(node) {
		if s != "" {
			*into, _ = time.Parse(time.RFC3339, s) // checked by moment
		}
	})
}
