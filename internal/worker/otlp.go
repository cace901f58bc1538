package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"slipway/pools"
)

// What is read of OTLP/JSON (opentelemetry.io/docs/specs/otlp) and of the
// conventions for generative AI in it: the attributes gen_ai.usage.input_tokens,
// which holds the cached ones, gen_ai.usage.output_tokens,
// gen_ai.usage.cache_read.input_tokens, gen_ai.usage.cache_creation.input_tokens
// and gen_ai.response.model.
type (
	resourceSpans struct {
		Scopes []struct {
			Spans []record `json:"spans"`
		} `json:"scopeSpans"`
	}
	resourceLogs struct {
		Scopes []struct {
			Records []record `json:"logRecords"`
		} `json:"scopeLogs"`
	}
	// record is a span or a log record.
	record struct {
		Trace      string      `json:"traceId"`
		Span       string      `json:"spanId"`
		Parent     string      `json:"parentSpanId"`
		Attributes []attribute `json:"attributes"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value struct {
			Text *string         `json:"stringValue"`
			Int  json.RawMessage `json:"intValue"` // a string, as 64 bits are written, or a number
		} `json:"value"`
	}
)

// spanID names a span.
type spanID struct{ trace, span string }

// traced is a span or a log record with what it says of usage.
type traced struct {
	id     spanID
	parent string
	log    bool
	used   bool // it says something of usage
	tokens pools.Tokens
	model  string
}

// traces are those of a report, in its order.
type traces []traced

func spansOf(e entry) (found traces, err error) {
	add := func(r record, log bool) {
		t, readErr := r.read()
		if readErr != nil && err == nil {
			err = readErr
		}
		t.log = log
		found = append(found, t)
	}
	for _, r := range e.Spans {
		for _, s := range r.Scopes {
			for _, span := range s.Spans {
				add(span, false)
			}
		}
	}
	for _, r := range e.Logs {
		for _, s := range r.Scopes {
			for _, entry := range s.Records {
				add(entry, true)
			}
		}
	}
	return found, err
}

func (r record) read() (traced, error) {
	t := traced{id: spanID{r.Trace, r.Span}, parent: r.Parent}
	counts := map[string]*int64{
		"gen_ai.usage.input_tokens":                &t.tokens.Input,
		"gen_ai.usage.output_tokens":               &t.tokens.Output,
		"gen_ai.usage.cache_read.input_tokens":     &t.tokens.CacheRead,
		"gen_ai.usage.cache_creation.input_tokens": &t.tokens.CacheWrite,
	}
	for _, a := range r.Attributes {
		if a.Key == "gen_ai.response.model" && a.Value.Text != nil {
			t.model = *a.Value.Text
		}
		into := counts[a.Key]
		if into == nil {
			continue
		}
		n, err := integer(a.Value.Int)
		if err != nil {
			return traced{}, fmt.Errorf("%s is no count of tokens", a.Key)
		}
		*into, t.used = n, true
	}
	// What was cached is part of the input there, and apart from it here.
	t.tokens.Input = max(t.tokens.Input-t.tokens.CacheRead-t.tokens.CacheWrite, 0)
	return t, nil
}

func integer(text json.RawMessage) (int64, error) {
	s := string(text)
	if len(s) > 1 && s[0] == '"' {
		s = s[1 : len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && (n < 0 || n > mostTokens) {
		err = errors.New("out of range")
	}
	return n, err
}

// counted are those whose usage counts: a span once, none that has another with
// usage below it, for that is a sum, and no log record beside its own span.
func (ts traces) counted() (out traces) {
	parents, used := map[spanID]string{}, map[spanID]bool{}
	for _, t := range ts {
		if !t.log && t.id.span != "" {
			parents[t.id] = t.parent
			used[t.id] = used[t.id] || t.used
		}
	}
	above := map[spanID]bool{} // has usage below it
	for _, t := range ts {
		if t.log || !t.used {
			continue
		}
		at := spanID{t.id.trace, t.parent}
		for at.span != "" && !above[at] {
			above[at] = true
			at.span = parents[at]
		}
	}
	seen := map[spanID]bool{}
	for _, t := range ts {
		switch named := t.id.span != ""; {
		case !t.used:
		case !t.log && named && (above[t.id] || seen[t.id]):
		case t.log && named && used[t.id]:
		default:
			seen[t.id] = !t.log
			out = append(out, t)
		}
	}
	return out
}
