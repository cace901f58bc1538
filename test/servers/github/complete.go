package github

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// inert are fields that GitHub's description demands and that say nothing
// anybody here asks for. The server fills them in; every other field that is
// demanded it must give itself, or the answer is a violation.
func inert(name string) bool {
	if name == "url" || name == "href" || strings.HasSuffix(name, "_url") || strings.HasPrefix(name, "has_") {
		return true
	}
	return slices.Contains([]string{
		"node_id", "gravatar_id", "site_admin", "_links",
		"forks", "forks_count", "watchers", "watchers_count", "stargazers", "stargazers_count", "open_issues",
		"open_issues_count", "size", "subscribers_count", "network_count", "language", "license", "homepage",
		"disabled", "pushed_at", "description", "archived", "topics", "visibility", "web_commit_signoff_required",
		"allow_forking", "is_template", "custom_properties",
		"assignee", "assignees", "milestone", "auto_merge", "maintainer_can_modify", "locked", "active_lock_reason",
		"author_association", "review_comments", "verification", "comment_count", "distinct",
		"color", "default", "reactions", "performed_via_github_app", "issue_dependencies_summary", "sub_issues_summary",
		"runner_id", "runner_group_id", "runner_group_name", "runner_name", "labels_url", "check_suite_node_id",
		"followers", "following", "public_gists", "public_repos", "created_at_of_owner", "bio", "blog", "company",
		"email", "hireable", "location", "twitter_username", "external_id", "privacy", "notification_setting",
		"members_count", "repos_count", "parent", "assets", "target_commitish", "last_response", "test_url", "ping_url",
		"annotations_count", "text", "summary", "referenced_workflows", "workflow_id", "check_suite_id",
		"is_verified", "has_multiple_single_files", "single_file_name", "suspended_at", "suspended_by",
		"target_type", "target_id", "repository_selection", "events", "requested_teams", "rebaseable",
		"deployment", "base_ref", "compare", "master_branch", "mergeable_state", "immutable", "draft_of",
	}, name)
}

// complete fills in the inert fields that a schema demands and value lacks,
// and returns it. Of alternatives it takes the first that the value then meets.
func complete(schema *openapi3.Schema, value any) any {
	return completer{}.fill(schema, value, 0)
}

type completer struct {
	// all fills in every demanded field, not the inert alone.
	all bool
}

// depth bounds descriptions that contain themselves.
const depth = 24

func (c completer) fill(schema *openapi3.Schema, value any, level int) any {
	if schema == nil || level > depth {
		return value
	}
	for _, part := range schema.AllOf {
		value = c.fill(part.Value, value, level+1)
	}
	for _, alternatives := range []openapi3.SchemaRefs{schema.OneOf, schema.AnyOf} {
		value = c.choose(alternatives, value, level)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, name := range schema.Required {
			if _, given := v[name]; !given && (c.all || inert(name)) {
				v[name] = c.neutral(name, property(schema, name), level+1)
			}
		}
		for name, inner := range v {
			s := property(schema, name)
			if s == nil {
				continue
			}
			if c.all && scalar(inner) && s.VisitJSON(inner) != nil {
				inner = c.neutral(name, s, level+1) // another part allowed what this one does not
			}
			v[name] = c.fill(s, inner, level+1)
		}
	case []any:
		if schema.Items != nil {
			for i, inner := range v {
				v[i] = c.fill(schema.Items.Value, inner, level+1)
			}
		}
	}
	return value
}

func (c completer) choose(alternatives openapi3.SchemaRefs, value any, level int) any {
	if len(alternatives) == 0 {
		return value
	}
	switch value.(type) {
	case map[string]any, []any:
	default:
		return value
	}
	for _, a := range alternatives {
		tried := c.fill(a.Value, clone(value), level+1)
		if a.Value.VisitJSON(tried) == nil {
			return tried
		}
	}
	return value
}

// neutral is a value that a schema allows and that says nothing.
func (c completer) neutral(name string, s *openapi3.Schema, level int) any {
	switch {
	case s == nil || s.Nullable:
		return nil
	case len(s.Enum) > 0:
		return s.Enum[0]
	case level > depth:
		return nil
	}
	for _, alternatives := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if len(alternatives) > 0 {
			return c.neutral(name, alternatives[0].Value, level+1)
		}
	}
	switch {
	case s.Type.Is("object") || s.Type == nil && (len(s.Properties) > 0 || len(s.AllOf) > 0):
		// What is nested in something inert is inert too.
		return completer{all: true}.fill(s, map[string]any{}, level+1)
	case s.Type.Is("array"):
		return []any{}
	case s.Type.Is("boolean"):
		return false
	case s.Type.Is("integer"), s.Type.Is("number"):
		return json.Number("1")
	case s.Type.Is("string"):
		return neutralText(name, s)
	default:
		return nil
	}
}

func neutralText(name string, s *openapi3.Schema) string {
	if s.Format == "" && (name == "date" || strings.HasSuffix(name, "_at")) {
		return "2020-01-01T00:00:00Z"
	}
	switch s.Format {
	case "date-time":
		return "2020-01-01T00:00:00Z"
	case "date":
		return "2020-01-01"
	case "uuid":
		return "00000000-0000-4000-8000-000000000000"
	case "email":
		return "nobody@example.invalid"
	case "uri", "uri-template":
		return "https://example.invalid/"
	default:
		return strings.Repeat("x", max(int(min(s.MinLength, 100)), 1)) //nolint:gosec // at most 100
	}
}

// property is the schema of a field, wherever among the parts of a schema it
// stands.
func property(s *openapi3.Schema, name string) *openapi3.Schema {
	if p, found := s.Properties[name]; found {
		return p.Value
	}
	for _, part := range s.AllOf {
		if p := property(part.Value, name); p != nil {
			return p
		}
	}
	return nil
}

// scalar says whether a value holds no others.
func scalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[k] = clone(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = clone(inner)
		}
		return out
	default:
		return value
	}
}
