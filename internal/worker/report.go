package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"slipway/pools"
)

// usage is what a command's report adds up to.
type usage struct {
	Tokens pools.Tokens
	Amount pools.Money
	// Model is the one that the report names; one that is not the assigned model
	// goes before it.
	Model string
}

const (
	// lineLimit bounds one line of a report, in bytes.
	lineLimit = 1 << 20
	// mostTokens bounds every count, so that no sum runs over.
	mostTokens = 1e15
	// mostCost bounds every cost, in units of the currency.
	mostCost = 1e6
	// modelLimit bounds a model's name, in characters.
	modelLimit = 200
)

// entry is a line of a report in the plain form.
type entry struct {
	Input      *float64 `json:"input_tokens"`
	Output     *float64 `json:"output_tokens"`
	CacheRead  *float64 `json:"cache_read_tokens"`
	CacheWrite *float64 `json:"cache_write_tokens"`
	Cost       *float64 `json:"cost"`
	Model      string   `json:"model"`
	// Total says that the line stands for all before it as well.
	Total bool `json:"total"`

	Spans []resourceSpans `json:"resourceSpans"`
	Logs  []resourceLogs  `json:"resourceLogs"`
}

// sums is a report while it is read.
type sums struct {
	tokens   pools.Tokens
	nanos    int64 // the cost, in thousand-millionths
	assigned string
	model    string
	traces   traces
}

// parseReport adds a report up. Its lines are JSON objects, either plain or in
// OpenTelemetry's form (OTLP/JSON); unknown members count nothing. What was
// understood is returned beside the error, which names the first line that was
// not. Unless the report is finished, a last line without its end is left out.
func parseReport(data []byte, assigned string, finished bool) (usage, error) {
	s := sums{assigned: assigned}
	var fault error
	for n := 1; len(data) > 0; n++ {
		text, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		if !ended && !finished {
			break
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if err := s.add(text); err != nil && fault == nil {
			fault = fmt.Errorf("line %d: %w", n, err)
		}
	}
	return s.result(), fault
}

func (s *sums) add(text []byte) error {
	if len(text) > lineLimit {
		return fmt.Errorf("it is longer than %d KiB", lineLimit>>10)
	}
	if text[0] != '{' {
		return errors.New("it is no JSON object")
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) && kind.Field != "" {
			return fmt.Errorf("%s cannot be read", line(kind.Field, 80))
		}
		return errors.New("it is no JSON") // its own words could carry anything
	}
	var counts [4]int64
	for i, v := range []struct {
		name  string
		given *float64
	}{{"input_tokens", e.Input}, {"output_tokens", e.Output}, {"cache_read_tokens", e.CacheRead}, {"cache_write_tokens", e.CacheWrite}} {
		if v.given == nil {
			continue
		}
		if *v.given < 0 || *v.given > mostTokens || *v.given != math.Trunc(*v.given) {
			return fmt.Errorf("%s is no count of tokens", v.name)
		}
		counts[i] = int64(*v.given)
	}
	if e.Cost != nil && (*e.Cost < 0 || *e.Cost > mostCost) {
		return errors.New("cost is not between 0 and a million")
	}
	found, err := spansOf(e)
	if err != nil {
		return err
	}
	if e.Total {
		s.tokens, s.nanos, s.traces = pools.Tokens{}, 0, traces{}
	}
	s.count(pools.Tokens{Input: counts[0], Output: counts[1], CacheRead: counts[2], CacheWrite: counts[3]})
	if e.Cost != nil {
		s.nanos = min(s.nanos+int64(math.Round(*e.Cost*1e9)), mostCost*1e9)
	}
	s.name(e.Model)
	s.traces = append(s.traces, found...)
	return nil
}

func (s *sums) count(t pools.Tokens) {
	add := func(to *int64, n int64) { *to = min(*to+n, mostTokens) }
	add(&s.tokens.Input, t.Input)
	add(&s.tokens.Output, t.Output)
	add(&s.tokens.CacheRead, t.CacheRead)
	add(&s.tokens.CacheWrite, t.CacheWrite)
}

// name remembers a model. Another than the assigned one must not hide behind
// it.
func (s *sums) name(model string) {
	model = line(model, modelLimit)
	if model == "" || s.model != "" && s.model != s.assigned {
		return
	}
	s.model = model
}

func (s *sums) result() usage {
	for _, t := range s.traces.counted() {
		s.count(t.tokens)
		s.name(t.model)
	}
	s.traces = nil
	return usage{Tokens: s.tokens, Amount: pools.Money((s.nanos + 999) / 1000), Model: s.model}
}
