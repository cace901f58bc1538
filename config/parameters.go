package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth is how deep parameters may be nested, and maxParameters how long
	// they may be in JSON.
	maxDepth      = 20
	maxParameters = 64 << 10
)

var (
	numberPattern = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)
	// secretKey are names under which credentials stand; max_tokens is none.
	secretKey = regexp.MustCompile(`(?i)^(.*[_.-])?(api_?-?key|(access|auth|bearer|refresh|session|api)[_-]?token|token|password|passwd|passphrase|secret|secret_?-?key|credentials?|authorization|private_?-?key)$`)
	// secretText is how well-known credentials begin, and an address with a
	// password.
	secretText = regexp.MustCompile(`^(sk-|sk_|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abps]-|AKIA[0-9A-Z]{12}|AIza[0-9A-Za-z_-]{20}|eyJ[A-Za-z0-9_-]{10,}\.|(?i:bearer|basic) )|-----BEGIN |://[^/\s]*:[^/\s]*@`)
)

// parameters are keys with values of any kind, as JSON. The order of the keys
// means nothing, so they are sorted.
func (r *reader) parameters(into *string) form {
	return form{shape{kind: object, free: true}, func(n node) {
		before := len(r.faults)
		v := r.anything(n, 0)
		if n.Kind != yaml.MappingNode || len(r.faults) > before {
			return
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			r.fault(n, "cannot be written as JSON: %v", err)
			return
		}
		if b.Len() > maxParameters {
			r.fault(n, "is larger than %d bytes", maxParameters)
			return
		}
		*into = strings.TrimSuffix(b.String(), "\n")
	}}
}

// anything is a value as JSON has it.
func (r *reader) anything(n node, depth int) any {
	switch {
	case depth > maxDepth:
		r.fault(n, "is nested deeper than %d", maxDepth)
		return nil
	case n.Kind == yaml.MappingNode || depth == 0:
		m := map[string]any{}
		r.entries(n, func(key string, value node) {
			if secretKey.MatchString(key) {
				r.fault(value, "%s", noSecrets)
				return
			}
			m[key] = r.anything(value, depth+1)
		})
		return m
	case n.Kind == yaml.SequenceNode:
		l := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			l = append(l, r.anything(node{Node: c, line: c.Line, path: fmt.Sprintf("%s[%d]", n.path, i), file: n.file}, depth+1))
		}
		return l
	case isNumber(n):
		return r.inJSON(n)
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" && n.Style&yaml.TaggedStyle == 0:
		return strings.EqualFold(n.Value, "true")
	}
	s, _ := r.scalar(n, true)
	if wrong := notSecret(s); wrong != "" {
		r.fault(n, "%s", wrong)
	}
	return s
}

// inJSON is a number as it is written, if JSON writes it so too.
func (r *reader) inJSON(n node) any {
	_, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || !numberPattern.MatchString(n.Value) {
		r.fault(n, "%s is no number in JSON", clip(n.Value))
		return nil
	}
	return json.Number(n.Value)
}

const noSecrets = "looks like a secret, and none stands in this file: the worker has its provider's credentials in its own environment"

// notSecret refuses what looks like a credential, without repeating it.
func notSecret(s string) string {
	if secretText.MatchString(s) {
		return noSecrets
	}
	return ""
}
