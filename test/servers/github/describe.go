package github

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"slipway/test/servers"
)

// Description is what GitHub publishes about its REST API and its webhooks, as
// far as it is needed here. It is read once and shared by any number of
// servers.
type Description struct {
	doc      *openapi3.T
	examples string // file of recorded deliveries
}

// published is the description as it lies in the file, with its parts unread.
type published struct {
	Info       json.RawMessage                       `json:"info"`
	Paths      map[string]json.RawMessage            `json:"paths"`
	Webhooks   map[string]json.RawMessage            `json:"x-webhooks"`
	Components map[string]map[string]json.RawMessage `json:"components"`
}

var (
	component = regexp.MustCompile(`"\$ref":\s*"#/components/([A-Za-z]+)/([^"]+)"`)
	// Examples are most of the file and no part of the rules.
	exampleRef = regexp.MustCompile(`\{\s*"\$ref":\s*"#/components/examples/[^"]+"\s*\}`)
)

// webhookPrefix is where the webhooks stand among the paths here.
const webhookPrefix = "/webhooks/"

// Describe reads GitHub's description out of the cache that `make servers`
// fills; the empty cacheDir means the default one. It takes the calls that this
// server answers, and every webhook if wanted, else those that it sends.
func Describe(cacheDir string, everyWebhook bool) (*Description, error) {
	entry, err := servers.Find(cacheDir, servers.GitHub)
	if err != nil {
		return nil, err
	}
	d, err := describe(entry.Path("openapi.json"), everyWebhook)
	if err != nil {
		return nil, fmt.Errorf("read GitHub's description: %w", err)
	}
	d.examples = entry.Path("webhooks.json")
	return d, nil
}

func describe(file string, everyWebhook bool) (*Description, error) {
	body, err := os.ReadFile(file) //nolint:gosec // of the servers' cache
	if err != nil {
		return nil, err
	}
	var all published
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	wanted := map[string]json.RawMessage{}
	for _, r := range routes() {
		path, found := all.Paths[r.path]
		if !found {
			return nil, fmt.Errorf("it has no path %s", r.path)
		}
		wanted[r.path] = path
	}
	sent := sentWebhooks()
	for _, name := range sent {
		if _, found := all.Webhooks[name]; !found {
			return nil, fmt.Errorf("it has no webhook %s", name)
		}
	}
	for name, webhook := range all.Webhooks {
		if everyWebhook || slices.Contains(sent, name) {
			wanted[webhookPrefix+name] = webhook
		}
	}
	doc, err := all.part(wanted)
	if err != nil {
		return nil, err
	}
	return &Description{doc: doc}, nil
}

// part loads some paths with the components that they need. The whole would
// take seconds.
func (p published) part(paths map[string]json.RawMessage) (*openapi3.T, error) {
	components := map[string]map[string]json.RawMessage{}
	var take func(json.RawMessage)
	take = func(text json.RawMessage) {
		for _, found := range component.FindAllSubmatch(text, -1) {
			kind, name := string(found[1]), string(found[2])
			if kind == "examples" {
				continue
			}
			if components[kind] == nil {
				components[kind] = map[string]json.RawMessage{}
			}
			if _, taken := components[kind][name]; taken {
				continue
			}
			one := p.Components[kind][name]
			components[kind][name] = one
			take(one)
		}
	}
	for _, path := range paths {
		take(path)
	}
	for _, name := range []string{"basic-error", "validation-error"} {
		take(json.RawMessage(`{"$ref": "#/components/schemas/` + name + `"}`))
	}
	text, err := json.Marshal(map[string]any{"openapi": "3.0.3", "info": p.Info, "paths": paths, "components": components})
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(exampleRef.ReplaceAll(text, []byte(`{"value":null}`)))
}

// operation is what the description says of one call.
func (d *Description) operation(method, path string) (*openapi3.PathItem, *openapi3.Operation) {
	item := d.doc.Paths.Value(path)
	if item == nil {
		return nil, nil
	}
	return item, item.GetOperation(method)
}

// answer is the schema of an operation's answer with a status; documented is
// false when the operation names no such status, and schema nil when it has no
// body.
func answer(o *openapi3.Operation, status int) (schema *openapi3.Schema, documented bool) {
	response := o.Responses.Status(status)
	if response == nil || response.Value == nil {
		return nil, false
	}
	for _, kind := range []string{"application/json", "application/scim+json"} {
		if media := response.Value.Content.Get(kind); media != nil && media.Schema != nil {
			return media.Schema.Value, true
		}
	}
	return nil, true
}

// webhook is the schema of a delivery's body, such as pull-request-opened; nil
// when there is none.
func (d *Description) webhook(name string) *openapi3.Schema {
	item := d.doc.Paths.Value(webhookPrefix + name)
	if item == nil || item.Post == nil || item.Post.RequestBody == nil {
		return nil
	}
	media := item.Post.RequestBody.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		return nil
	}
	return media.Schema.Value
}

func (d *Description) schema(name string) *openapi3.Schema {
	return d.doc.Components.Schemas[name].Value
}
