package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"

	"slipway/gate"
	"slipway/internal/ref"
)

const (
	// maxExpression is how long an expression may be, in characters.
	maxExpression = 4096
	// maxCost is what an evaluation may cost, in CEL's own units: about one for
	// each step. It is reached in well under a second, and is more than an honest
	// question about each of three thousand files costs.
	maxCost = 100_000
)

// conditionFile is one changed file, as an expression sees it.
type conditionFile struct {
	Path     string `cel:"path"`
	Previous string `cel:"previous"`
	Added    int64  `cel:"added"`
	Deleted  int64  `cel:"deleted"`
}

// variable is one name in an expression.
type variable struct {
	name string
	typ  *cel.Type
	doc  string
	// value is what it stands for; unread says what was not read, or "".
	value func(gate.Snapshot) (value any, unread string)
}

func (r *reader) conditions(into *[]gate.Condition) form {
	type condition struct {
		name, expr, otherwise string
		holds                 func(gate.Snapshot) (ref.Fact, string)
		faulty                bool
	}
	lines := map[string]int{}
	var all []condition
	return many(r, &all, condition{}, func(c *condition) form {
		expr := r.block(&c.expr)
		read := expr.read
		expr.read = func(n node) {
			read(n)
			if c.expr == "" {
				return
			}
			holds, wrong := r.compile(c.expr)
			if wrong != "" {
				r.fault(n, "%s", wrong)
			}
			c.holds = holds
		}
		return r.object(
			must("name", r.unique(&c.name, lines, label()), "What it is called where people read of it."),
			must("expr", expr, "An expression in [CEL](#conditions) that is true or false."),
			may("otherwise", r.text(&c.otherwise), "What is said when it is false.").otherwise("that it does not hold"),
		).named("condition").noting(r, &c.faulty)
	}).then(func(node) {
		*into = nil
		for _, c := range all {
			if c.faulty {
				continue
			}
			if c.otherwise == "" {
				c.otherwise = fmt.Sprintf("the condition %s does not hold", c.name)
			}
			*into = append(*into, gate.Condition{Name: c.name, Sentence: c.otherwise, Holds: c.holds})
		}
	})
}

// compile makes a function of an expression, or says what is wrong with it.
func (r *reader) compile(expr string) (holds func(gate.Snapshot) (ref.Fact, string), wrong string) {
	if len(expr) > maxExpression {
		return nil, fmt.Sprintf("is longer than %d characters", maxExpression)
	}
	all := variables()
	env, err := r.environment(all)
	if err != nil {
		return nil, "cannot be compiled: " + err.Error()
	}
	checked, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, firstIssue(issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Sprintf("is of type %s; want one that is true or false", checked.OutputType())
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, "cannot be compiled: " + err.Error()
	}
	return evaluator(program, used(checked, all)), ""
}

// environment is where expressions are compiled: one for all of a file.
func (r *reader) environment(all []variable) (*cel.Env, error) {
	if r.cel != nil {
		return r.cel, nil
	}
	options := []cel.EnvOption{
		ext.NativeTypes(reflect.TypeFor[conditionFile](), ext.ParseStructTags(true)),
		cel.ParserRecursionLimit(50),
	}
	for _, v := range all {
		options = append(options, cel.Variable(v.name, v.typ))
	}
	env, err := cel.NewEnv(options...)
	r.cel = env
	return env, err
}

// evaluator asks the program about a snapshot. What it names must have been
// read.
func evaluator(program cel.Program, names []variable) func(gate.Snapshot) (ref.Fact, string) {
	return func(s gate.Snapshot) (ref.Fact, string) {
		values := map[string]any{}
		for _, v := range names {
			value, unread := v.value(s)
			if unread != "" {
				return ref.Unknown, unread + " could not be read"
			}
			values[v.name] = value
		}
		out, _, err := program.Eval(values)
		if err != nil {
			return ref.Unknown, "it cannot be evaluated: " + oneLine(err.Error())
		}
		holds, ok := out.Value().(bool)
		if !ok {
			return ref.Unknown, fmt.Sprintf("it comes to %s, which is neither true nor false", out.Type().TypeName())
		}
		return ref.Known(holds), ""
	}
}

