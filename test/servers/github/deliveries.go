package github

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Delivery is one webhook delivery.
type Delivery struct {
	Event string // as in X-GitHub-Event
	Name  string // of the event and its action in the description, such as pull-request-opened
	Body  []byte
}

// Recorded are the deliveries that GitHub has published as examples.
func (d *Description) Recorded() ([]Delivery, error) {
	text, err := os.ReadFile(d.examples)
	if err != nil {
		return nil, err
	}
	var events []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.Unmarshal(text, &events); err != nil {
		return nil, fmt.Errorf("read GitHub's examples: %w", err)
	}
	var list []Delivery
	for _, e := range events {
		for i, body := range e.Examples {
			list = append(list, Delivery{Event: e.Name, Name: fmt.Sprintf("%s %d", e.Name, i+1), Body: body})
		}
	}
	return list, nil
}

// Webhooks are the names of all that the description has, such as
// pull-request-opened. It has all only if it was read with all.
func (d *Description) Webhooks() []string {
	var names []string
	for path := range d.doc.Paths.Map() {
		if name, ok := strings.CutPrefix(path, webhookPrefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Made is the least delivery that the description of a webhook allows, with
// neutral values.
func (d *Description) Made(name string) (Delivery, error) {
	schema := d.webhook(name)
	if schema == nil {
		return Delivery{}, fmt.Errorf("there is no webhook %s with a JSON body", name)
	}
	body := completer{all: true}.fill(schema, map[string]any{}, 0)
	if err := schema.VisitJSON(body); err != nil {
		return Delivery{}, fmt.Errorf("make a %s: %w", name, shortened(err))
	}
	text, err := json.Marshal(body)
	return Delivery{Name: name, Body: text}, err
}
