package github

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// checkRequest says what is wrong with a request in the light of the
// description: its path's parameters, its query, of which nothing may be
// undescribed, and its body.
func (d *Description) checkRequest(r *http.Request, path string, params map[string]string, body []byte) error {
	item, operation := d.operation(r.Method, path)
	if operation == nil {
		return fmt.Errorf("%s %s is not described", r.Method, path)
	}
	for name := range r.URL.Query() {
		described := func(p *openapi3.ParameterRef) bool { return p.Value.In == "query" && p.Value.Name == name }
		if !slices.ContainsFunc(operation.Parameters, described) && !slices.ContainsFunc(item.Parameters, described) {
			return fmt.Errorf("%s %s: the query parameter %q is not described", r.Method, path, name)
		}
	}
	if b := operation.RequestBody; b != nil && !b.Value.Required && string(bytes.TrimSpace(body)) == "null" {
		body = nil // a client's way to send none, which GitHub takes for that
	}
	copied := r.Clone(r.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	copied.ContentLength = int64(len(body))
	if operation.RequestBody == nil && len(bytes.TrimSpace(body)) > 0 && r.Method != http.MethodDelete {
		return fmt.Errorf("%s %s: a body is not described", r.Method, path)
	}
	if len(body) > 0 && copied.Header.Get("Content-Type") == "" {
		return fmt.Errorf("%s %s: the body has no Content-Type", r.Method, path)
	}
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request:    copied,
		PathParams: params,
		Route:      &routers.Route{Spec: d.doc, PathItem: item, Path: path, Method: r.Method, Operation: operation},
		Options:    &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, path, shortened(err))
	}
	if operation.RequestBody != nil && len(body) > 0 {
		if media := operation.RequestBody.Value.Content.Get("application/json"); media != nil && media.Schema != nil {
			value, err := decoded(body)
			if err != nil {
				return err
			}
			if extra := undescribed(media.Schema.Value, value, ""); extra != "" {
				return fmt.Errorf("%s %s: the request's field %s is not described", r.Method, path, extra)
			}
		}
	}
	return nil
}

// generalStatuses are answers that any call may get, described or not.
func generalStatuses() []int {
	return []int{http.StatusNotModified, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusConflict, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable}
}

// finish completes an answer and says what is wrong with it.
func (d *Description) finish(method, path string, status int, body any) (any, error) {
	_, operation := d.operation(method, path)
	schema, documented := answer(operation, status)
	if !documented {
		if !slices.Contains(generalStatuses(), status) {
			return body, fmt.Errorf("answer of %s %s: the status %d is not described", method, path, status)
		}
		if status == http.StatusNotModified {
			return nil, nil
		}
		schema = d.schema("basic-error")
	}
	if schema == nil {
		if body != nil {
			return body, fmt.Errorf("answer of %s %s with %d: a body is not described", method, path, status)
		}
		return nil, nil
	}
	body, err := settle(schema, body)
	if err != nil {
		return body, fmt.Errorf("answer of %s %s with %d: %w", method, path, status, err)
	}
	return body, nil
}

// settle completes a body by a schema and checks it against that.
func settle(schema *openapi3.Schema, body any) (any, error) {
	plain, err := generic(body)
	if err != nil {
		return body, err
	}
	plain = complete(schema, plain)
	if err := schema.VisitJSON(plain, openapi3.MultiErrors()); err != nil {
		return plain, shortened(err)
	}
	if extra := undescribed(schema, plain, ""); extra != "" {
		return plain, fmt.Errorf("the field %s is not described", extra)
	}
	return plain, nil
}

// undescribed names a field of a value that its schema does not know; "" when
// there is none. A schema that allows anything knows everything.
func undescribed(schema *openapi3.Schema, value any, at string) string {
	switch v := value.(type) {
	case []any:
		if schema == nil {
			return ""
		}
		if schema.Items == nil {
			return throughAlternatives(schema, value, at)
		}
		for i, inner := range v {
			if found := undescribed(schema.Items.Value, inner, fmt.Sprintf("%s[%d]", at, i)); found != "" {
				return found
			}
		}
	case map[string]any:
		known, open := fields(schema)
		if open {
			return ""
		}
		for name, inner := range v {
			schemas, found := known[name]
			if !found {
				return at + "." + name
			}
			// One of several places may describe it.
			worst := ""
			for _, s := range schemas {
				if worst = undescribed(s, inner, at+"."+name); worst == "" {
					break
				}
			}
			if worst != "" {
				return worst
			}
		}
	}
	return ""
}

func throughAlternatives(schema *openapi3.Schema, value any, at string) string {
	found := ""
	for _, list := range []openapi3.SchemaRefs{schema.OneOf, schema.AnyOf, schema.AllOf} {
		for _, a := range list {
			if found = undescribed(a.Value, value, at); found == "" {
				return ""
			}
		}
	}
	return found
}

// fields are all that a schema, with its parts and alternatives, describes;
// open says that it allows others by name or describes none.
func fields(s *openapi3.Schema) (known map[string][]*openapi3.Schema, open bool) {
	known = map[string][]*openapi3.Schema{}
	described := false
	var gather func(*openapi3.Schema, int)
	gather = func(s *openapi3.Schema, level int) {
		if s == nil || level > depth {
			return
		}
		if s.AdditionalProperties.Schema != nil || s.AdditionalProperties.Has != nil && *s.AdditionalProperties.Has {
			open = true
		}
		for name, p := range s.Properties {
			described = true
			known[name] = append(known[name], p.Value)
		}
		for _, list := range []openapi3.SchemaRefs{s.AllOf, s.OneOf, s.AnyOf} {
			for _, part := range list {
				gather(part.Value, level+1)
			}
		}
	}
	gather(s, 0)
	return known, open || !described
}

// shortened keeps of the validator's error where and why, and leaves out the
// schema and the value.
func shortened(err error) error {
	var several openapi3.MultiError
	if errors.As(err, &several) {
		var kept []error
		for _, e := range several[:min(len(several), 8)] {
			kept = append(kept, shortened(e))
		}
		return errors.Join(kept...)
	}
	var schema *openapi3.SchemaError
	if errors.As(err, &schema) {
		return fmt.Errorf("/%s: %s", strings.Join(schema.JSONPointer(), "/"), schema.Reason)
	}
	return err
}

// generic turns a value into what its JSON says.
func generic(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decoded(text)
}

func decoded(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out any
	err := decoder.Decode(&out)
	return out, err
}