// used are the variables that an expression names.
func used(checked *cel.Ast, all []variable) []variable {
	named := map[string]bool{}
	for _, r := range checked.NativeRep().ReferenceMap() {
		named[r.Name] = true
	}
	visit := ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind {
			named[e.AsIdent()] = true
		}
	})
	ast.PostOrderVisit(checked.NativeRep().Expr(), visit)
	return slices.DeleteFunc(slices.Clone(all), func(v variable) bool { return !named[v.name] })
}

// firstIssue is the first of a compiler's complaints, with its place.
func firstIssue(issues *cel.Issues) string {
	e := issues.Errors()[0]
	message := strings.TrimSuffix(oneLine(e.Message), " (in container '')")
	if e.Location.Line() < 1 {
		return "does not compile: " + message
	}
	return fmt.Sprintf("does not compile: %s (line %d, column %d of the expression)", message, e.Location.Line(), e.Location.Column()+1)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// variables are what an expression may name.
func variables() []variable {
	const (
		files   = "the changed files"
		commits = "the commits"
	)
	plain := func(name, doc string, get func(gate.PullRequest) string) variable {
		return variable{name, cel.StringType, doc, func(s gate.Snapshot) (any, string) { return get(s.Pull), "" }}
	}
	ofFiles := func(name string, typ *cel.Type, doc string, get func([]gate.File) any) variable {
		return variable{name, typ, doc, func(s gate.Snapshot) (any, string) { return get(s.Files), unless(s.FilesRead, files) }}
	}
	return []variable{
		plain("pull.title", "", func(p gate.PullRequest) string { return p.Title }),
		plain("pull.body", "", func(p gate.PullRequest) string { return p.Body }),
		plain("pull.author", "the login of whoever opened it", func(p gate.PullRequest) string { return p.Author }),
		plain("pull.base", "the branch it goes to", func(p gate.PullRequest) string { return p.Base }),
		plain("pull.head_branch", "the branch it comes from", func(p gate.PullRequest) string { return p.HeadBranch }),
		{"pull.labels", cel.ListType(cel.StringType), "", func(s gate.Snapshot) (any, string) { return orNone(s.Pull.Labels), "" }},
		{"pull.draft", cel.BoolType, "", func(s gate.Snapshot) (any, string) {
			return s.Pull.Draft == ref.Yes, unless(ref.Known(s.Pull.Draft != ref.Unknown), "whether it is a draft")
		}},
		{"pull.fork", cel.BoolType, "whether it comes from another repository", func(s gate.Snapshot) (any, string) {
			same := strings.EqualFold(s.Pull.HeadRepo.String(), s.Pull.ID.Repo.String())
			return !same, unless(ref.Known(!s.Pull.HeadRepo.IsZero()), "the repository it comes from")
		}},
		ofFiles("files", cel.ListType(cel.ObjectType("config.conditionFile")), "each with `path`, `previous` (of a rename), `added` and `deleted` (lines)", conditionFiles),
		ofFiles("paths", cel.ListType(cel.StringType), "the paths of all changed files, of a rename both", changedPaths),
		ofFiles("lines", cel.IntType, "how many lines are added and deleted, together", func(all []gate.File) any {
			lines := int64(0)
			for _, f := range all {
				lines += int64(f.Added) + int64(f.Deleted)
			}
			return lines
		}),
		{"commits", cel.IntType, "how many commits it has", func(s gate.Snapshot) (any, string) {
			return int64(len(s.Commits)), unless(s.CommitsRead, commits)
		}},
	}
}

func conditionFiles(all []gate.File) any {
	files := make([]conditionFile, 0, len(all))
	for _, f := range all {
		files = append(files, conditionFile{f.Path, f.Previous, int64(f.Added), int64(f.Deleted)})
	}
	return files
}

func changedPaths(all []gate.File) any {
	paths := make([]string, 0, len(all))
	for _, f := range all {
		paths = append(paths, f.Path)
		if f.Previous != "" {
			paths = append(paths, f.Previous)
		}
	}
	return paths
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// unless names what was not read.
func unless(read ref.Fact, what string) string {
	if read == ref.Yes {
		return ""
	}
	return what
}
