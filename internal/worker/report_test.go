package worker

import (
	"strings"
	"testing"

	"slipway/pools"
)

func TestParseReport(t *testing.T) {
	const (
		span = `{"resourceSpans":[{"scopeSpans":[{"spans":[`
		logs = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[`
		end  = `]}]}]}`
		used = `"attributes":[{"key":"gen_ai.usage.input_tokens","value":{"intValue":"100"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":7}},{"key":"gen_ai.response.model","value":{"stringValue":"m-1"}}]`
	)
	one := pools.Tokens{Input: 100, Output: 7}
	for _, c := range []struct {
		rule string
		text string
		want usage
	}{
		{"nothing", "", usage{}},
		{"empty lines", "\n \n\r\n", usage{}},
		{"one line", `{"input_tokens":1,"output_tokens":2,"cache_read_tokens":3,"cache_write_tokens":4,"cost":0.5,"model":"m-1"}`, usage{pools.Tokens{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4}, 500_000, "m-1"}},
		{"lines add up", `{"input_tokens":1,"cost":0.1}` + "\n" + `{"input_tokens":2,"cost":0.2}`, usage{pools.Tokens{Input: 3}, 300_000, ""}},
		{"small costs are not lost on the way", strings.Repeat(`{"cost":0.0000004}`+"\n", 10), usage{Amount: 4}},
		{"a part of a millionth is a millionth", `{"cost":0.0000001}`, usage{Amount: 1}},
		{"a total replaces what came before", `{"input_tokens":5}` + "\n" + `{"input_tokens":2,"total":true}`, usage{Tokens: pools.Tokens{Input: 2}}},
		{"and what comes after adds to it", `{"input_tokens":2,"total":true}` + "\n" + `{"input_tokens":1}`, usage{Tokens: pools.Tokens{Input: 3}}},
		{"what is unknown counts nothing", `{"type":"note","tokens":9}`, usage{}},
		{"another model does not hide behind the assigned one", `{"model":"m-1"}` + "\n" + `{"model":"m-2"}` + "\n" + `{"model":"m-1"}`, usage{Model: "m-2"}},
		{"a span", span + `{"traceId":"t","spanId":"a",` + used + `}` + end, usage{one, 0, "m-1"}},
		{"what was cached is no other input", span + `{"attributes":[{"key":"gen_ai.usage.input_tokens","value":{"intValue":"100"}},{"key":"gen_ai.usage.cache_read.input_tokens","value":{"intValue":"60"}},{"key":"gen_ai.usage.cache_creation.input_tokens","value":{"intValue":"30"}}]}` + end,
			usage{Tokens: pools.Tokens{Input: 10, CacheRead: 60, CacheWrite: 30}}},
		{"a span that is told twice counts once", span + `{"traceId":"t","spanId":"a",` + used + `},{"traceId":"t","spanId":"a",` + used + `}` + end, usage{one, 0, "m-1"}},
		{"a span above others is their sum", span + `{"traceId":"t","spanId":"a","parentSpanId":"b",` + used + `}` + end + "\n" +
			span + `{"traceId":"t","spanId":"b","parentSpanId":"c"},{"traceId":"t","spanId":"c",` + used + `}` + end, usage{one, 0, "m-1"}},
		{"two below one count both", span + `{"traceId":"t","spanId":"a","parentSpanId":"c",` + used + `},{"traceId":"t","spanId":"b","parentSpanId":"c",` + used + `},{"traceId":"t","spanId":"c",` + used + `}` + end,
			usage{pools.Tokens{Input: 200, Output: 14}, 0, "m-1"}},
		{"a log record", logs + `{` + used + `}` + end, usage{one, 0, "m-1"}},
		{"a log record of a span that tells it too", span + `{"traceId":"t","spanId":"a",` + used + `}` + end + "\n" + logs + `{"traceId":"t","spanId":"a",` + used + `}` + end, usage{one, 0, "m-1"}},
		{"two log records of one span", logs + `{"traceId":"t","spanId":"a",` + used + `},{"traceId":"t","spanId":"a",` + used + `}` + end, usage{pools.Tokens{Input: 200, Output: 14}, 0, "m-1"}},
		{"spans that go round in a circle end", span + `{"traceId":"t","spanId":"a","parentSpanId":"b",` + used + `},{"traceId":"t","spanId":"b","parentSpanId":"a",` + used + `}` + end, usage{}},
		{"a total takes the spans before it as well", span + `{"spanId":"a",` + used + `}` + end + "\n" + `{"total":true,"input_tokens":1}`, usage{Tokens: pools.Tokens{Input: 1}}},
		{"counts do not run over", strings.Repeat(`{"input_tokens":1000000000000000,"cost":1000000}`+"\n", 20), usage{pools.Tokens{Input: 1e15}, 1e12, ""}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := parseReport([]byte(c.text), "m-1", true)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseReportRefuses(t *testing.T) {
	for _, c := range []struct{ rule, line, says string }{
		{"text", "all is well", "no JSON object"},
		{"a list", "[1]", "no JSON object"},
		{"half an object", `{"input_tokens":1`, "no JSON"},
		{"two objects in a line", `{} {}`, "no JSON"},
		{"a negative count", `{"output_tokens":-1}`, "output_tokens is no count"},
		{"half a token", `{"input_tokens":1.5}`, "input_tokens is no count"},
		{"a count beyond all", `{"cache_read_tokens":1e16}`, "cache_read_tokens is no count"},
		{"a count as text", `{"input_tokens":"1"}`, "input_tokens cannot be read"},
		{"a cost below nought", `{"cost":-0.1}`, "cost is not between"},
		{"a cost beyond all", `{"cost":1e300}`, "cost is not between"},
		{"a number that is none", `{"cost":1e999}`, "cost cannot be read"},
		{"a negative count in a span", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"gen_ai.usage.input_tokens","value":{"intValue":"-1"}}]}]}]}]}`, "gen_ai.usage.input_tokens is no count"},
		{"a count in a span that is text", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"gen_ai.usage.output_tokens","value":{"stringValue":"1"}}]}]}]}]}`, "gen_ai.usage.output_tokens is no count"},
		{"a line without end", `{"model":"` + strings.Repeat("m", lineLimit) + `"}`, "longer than"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, err := parseReport([]byte(`{"input_tokens":1}`+"\n\n"+c.line+"\n"+`{"input_tokens":2}`+"\n"), "m-1", true)
			if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v", err)
			}
			if got.Tokens.Input != 3 {
				t.Errorf("of the other lines it takes %+v", got)
			}
		})
	}
	if got, err := parseReport([]byte(`{"input_tokens":1}`+"\n"+`{"input_tok`), "m-1", false); err != nil || got.Tokens.Input != 1 {
		t.Errorf("of a line that is still being written: %+v, %v", got, err)
	}
	if _, err := parseReport([]byte(`{"input_tok`), "m-1", true); err == nil {
		t.Error("a last line that was never finished passes")
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"input_tokens":1,"cost":0.5,"model":"m-2"}`+"\n"+`{"total":true}`), true)
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"t","spanId":"a","parentSpanId":"a","attributes":[{"key":"gen_ai.usage.input_tokens","value":{"intValue":"9"}}]}]}]}]}`), false)
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"gen_ai.usage.cache_read.input_tokens","value":{"intValue":9}}]}]}]}]}`), true)
	f.Fuzz(func(t *testing.T, text []byte, finished bool) {
		got, err := parseReport(text, "m-1", finished)
		for _, n := range []int64{got.Tokens.Input, got.Tokens.Output, got.Tokens.CacheRead, got.Tokens.CacheWrite} {
			if n < 0 || n > mostTokens {
				t.Errorf("it counts %+v", got)
			}
		}
		if got.Amount < 0 || got.Amount > mostCost*1e6 || len([]rune(got.Model)) > modelLimit || strings.ContainsAny(got.Model, "\n\r\x1b\x00") {
			t.Errorf("it counts %+v", got)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("its error is %d long", len(err.Error()))
		}
		// The same again is the same, and a finished report holds no less.
		if again, _ := parseReport(text, "m-1", finished); again != got {
			t.Errorf("first %+v, then %+v", got, again)
		}
	})
}
